"""What nodes say to each other, what the world hears of it, and the messages' form on the wire.

A message is for a node. Where that node has become an alias it is forwarded along the pointer.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from streams.core.near.messages import Alike, Borne, Compare, Distinguished, Holds, Left, Matched, Placed, Weighed
from streams.core.relations.messages import Ask, Belong, Place, Release, Told
from streams.core.state import NodeRecord


class Deliver(NamedTuple):
    """A signal on its way to the root of its node; ``signal`` in wire format, ``origin`` topic/partition/offset.

    ``replayed_at_ms``: when it first arrived, if a rebuild replays it; 0: it is new.
    """

    facet: bytes
    signal: bytes
    origin: str
    replayed_at_ms: int = 0


class Link(NamedTuple):
    """The sender's customer and the receiver's are one, says a signal.

    ``by`` is the sender's identifier in the link, ``node`` the receiver's. With ``offer`` a place for ``node`` alone is
    kept at the asking root until this link is answered. With a ``ruling`` limits and cuts do not count.
    """

    root: bytes
    created_at_ms: int
    node: bytes
    counts: dict[str, int]
    offer: bool
    signal_id: str
    by: bytes
    source: str
    ruling: str


class Propose(NamedTuple):
    """A root would move to the receiver. ``node`` is its identifier in the link, ``theirs`` the receiver's."""

    root: bytes
    created_at_ms: int
    counts: dict[str, int]
    node: bytes
    releases: bool
    signal_id: str
    theirs: bytes
    source: str
    ruling: str


Verdict = Literal["accept", "refuse", "again", "elsewhere", "joined", "move", "later", "unknown"]


class Answer(NamedTuple):
    """Answers a proposal (accept, refuse, again, elsewhere) or a link (joined, move, later, again, refuse, unknown).

    ``node`` is the answering side's identifier in the link, ``theirs`` the receiver's; ``releases`` says that it
    answers an offer. ``root`` is who answers; with *elsewhere* the root that has the identifier since a split.
    """

    root: bytes
    created_at_ms: int
    node: bytes
    verdict: Verdict
    limit: str
    to_proposal: bool
    releases: bool
    signal_id: str
    theirs: bytes
    source: str
    ruling: str


class Absorb(NamedTuple):
    """A root has become an alias and hands over all that it held, as ``state.encode`` writes it."""

    root: bytes
    root_state: bytes
    signal_id: str


class Compress(NamedTuple):
    """Let your pointer lead to this root."""

    root: bytes


class Rule(NamedTuple):
    """An operator's ruling at the customer of ``node``."""

    id: str
    kind: str
    node: bytes
    other: bytes


class Found(NamedTuple):
    """A part has left its customer: the alias that takes this becomes its root, as ``state.encode`` writes it."""

    root_state: bytes


class Repoint(NamedTuple):
    """Since a split your customer is this root."""

    root: bytes


class Reconsider(NamedTuple):
    """Links between your ``theirs`` and our ``nodes`` broke a limit before a split or a release; they may fit now."""

    theirs: bytes
    nodes: list[bytes]


class Erase(NamedTuple):
    """Your customer is erased by this ruling, and you with it."""

    ruling: str


class Done(NamedTuple):
    """What another generation decided upon a signal of ``node``; ``decision`` in wire format."""

    node: bytes
    decision: bytes


Body: TypeAlias = (
    Deliver
    | Link
    | Propose
    | Answer
    | Absorb
    | Compress
    | Rule
    | Found
    | Repoint
    | Reconsider
    | Erase
    | Alike
    | Compare
    | Borne
    | Holds
    | Belong
    | Told
    | Ask
    | Place
    | Release
    | Done
)


def aim(body: Body) -> bytes | None:
    """Return the identifier whose customer a message is for, None where it is for the receiving node itself.

    After a split an old pointer may lead to the other part; the root that gets such a message sends it to the node
    that this returns, which knows better by then.
    """
    match body:
        case Deliver():
            return body.facet
        case Link() | Rule() | Alike() | Compare() | Borne() | Holds() | Told() | Place() | Done():
            return body.node
        case Propose() | Answer() | Reconsider():
            return body.theirs
        case _:
            return None


class Message(NamedTuple):
    """A message to a node; ``hops`` counts how often it was forwarded.

    ``by_log``: it goes through the inbox even on its own partition, behind what lies there already.
    """

    to: bytes
    sender: bytes
    body: Body
    hops: int = 0
    by_log: bool = False


