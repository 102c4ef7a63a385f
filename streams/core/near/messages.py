"""What near matches and customers say to each other; the protocol is in ``pairs``."""

from typing import NamedTuple

from streams.core.near.card import Card


class Alike(NamedTuple):
    """A record of the receiver's may be of ``other``'s person: the near stage has found both in one ``block``.

    ``pattern`` as in near.compare, one byte a field; ``match`` and ``household`` are probabilities.
    """

    node: bytes
    other: bytes
    match: float
    household: float
    pattern: bytes
    block: bytes


class Compare(NamedTuple):
    """What the sender's customer is, to be laid beside the receiver's: they may be one person.

    ``node`` is the receiver's identifier, ``other`` the sender's; ``counts`` and ``members`` are what the sender would
    bring, ``different`` whom an operator has told apart from it, ``cards`` what is compared of it.
    """

    node: bytes
    other: bytes
    root: bytes
    created_at_ms: int
    counts: dict[str, int]
    members: list[bytes]
    different: list[bytes]
    cards: list[bytes]
    match: float
    household: float
    pattern: bytes
    block: bytes


class Borne(NamedTuple):
    """The share of pairs of both customers' records that are matches by themselves, says the near stage."""

    node: bytes
    other: bytes
    share: float


class Holds(NamedTuple):
    """The sender's customer holds a pair of both; or it was erased, with ``erased``, and all pairs on it end.

    ``node`` is the receiver's identifier, ``other`` the sender's; ``erased`` all identifiers of the sender's customer.
    """

    node: bytes
    other: bytes
    erased: list[bytes]


class Placed(NamedTuple):
    """A facet's card has changed: it is laid beside those of these blocks. It holds personal values."""

    card: Card
    blocks: tuple[bytes, ...]


class Left(NamedTuple):
    """A facet's card is in these blocks no more."""

    node: bytes
    blocks: tuple[bytes, ...]


class Weighed(NamedTuple):
    """All cards of two customers are to be compared before they are linked; the answer goes to ``node``."""

    node: bytes
    other: bytes
    block: bytes
    cards: list[bytes]
    others: list[bytes]


class Matched(NamedTuple):
    """What has become of a pair that may be one person, see match.avsc; ``taught`` is what it teaches, None nothing."""

    node: bytes
    other: bytes
    customer: bytes
    state: str
    match: float
    household: float
    pattern: bytes
    limit: str
    by: str
    since_ms: int
    taught: bool | None = None


class Distinguished(NamedTuple):
    """An operator has told that two customers are two people."""

    customer: bytes
    node: bytes
    other: bytes
    ruling: str
