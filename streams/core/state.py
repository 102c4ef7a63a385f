"""The state of the customers table: what lies under a node's key.

A node's record is an alias or a root. A root holds members (its identifiers) and facets: what came in through
each single node. Everything that happened to a customer lives in a facet, contact history and pending labels
included, so absorbing another customer is the union of two sets of facets, and undoing it is exact.

The structures are msgspec arrays: compact, encoded and decoded in C. Fields are only ever added at the end, with
a default, so that older state can be read.
"""

from typing import TypeAlias

import msgspec

from streams.core.facet_state import Facet


class Struct(msgspec.Struct, array_like=True):
    """Base of a record and its parts; facet_state has its own, so that a linter sees what both are."""


class Member(Struct):
    """An identifier of the customer. ``joined_ms``: when it came over with a customer that was absorbed, 0 if never."""

    kind: str
    value: str
    since_ms: int
    signal_id: str
    joined_ms: int = 0


class Claim(Struct):
    """An identifier that a signal named beside one of ours: a link on its way. ``stage`` as in identity.Stage."""

    kind: str
    value: str
    signal_id: str
    at_ms: int
    stage: int


class Waiting(Struct):
    """A smaller root to which we shall propose ourselves. ``ours`` and ``theirs`` are the linked identifiers."""

    created_at_ms: int
    ours: bytes
    theirs: bytes
    signal_id: str


class Proposal(Struct):
    """A proposal of our own that is not answered yet; ``to`` is the root as we knew it."""

    to: bytes
    theirs: bytes
    signal_id: str


class Asked(Struct):
    """A larger root's proposal that waits for our answer. ``counts``: its identifiers by kind."""

    counts: dict[str, int]
    theirs: bytes
    signal_id: str


class Promise(Struct):
    """A place promised to a larger root: how many identifiers of each kind it will bring."""

    counts: dict[str, int]
    signal_id: str


class Refusal(Struct):
    """A refused link: ``other`` is the other customer's root at the time, ``limit`` the kind it would break."""

    other: bytes
    limit: str
    signal_id: str
    at_ms: int


class ScoreState(Struct):
    """A model's last output for the customer."""

    p: float
    version: int
    at_ms: int


class LastDecision(Struct):
    """What was decided last, for the profile."""

    decision_id: str
    action: str
    treatment: str
    channel: str
    reason: str
    at_ms: int


class Alias(Struct, tag="a"):
    """A node that belongs to another: messages for it are forwarded to ``to``."""

    to: bytes
    since_ms: int


class Root(Struct, tag="r"):
    """A customer."""

    node: bytes
    created_at_ms: int
    members: dict[bytes, Member] = {}
    facets: dict[bytes, Facet] = {}
    # The handshake, see handshake.py. Keys: claims and refusals by the other side's identifier, the rest by root.
    claims: dict[bytes, Claim] = {}
    waiting: dict[bytes, Waiting] = {}
    proposal: Proposal | None = None
    asked: dict[bytes, Asked] = {}
    promises: dict[bytes, Promise] = {}
    refusals: dict[bytes, Refusal] = {}
    scores: dict[str, ScoreState] = {}
    last_decision: LastDecision | None = None


NodeRecord: TypeAlias = Root | Alias

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[NodeRecord] = msgspec.msgpack.Decoder(NodeRecord)


def encode(record: NodeRecord) -> bytes:
    """Return a record's bytes in the changelog."""
    return _encoder.encode(record)


def decode(raw: bytes) -> NodeRecord:
    """Return the record that the bytes hold.

    Raises
    ------
    msgspec.DecodeError
        when they are not a record of ours
    """
    return _decoder.decode(raw)


def due_ms(record: NodeRecord) -> int | None:
    """Return when the customer's next timer is due, epoch ms of stream time: a label or a reward."""
    if isinstance(record, Alias):
        return None
    due = min(
        (
            moment
            for facet in record.facets.values()
            for moment in (
                *(label.due_ms for label in facet.pending),
                # A reward's window is still open in its last millisecond.
                *(contact.reward_due_ms + 1 for contact in facet.contacts if contact.reward_due_ms),
            )
        ),
        default=0,
    )
    return due or None