class Joined(NamedTuple):
    """The node belongs to this customer from now on."""

    node: bytes
    customer: bytes
    kind: str


class Merged(NamedTuple):
    """``merged`` is no more; all it held is in ``customer``."""

    customer: bytes
    merged: bytes
    signal_id: str
    ruling: str = ""


class Refused(NamedTuple):
    """A link would have given one customer too many identifiers of the kind ``limit``.

    ``other`` is the other customer's root, or, where none was asked, the identifier that was linked.
    """

    customer: bytes
    other: bytes
    limit: str
    signal_id: str


class Postponed(NamedTuple):
    """A link was put off because a bounded list was full: the next signal that names it tries again."""

    customer: bytes
    other: bytes
    signal_id: str


class Crowded(NamedTuple):
    """A group has so many members that it says nothing of them: ``kind`` as in relations."""

    group: bytes
    kind: str


class Parted(NamedTuple):
    """``nodes`` have left ``customer`` and are the customer ``part`` now."""

    customer: bytes
    part: bytes
    nodes: tuple[bytes, ...]
    reason: str
    ruling: str


class Suspended(NamedTuple):
    """An identifier tied too many customers: it ties nobody from now on."""

    customer: bytes
    node: bytes
    kind: str
    signal_id: str


class Released(NamedTuple):
    """A suspension has ended."""

    customer: bytes
    node: bytes
    ruling: str


class Void(NamedTuple):
    """A ruling had no effect."""

    customer: bytes
    node: bytes
    reason: str
    ruling: str


class Forgotten(NamedTuple):
    """All that was known of the customer is gone; ``nodes``, its members, are refused from now on.

    ``node`` is the identifier that the ruling named.
    """

    customer: bytes
    nodes: tuple[bytes, ...]
    node: bytes
    ruling: str


Event: TypeAlias = (
    Joined
    | Merged
    | Refused
    | Postponed
    | Crowded
    | Parted
    | Suspended
    | Released
    | Void
    | Forgotten
    | Placed
    | Left
    | Weighed
    | Matched
    | Distinguished
)


class Step(NamedTuple):
    """What a message comes to: the record (None: there is none), messages to send in order, events.

    ``changed`` is false when the record need not be written.
    """

    record: NodeRecord | None
    messages: tuple[Message, ...] = ()
    events: tuple[Event, ...] = ()
    changed: bool = True


_FIELDS: Mapping[type, str] = {
    Deliver: "deliver",
    Link: "link",
    Propose: "propose",
    Answer: "answer",
    Absorb: "absorb",
    Compress: "compress",
    Rule: "rule",
    Found: "found",
    Repoint: "repoint",
    Reconsider: "reconsider",
    Erase: "erase",
    Alike: "alike",
    Compare: "compare",
    Borne: "borne",
    Holds: "holds",
    Belong: "belong",
    Told: "told",
    Ask: "ask",
    Place: "place",
    Release: "release",
    Done: "done",
}
_BODIES: Mapping[str, Callable[..., Body]] = {
    "deliver": Deliver,
    "link": Link,
    "propose": Propose,
    "answer": Answer,
    "absorb": Absorb,
    "compress": Compress,
    "rule": Rule,
    "found": Found,
    "repoint": Repoint,
    "reconsider": Reconsider,
    "erase": Erase,
    "alike": Alike,
    "compare": Compare,
    "borne": Borne,
    "holds": Holds,
    "belong": Belong,
    "told": Told,
    "ask": Ask,
    "place": Place,
    "release": Release,
    "done": Done,
}


def to_wire(message: Message, sent_at_ms: int) -> dict[str, Any]:
    """Return the message as the Avro record InboxMessage."""
    body = message.body
    return {
        "to": message.to,
        "sender": message.sender,
        "sent_at_ms": sent_at_ms,
        "hops": message.hops,
        _FIELDS[type(body)]: body._asdict(),
    }


def from_wire(record: Mapping[str, Any]) -> Message:
    """Return the message that an Avro record InboxMessage holds.

    Raises
    ------
    ValueError
        when it holds no body or more than one
    """
    bodies = [(name, record[name]) for name in _BODIES if record.get(name) is not None]
    if len(bodies) != 1:
        names = ", ".join(name for name, _ in bodies) or "none"
        raise ValueError(f"an inbox message holds exactly one body; this one holds {names}")
    name, fields = bodies[0]
    return Message(record["to"], record["sender"], _BODIES[name](**fields), record["hops"])
