"""Identifiers and nodes: what names a customer, how it is normalised, and the key it has in Kafka.

A node's key is a keyed hash of (kind, normalised value): Kafka keys hold no personal data, and without the
secret nobody can test whether an address is among them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, NamedTuple, get_args

import phonenumbers

Kind = Literal["user_id", "crm_id", "loyalty_id", "email", "phone", "device_id", "anonymous_id"]

# Strongest first: a signal belongs to the strongest identifier that it names.
KINDS: tuple[str, ...] = get_args(Kind)
PRIORITY = {kind: rank for rank, kind in enumerate(KINDS)}

# Kinds that name a person rather than a browser or a device.
KNOWN_KINDS = frozenset({"user_id", "crm_id", "loyalty_id", "email", "phone"})

# A node is half of SHA-256's length: among 10^12 nodes a collision has probability 10^-15.
NODE_BYTES = 16

# Longest identifier taken, characters; e-mail's own limit is 254.
MAX_VALUE = 256

_DIGITS = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩", "01234567890123456789")

# Values that sources write when they know nothing.
BLOCKED = frozenset(
    {"unknown", "null", "none", "undefined", "n/a", "na", "anonymous", "guest", "test", "0", "0000", "-"}
)


class IdentifierError(ValueError):
    """An identifier that cannot be used; ``code`` is stable, the message says what and why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Identifier(NamedTuple):
    """A normalised identifier; ``original``: as the source wrote it, where that differs from the value."""

    kind: str
    value: str
    original: str = ""


def normalise(kind: str, value: str, *, region: str | None = None) -> Identifier:
    """Return the identifier in the one form in which it is compared.

    Parameters
    ----------
    kind : one of ``KINDS``
    value : as the source wrote it
    region : ISO 3166 region for phone numbers without a country code

    Raises
    ------
    IdentifierError
        unknown-kind, empty, too-long, bad-characters, blocked, bad-email or bad-phone

    Examples
    --------
    >>> normalise("email", "  Sara@Example.COM ")
    Identifier(kind='email', value='sara@example.com')
    >>> normalise("phone", "۰۹۱۲ ۳۴۵ ۶۷۸۹", region="IR")
    Identifier(kind='phone', value='+989123456789')
    """
    if kind not in PRIORITY:
        raise IdentifierError("unknown-kind", f"identifier kind {kind[:40]!r} is not one of {', '.join(KINDS)}")
    if len(value) > MAX_VALUE:
        raise IdentifierError("too-long", f"{kind} has {len(value)} characters; at most {MAX_VALUE} are taken")
    text = value.strip()
    if not text:
        raise IdentifierError("empty", f"{kind} is empty")
    if not text.isprintable():
        raise IdentifierError("bad-characters", f"{kind} holds control characters")
    if kind == "phone":
        text = _phone(text, region)
    elif kind == "email":
        text = _email(text)
    if text.casefold() in BLOCKED:
        raise IdentifierError("blocked", f"{kind} {text!r} names nobody")
    return Identifier(kind, text)


def _email(text: str) -> str:
    local, at, domain = text.rpartition("@")
    if not at or not local or "." not in domain or any(c.isspace() for c in text):
        raise IdentifierError("bad-email", "email is not of the form name@domain")
    return text.casefold()


def _phone(text: str, region: str | None) -> str:
    digits = text.translate(_DIGITS)
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException as exc:
        raise IdentifierError("bad-phone", f"phone cannot be read: {exc}") from None
    if not phonenumbers.is_possible_number(number):
        raise IdentifierError("bad-phone", "phone has an impossible length for its country")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@dataclass(frozen=True, slots=True)
class Hasher:
    """Turns identifiers into nodes.

    Parameters
    ----------
    key : secret, 32 to 64 bytes; changing it changes every node
    """

    key: bytes

    def node(self, identifier: Identifier) -> bytes:
        """Return the node of a normalised identifier, 16 bytes."""
        text = f"{identifier.kind}\0{identifier.value}".encode()
        return blake2b(text, digest_size=NODE_BYTES, key=self.key).digest()


def strongest(identifiers: Iterable[Identifier]) -> Identifier:
    """Return the identifier that a signal belongs to.

    Among several of one kind the smallest value, so that the order in which a source lists them does not matter.

    Raises
    ------
    ValueError
        when there is none
    """
    return min(identifiers, key=lambda i: (PRIORITY[i.kind], i.value))
