"""Rulings: what an operator may say, how it is checked, and how it comes into Kafka.

A ruling is kept for ever and shown to whoever looks at the customer, so its reason holds no personal data: what looks
like an e-mail address, a phone number or another long number is refused, and the operator names the ticket instead.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from connectors.serve.keys import RULING
from schemas.codecs import Codecs
from schemas.identifiers import NODE_BYTES
from schemas.topics import RULINGS

# What may be ruled on identity, and which of it is about two identifiers.
KINDS = ("cut", "split", "merge", "release", "different")
OF_TWO = frozenset({"cut", "merge", "different"})
# A right of its own, with doors of its own: see connectors/privacy.
ERASE = "erase"

# Characters of a reason: "yes" says why nobody, and a page is a report that belongs into the ticket.
MIN_REASON, MAX_REASON = 3, 500

# Characters of a name: it is shown on every page of the customer.
MAX_BY = 80

# Digits in a row, whatever stands between them, from which on a number is a phone's, a card's or a person's: the
# shortest mobile numbers with their area have nine. Tickets and orders have fewer; dates are taken out before.
_MOST_DIGITS = 8
_DATE = re.compile(r"\b\d{4}[-/.]\d{1,2}[-/.]\d{1,2}\b|\b\d{1,2}[-/.]\d{1,2}[-/.]\d{4}\b")
_NUMBER = re.compile(r"\+?\d(?:[\s().\-/\u2010-\u2015_]{0,3}\d){" + str(_MOST_DIGITS) + ",}")
_ADDRESS = re.compile(r"[^\s@]+\s?(?:@|\(at\)|\[at\])\s?[^\s@]+\.[^\s@]{2,}", re.IGNORECASE)


class RulingError(ValueError):
    """A ruling that is not taken; ``code`` is stable, the message says what is wrong and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Ruling:
    """A ruling that was checked; see ruling.avsc.

    Raises
    ------
    RulingError
        bad-kind, bad-other, bad-reason, personal-reason, bad-by
    """

    id: str
    kind: str
    node: bytes
    other: bytes
    reason: str
    by: str
    at_ms: int

    def __post_init__(self) -> None:
        if self.kind != ERASE:
            check_kind(self.kind)
        check_reason(self.reason)
        if not 1 <= len(self.by) <= MAX_BY or not self.by.isprintable():
            raise RulingError("bad-by", f"say who rules in 1 to {MAX_BY} printable characters")
        if self.kind in OF_TWO and len(self.other) != NODE_BYTES:
            raise RulingError("bad-other", f"a {self.kind} is about two identifiers: name the other one")
        if self.kind not in OF_TWO and self.other:
            raise RulingError("bad-other", f"a {self.kind} is about one identifier: leave the other out")
        if self.node == self.other:
            raise RulingError("bad-other", "both are the same identifier: name two that differ")

    def record(self) -> dict[str, Any]:
        """Return it for the codec."""
        return asdict(self)


def check_kind(kind: object) -> str:
    """Return the kind of a ruling on identity.

    Raises
    ------
    RulingError
        bad-kind
    """
    if not isinstance(kind, str) or kind not in KINDS:
        raise RulingError("bad-kind", f"kind is one of {', '.join(KINDS)}")
    return kind


def check_reason(reason: str) -> str:
    """Return a reason that may be kept for ever.

    Raises
    ------
    RulingError
        bad-reason, personal-reason; the message does not repeat it

    Examples
    --------
    >>> check_reason("two sisters share the tablet, ticket 4711, seen 2026-11-20")
    'two sisters share the tablet, ticket 4711, seen 2026-11-20'
    """
    if not MIN_REASON <= len(reason.strip()) <= len(reason) <= MAX_REASON:
        raise RulingError("bad-reason", f"a reason is needed, {MIN_REASON} to {MAX_REASON} characters: say why")
    if any(unicodedata.category(c) in {"Cc", "Cs", "Co"} for c in reason):
        raise RulingError("bad-reason", "the reason holds control characters: write it in one line")
    plain = "".join(
        str(unicodedata.digit(c, c)) for c in unicodedata.normalize("NFKC", reason) if unicodedata.category(c) != "Cf"
    )
    if _ADDRESS.search(plain):
        raise _personal("an e-mail address")
    if _NUMBER.search(_DATE.sub(" ; ", plain)):
        raise _personal("a phone number or another number of a person")
    return reason


def _personal(what: str) -> RulingError:
    return RulingError(
        "personal-reason",
        f"the reason seems to hold {what}. Reasons are kept for ever: name the ticket, not the person",
    )


def to_kafka(codecs: Codecs, ruling: Ruling) -> tuple[str, bytes, bytes]:
    """Return a ruling's topic (full name), key and value."""
    return codecs.topic(RULINGS), ruling.node, codecs.of(RULINGS).encode(ruling.record())


def outcome_of(found: Mapping[bytes, bytes]) -> dict[str, Any] | None:
    """Return a ruling and what came of it, from its hash in the view; None when it is not there.

    Parameters
    ----------
    found : the hash, see connectors.serve.keys

    Returns
    -------
    The ruling's fields and ``outcomes``, oldest first, and ``state``: pending, done or void. Of a ruling whose outcomes
    came first only those and the id are known.
    """
    if not found:
        return None
    told = {field.decode(): orjson.loads(value) for field, value in found.items()}
    ruling = told.pop(RULING, {})
    outcomes = sorted(told.values(), key=lambda merge: (merge["at_ms"], merge["kind"], merge["merged"]))
    state = "pending" if not outcomes else "void" if all(o["kind"] == "void" for o in outcomes) else "done"
    kept = ("kind", "customer", "merged", "reason", "at_ms", "nodes")
    return {**ruling, "state": state, "outcomes": [{name: each[name] for name in kept} for each in outcomes]}
