"""Identifiers and nodes: what names a customer, how it is normalised, and the key it has in Kafka.

A node's key is a keyed hash of (kind, normalised value): Kafka keys hold no personal data, and without the
secret nobody can test whether an address is among them.
"""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType
from typing import Literal, NamedTuple, get_args

from schemas.spelling import (
    MAX_VALUE,
    Case,
    EmailForm,
    How,
    IdentifierError,
    as_written,
    cleaned,
    spell_digits,
    spell_email,
    spell_id,
    spell_phone,
)

__all__ = ["MAX_VALUE", "IdentifierError"]

Kind = Literal["user_id", "crm_id", "loyalty_id", "email", "phone", "device_id", "anonymous_id"]

# Strongest first: a signal belongs to the strongest identifier that it names.
KINDS: tuple[str, ...] = get_args(Kind)
PRIORITY = {kind: rank for rank, kind in enumerate(KINDS)}

# Kinds that name a person rather than a browser or a device.
KNOWN_KINDS = frozenset({"user_id", "crm_id", "loyalty_id", "email", "phone"})

# A node is half of SHA-256's length: among 10^12 nodes a collision has probability 10^-15.
NODE_BYTES = 16

# Values that sources write when they know nothing.
BLOCKED = frozenset(
    {"unknown", "null", "none", "undefined", "n/a", "na", "anonymous", "guest", "test", "0", "0000", "-"}
)

# Stands for every kind among blocked values.
EVERY = "*"

# Longest glob of a blocked value: none that names a placeholder is longer.
MAX_GLOB = 100


class Identifier(NamedTuple):
    """A normalised identifier; ``original``: as the source wrote it, where that differs from the value."""

    kind: str
    value: str
    original: str = ""


class Form(NamedTuple):
    """How a kind is spelled; ``case`` counts for ids."""

    how: How = "id"
    case: Case = "keep"


# Ids keep their capitals: a shop's U1 and u1 may be two people, and only the shop knows.
DEFAULT_FORMS: Mapping[str, Form] = MappingProxyType(
    {kind: Form() for kind in KINDS} | {"email": Form("email"), "phone": Form("phone")}
)


