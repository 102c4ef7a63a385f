"""One message's work at one root: what it counts, remembers and sends."""

from dataclasses import dataclass, field
from enum import IntEnum

from streams.core.limits import IdentityRules, add, count_members
from streams.core.links import Answer, Body, Event, Link, Message, Refused, Step, Verdict
from streams.core.state import NodeRecord, Refusal, Root

# Bounds of what a root remembers, so that a shared till costs no more than a family. Above them a link is put off
# until the next signal that names it; of refusals the oldest is forgotten: two messages when it comes up again.
MAX_CLAIMS = 64
MAX_WAITING = 64
MAX_ASKED = 256
MAX_REFUSALS = 64
# A claim that was answered "later" or "move" is settled within seconds; if that was put off somewhere, a signal
# after this time tries again.
RETRY_AFTER_MS = 600_000


class Stage(IntEnum):
    """How far a claim is."""

    HELD = 0  # not sent: the root wants to move, or only a lapsed offer would make room
    OFFERED = 1  # the link is under way, a place is kept
    SETTLING = 2  # answered; a proposal of one side follows


class ProtocolError(Exception):
    """A message that cannot be, given the record: state and messages do not fit. Nothing was changed."""


@dataclass(slots=True)
class Turn:
    """One message's work at one root: what to write and what to send."""

    root: Root
    rules: IdentityRules
    now_ms: int
    record: NodeRecord = field(init=False)
    messages: list[Message] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.record = self.root

    def send(self, to: bytes, body: Body) -> None:
        """Queue a message from this root."""
        self.messages.append(Message(to, self.root.node, body))

    def answer_link(self, link: Link, verdict: Verdict, limit: str = "") -> None:
        """Answer a link, and the offer that it makes."""
        answer = self._answer(link.node, verdict, limit, link.signal_id)
        self.send(link.root, answer._replace(releases=link.offer))

    def answer_proposal(self, to: bytes, signal_id: str, verdict: Verdict, limit: str = "") -> None:
        """Answer a larger root's proposal."""
        self.send(to, self._answer(self.root.node, verdict, limit, signal_id)._replace(to_proposal=True))

    def note_refusal(self, to: bytes, limit: str, signal_id: str) -> None:
        """Tell the other side of a link that it was refused here without asking."""
        self.send(to, self._answer(self.root.node, "refuse", limit, signal_id))

    def _answer(self, node: bytes, verdict: Verdict, limit: str, signal_id: str) -> Answer:
        root = self.root
        return Answer(
            root.node,
            root.created_at_ms,
            node,
            verdict,
            limit,
            to_proposal=False,
            releases=False,
            signal_id=signal_id,
        )

    def step(self) -> Step:
        """Return what the turn comes to."""
        return Step(self.record, tuple(self.messages), tuple(self.events))


def rank(root: Root) -> tuple[int, bytes]:
    """Return what orders roots: the larger of two moves."""
    return root.created_at_ms, root.node


def is_tied(root: Root) -> bool:
    """Say whether somebody counts on this root staying one: a promise or an offer is open."""
    return bool(root.promises) or any(claim.stage == Stage.OFFERED for claim in root.claims.values())


def count_sure(root: Root) -> dict[str, int]:
    """Return the identifiers by kind that are members or surely will be."""
    counts = count_members(root)
    for promise in root.promises.values():
        counts = add(counts, promise.counts)
    return counts


def count_offers(root: Root) -> dict[str, int]:
    """Return the identifiers by kind that may become members or may not."""
    counts: dict[str, int] = {}
    for claim in root.claims.values():
        if claim.stage == Stage.OFFERED:
            counts[claim.kind] = counts.get(claim.kind, 0) + 1
    return counts


def refuse(turn: Turn, theirs: bytes, other: bytes, limit: str, signal_id: str) -> None:
    """Refuse a link here: remember it, and tell the world; the other side only remembers."""
    turn.events.append(Refused(turn.root.node, other, limit, signal_id))
    remember(turn, theirs, Refusal(other, limit, signal_id, turn.now_ms))


def remember(turn: Turn, theirs: bytes, refusal: Refusal) -> None:
    """Keep a refusal under the other side's identifier, so that it is neither linked again nor hidden."""
    root = turn.root
    root.refusals.pop(theirs, None)
    if len(root.refusals) >= MAX_REFUSALS:
        del root.refusals[next(iter(root.refusals))]
    root.refusals[theirs] = refusal
    claim = root.claims.get(theirs)
    if claim is not None and claim.stage != Stage.OFFERED:  # an offer waits for its own answer
        del root.claims[theirs]
