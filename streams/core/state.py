"""The state of the customers table: what lies under a node's key.

A node's record is an alias or a root, or says that it was erased. A root holds members (its identifiers) and facets:
what came in through each single node. Everything that happened to a customer lives in a facet, contact history and
pending labels included, so absorbing another customer is the union of two sets of facets, and undoing it is exact.

The structures are msgspec arrays: compact, encoded and decoded in C. Fields are only ever added at the end, with
a default, so that older state can be read.
"""

from typing import TypeAlias, cast

import msgspec

from streams.core.facet_state import ConsentGiven, Contact, Facet


class Struct(msgspec.Struct, array_like=True):
    """Base of a record and its parts; facet_state has its own, so that a linter sees what both are."""


class Member(Struct):
    """An identifier of the customer.

    ``joined_ms``: when it came over with a customer that was absorbed, 0 if never; ``created_at_ms``: when it was
    opened as a customer of its own, 0 if never; ``suspended_at_ms``: since when it ties nobody, because it tied too
    many; ``cuts``: the side on which it stands of each cut that an operator made, by the cut (see split.py).
    """

    kind: str
    value: str
    since_ms: int
    signal_id: str
    joined_ms: int = 0
    source: str = ""
    original: str = ""
    created_at_ms: int = 0
    suspended_at_ms: int = 0
    cuts: dict[bytes, int] = {}


class Proof(Struct):
    """What ties two identifiers: a signal that named both, or an operator's ruling.

    ``ours`` is the identifier of whoever holds the proof, ``theirs`` the other side's. With a ruling neither limits
    nor cuts count.
    """

    ours: bytes
    theirs: bytes
    signal_id: str
    source: str = ""
    ruling: str = ""


class Tie(Struct):
    """Two members that one signal named, or one ruling: the first that did."""

    signal_id: str
    source: str
    at_ms: int


class Claim(Struct):
    """An identifier that a signal named beside ``by``, one of ours: a link on its way. ``stage``: turn.Stage.

    ``also``: others of ours beside which it was named meanwhile.
    """

    kind: str
    value: str
    signal_id: str
    at_ms: int
    stage: int
    by: bytes = b""
    source: str = ""
    original: str = ""
    ruling: str = ""
    also: dict[bytes, Tie] = {}


class Waiting(Struct):
    """A smaller root to which we shall propose ourselves.

    ``also``: other links that lead there. The first one's identifier may have left that root meanwhile, and then it
    is another root that answers.
    """

    created_at_ms: int
    proof: Proof
    also: list[Proof] = []


class Proposal(Struct):
    """A proposal of our own that is not answered yet; ``to`` is the root as we knew it."""

    to: bytes
    proof: Proof


class Asked(Struct):
    """A larger root's proposal that waits for our answer. ``counts``: its identifiers by kind."""

    counts: dict[str, int]
    proof: Proof


class Promise(Struct):
    """A place promised to a larger root: how many identifiers of each kind it will bring."""

    counts: dict[str, int]
    proof: Proof


class Refusal(Struct):
    """A refused link: ``other`` is the other customer's root at the time, ``limit`` the kind it would break.

    ``limit`` is CUT where an operator has parted them, SUSPENDED where the identifier ties too many, ERASED where its
    customer was erased.
    """

    other: bytes
    limit: str
    signal_id: str
    at_ms: int
    ours: bytes = b""


class Ordered(Struct):
    """A ruling that waits until no handshake is open. ``kind`` as in links.Rule, or SUSPEND: our own."""

    id: str
    kind: str
    node: bytes
    other: bytes


class Tally(Struct):
    """Who named an identifier of ours lately: 4 bytes of each customer's root, since ``since_ms``."""

    since_ms: int
    roots: bytes


class Chapter(Struct):
    """What became of the customer: merged, split, suspended. ``reason`` and ``ruling`` as in merges."""

    kind: str
    other: bytes
    reason: str
    signal_id: str
    ruling: str
    at_ms: int