class Blocked(NamedTuple):
    """Values that name nobody; capitals do not count.

    Parameters
    ----------
    exact : values
    globs : with ``*`` for any text and ``?`` for one character, at most ``MAX_GLOB`` long. No regular expressions:
        whether one runs for ever on a hostile value cannot be told from it; a glob's time is bounded by value x glob
    """

    exact: frozenset[str] = frozenset()
    globs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Forms:
    """How identifiers are spelled, and which name nobody. Compared and hashed by identity: made once per process.

    Parameters
    ----------
    kinds : each kind's form; there are no others
    email : the matching key of addresses
    phone : possible or valid, see ``spell_phone``
    region : ISO 3166 region for phone numbers without a country code
    blocked : by kind, ``"*"`` for every kind

    Raises
    ------
    ValueError
        for a blocked value's kind that does not exist, or a glob that is too long
    """

    kinds: Mapping[str, Form] = field(default_factory=lambda: DEFAULT_FORMS)
    email: EmailForm = field(default_factory=EmailForm)
    phone: Literal["possible", "valid"] = "possible"
    region: str | None = None
    blocked: Mapping[str, Blocked] = field(default_factory=lambda: {EVERY: Blocked(BLOCKED)})
    _exact: dict[str, frozenset[str]] = field(init=False, repr=False)
    _globs: dict[str, re.Pattern[str] | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for kind in self.blocked:
            if kind not in self.kinds and kind != EVERY:
                raise ValueError(f"blocked values: kind {kind!r} is not one of {', '.join(self.kinds)}")
        object.__setattr__(self, "_exact", {kind: self._exact_of(kind) for kind in self.kinds})
        object.__setattr__(self, "_globs", {kind: self._globs_of(kind) for kind in self.kinds})

    def spell(self, kind: str, value: str, region: str | None = None) -> str:
        """Return a value in its kind's form, blocked or not.

        Raises
        ------
        IdentifierError
        """
        form = self.kinds[kind]
        text = cleaned(kind, value)
        if form.how == "email":
            return spell_email(text, self.email)
        if form.how == "phone":
            return spell_phone(text, region or self.region, self.phone)
        return spell_digits(text, kind) if form.how == "digits" else spell_id(text, kind, form.case)

    def refuse_blocked(self, kind: str, spelled: str) -> None:
        """Raise IdentifierError (blocked) for a value, in its form, that names nobody."""
        folded = spelled.casefold()
        globs = self._globs[kind]
        if folded in self._exact[kind] or (globs is not None and globs.match(folded)):
            raise IdentifierError("blocked", f"{kind} holds a value that names nobody")

    def _exact_of(self, kind: str) -> frozenset[str]:
        found = {value.strip().casefold() for value in self.blocked.get(EVERY, Blocked()).exact}
        for value in self.blocked.get(kind, Blocked()).exact:
            try:
                found.add(self.spell(kind, value).casefold())
            except IdentifierError:
                found.add(value.strip().casefold())  # it has no form, and is refused for that
        return frozenset(found)

    def _globs_of(self, kind: str) -> re.Pattern[str] | None:
        globs = [*self.blocked.get(EVERY, Blocked()).globs, *self.blocked.get(kind, Blocked()).globs]
        for glob in globs:
            if len(glob) > MAX_GLOB:
                raise ValueError(f"blocked values: a glob has {len(glob)} characters; at most {MAX_GLOB} are taken")
        # fnmatch makes each * atomic: it never tries again what has failed. [ is a letter like others here.
        return (
            re.compile("|".join(fnmatch.translate(g.casefold().replace("[", "[[]")) for g in globs)) if globs else None
        )


DEFAULT = Forms()


def normalise(kind: str, value: str, *, region: str | None = None, forms: Forms = DEFAULT) -> Identifier:
    """Return the identifier in the one form in which it is compared.

    Parameters
    ----------
    kind : one of the forms' kinds
    value : as the source wrote it
    region : ISO 3166 region for phone numbers without a country code, where the source has one of its own
    forms : how this deployment spells; see ``schemas.identity_rules``

    Raises
    ------
    IdentifierError
        unknown-kind, empty, too-long, bad-characters, blocked, bad-email, bad-phone or bad-digits

    Examples
    --------
    >>> normalise("email", "  Sara@Example.COM ")
    Identifier(kind='email', value='sara@example.com', original='Sara@Example.COM')
    >>> normalise("phone", "۰۹۱۲ ۳۴۵ ۶۷۸۹", region="IR").value
    '+989123456789'
    """
    if kind not in forms.kinds:
        raise IdentifierError("unknown-kind", f"identifier kind {kind[:40]!r} is not one of {', '.join(forms.kinds)}")
    if len(value) > MAX_VALUE:
        raise IdentifierError("too-long", f"{kind} has {len(value)} characters; at most {MAX_VALUE} are taken")
    spelled = forms.spell(kind, value, region)
    forms.refuse_blocked(kind, spelled)
    written = as_written(value)
    return Identifier(kind, spelled, "" if written == spelled else written)


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


def strongest(identifiers: Iterable[Identifier], ranks: Mapping[str, int] = PRIORITY) -> Identifier:
    """Return the identifier that a signal belongs to.

    Among several of one kind the smallest value, so that the order in which a source lists them does not matter.

    Parameters
    ----------
    ranks : of the kinds, 0 the strongest; those of the rules in force

    Raises
    ------
    ValueError
        when there is none
    """
    return min(identifiers, key=lambda i: (ranks[i.kind], i.value))


def node_of_hex(text: str) -> bytes | None:
    """Return the node that hexadecimal digits write, or None when they write none."""
    try:
        node = bytes.fromhex(text)
    except ValueError:
        return None
    return node if len(node) == NODE_BYTES else None