class Withdrawn(Struct):
    """A withdrawal that held for the whole before a split; ``since_ms``: when that was."""

    given: ConsentGiven
    since_ms: int


class Kept(Struct):
    """What a part keeps of the whole after a split: withdrawals of consent, and how often it was contacted."""

    consent: dict[str, Withdrawn] = {}
    contacts: list[Contact] = []


class Likeness(Struct):
    """Another customer who may be the same person, by one identifier of each, see near/pairs.py.

    ``ours``: our identifier; ``stage``: pairs.Stage; ``cards``: what was weighed, a hash of both sides' cards.
    """

    ours: bytes
    match: float
    household: float
    pattern: bytes
    at_ms: int
    stage: int
    cards: bytes = b""
    limit: str = ""


class Entered(Struct):
    """Why an identifier of ours is in a group: the newest signal that says so.

    ``refers``: it is the identifier that a referral names.
    """

    signal_id: str
    source: str
    at_ms: int
    refers: bool = False


class Related(Struct):
    """A group that identifiers of ours are in, and who is in it, as the group told last: see relations/related.py.

    ``mates``: customers, 16 bytes each, we among them; ``of``: whom a referral names.
    """

    kind: str
    nodes: dict[bytes, Entered] = {}
    mates: bytes = b""
    of: bytes = b""
    crowded: bool = False
    version: int = 0


class Mate(Struct):
    """An identifier in a group: at which customer it is, and whether a referral names it."""

    root: bytes
    refers: bool = False


class Grant(Struct):
    """A place under a household's cap: for which decision, when, and of whom."""

    id: str
    at_ms: int
    root: bytes


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


class Erased(Struct, tag="e"):
    """A node whose customer was erased, and by which ruling: it is refused from then on, see erasure.py."""

    since_ms: int
    ruling: str


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
    # Why the members are one: ties by ties.pair. They connect all members.
    ties: dict[bytes, Tie] = {}
    ordered: list[Ordered] = []
    tallies: dict[bytes, Tally] = {}
    story: list[Chapter] = []  # newest first
    kept: Kept | None = None
    likenesses: dict[bytes, Likeness] = {}  # by the other's identifier
    relations: dict[bytes, Related] = {}  # by group


class Group(Struct, tag="g"):
    """Customers with something in common, at a node of its own: see relations/group.py. Hashes only."""

    kind: str
    members: dict[bytes, Mate] = {}  # by identifier
    version: int = 0
    crowded: bool = False
    of: bytes = b""  # the identifier that a referral names
    grants: list[Grant] = []  # newest first


class Phase(Struct, tag="p"):
    """How far a partition's part in a rebuild is, under ``PHASE_KEY``: none is as "live".

    building: it takes the past in and decides nothing. draining: another generation takes what comes from here on.
    """

    phase: str
    generation: str


NodeRecord: TypeAlias = Root | Alias | Erased | Group

# Where a partition's phase lies; no node has this length.
PHASE_KEY = b"phase"

_encoder = msgspec.msgpack.Encoder()
# A phase is no node's record: who asks for a node never meets one.
_decoder: msgspec.msgpack.Decoder[NodeRecord | Phase] = msgspec.msgpack.Decoder(NodeRecord | Phase)


def encode(record: NodeRecord | Phase) -> bytes:
    """Return a record's bytes in the changelog."""
    return _encoder.encode(record)


def size_of(facet: Facet) -> int:
    """Return the bytes that a facet takes of its customer's."""
    return len(_encoder.encode(facet))


def decode(raw: bytes) -> NodeRecord:
    """Return the record that the bytes hold.

    Raises
    ------
    msgspec.DecodeError
        when they are not a record of ours
    """
    return cast("NodeRecord", _decoder.decode(raw))


def is_personal(record: NodeRecord) -> bool:
    """Say whether a record tells something of a person: a root does, a pointer between hashes does not."""
    return isinstance(record, Root)


def due_ms(record: NodeRecord) -> int | None:
    """Return when the customer's next timer is due, epoch ms of stream time: a label or a reward."""
    if not isinstance(record, Root):
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
