"""One message's work at one root: what it counts, remembers and sends."""

from dataclasses import dataclass, field
from enum import IntEnum

from schemas.identity_rules import IdentityRules
from streams.core.cuts import ERASED, count
from streams.core.limits import add
from streams.core.links import Answer, Body, Event, Link, Message, Postponed, Refused, Step, Verdict, Void
from streams.core.near import likeness
from streams.core.state import Asked, Chapter, NodeRecord, Ordered, Proof, Refusal, Root

# Bounds of what a root remembers, so that a shared till costs no more than a family. Above them a link is put off
# until the next signal that names it; of refusals the oldest is forgotten: two messages when it comes up again. An
# operator's ruling is never put off: it would not come again by itself.
MAX_CLAIMS = 64
MAX_ALSO = 8
MAX_WAITING = 64
MAX_ASKED = 256
MAX_REFUSALS = 64
# Rulings that wait until no handshake is open: that takes seconds, and an operator types slower.
MAX_ORDERED = 16
# Merges, splits and suspensions that an agent can read of; all are in the merges topic.
MAX_STORY = 20
# A claim that was answered "later" or "move" is settled within seconds; if that was put off somewhere, a signal
# after this time tries again.
RETRY_AFTER_MS = 600_000
# A refusal is taken at its word for 30 days. Then one signal that names the link again may ask again, two messages:
# limits are raised, people lose identifiers, and a split may have crossed the answer on its way.
REFUSED_FOR_MS = 30 * 86_400_000


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
        answer = self._answer(proof_of_link(link), verdict, limit)
        self.send(link.root, answer._replace(releases=link.offer))

    def answer_proposal(self, to: bytes, asked: Asked, verdict: Verdict, limit: str = "") -> None:
        """Answer a larger root's proposal."""
        self.send(to, self._answer(asked.proof, verdict, limit)._replace(to_proposal=True))

    def send_elsewhere(self, to: bytes, asked: Asked, home: Root) -> None:
        """Tell a larger root that what it asked for has left with a part."""
        answer = self._answer(asked.proof, "elsewhere", "")
        self.send(to, answer._replace(root=home.node, created_at_ms=home.created_at_ms, to_proposal=True))

    def note_refusal(self, proof: Proof, limit: str) -> None:
        """Tell the other side of a link that it was refused here without asking."""
        self.send(proof.theirs, self._answer(proof, "refuse", limit))

    def _answer(self, proof: Proof, verdict: Verdict, limit: str) -> Answer:
        root = self.root
        return Answer(
            root.node,
            root.created_at_ms,
            proof.ours,
            verdict,
            limit,
            to_proposal=False,
            releases=False,
            signal_id=proof.signal_id,
            theirs=proof.theirs,
            source=proof.source,
            ruling=proof.ruling,
        )

    def postpone(self, other: bytes, proof: Proof) -> None:
        """Say that a link was put off because a list was full."""
        self.events.append(Postponed(self.root.node, other, proof.signal_id))

    def void(self, node: bytes, reason: str, ruling: str) -> None:
        """Say that a ruling had no effect."""
        self.events.append(Void(self.root.node, node, reason, ruling))

    def tell(self, chapter: Chapter) -> None:
        """Add to the customer's story."""
        self.root.story.insert(0, chapter)
        del self.root.story[MAX_STORY:]

    def step(self) -> Step:
        """Return what the turn comes to."""
        return Step(self.record, tuple(self.messages), tuple(self.events))


def proof_of_link(link: Link) -> Proof:
    """Return a link's proof as the receiver holds it."""
    return Proof(link.node, link.by, link.signal_id, link.source, link.ruling)


def rank(root: Root) -> tuple[int, bytes]:
    """Return what orders roots: the larger of two moves."""
    return root.created_at_ms, root.node


def is_tied(root: Root) -> bool:
    """Say whether somebody counts on this root staying one: a promise or an offer is open."""
    return bool(root.promises) or any(claim.stage == Stage.OFFERED for claim in root.claims.values())


def count_sure(root: Root) -> dict[str, int]:
    """Return the identifiers by kind that are members or surely will be."""
    counts = count(root)
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


def refuse(turn: Turn, proof: Proof, other: bytes, limit: str) -> None:
    """Refuse a link here: remember it, and tell the world; the other side only remembers."""
    turn.events.append(Refused(turn.root.node, other, limit, proof.signal_id))
    remember(turn, proof, other, limit)


def remember(turn: Turn, proof: Proof, other: bytes, limit: str) -> None:
    """Keep a refusal, so that the link is neither tried again nor hidden."""
    keep_refusal(turn.root, proof.theirs, Refusal(other, limit, proof.signal_id, turn.now_ms, proof.ours))
    if limit == ERASED:
        likeness.erased(turn, proof.theirs)
        _end_claims(turn, proof.theirs)
        return
    if proof.source == likeness.NEAR_MATCH:
        likeness.refused(turn, proof.theirs, limit)
    claim = turn.root.claims.get(proof.theirs)
    # An offer waits for its own answer, and a ruling is not refused.
    if claim is not None and claim.stage != Stage.OFFERED and not claim.ruling:
        del turn.root.claims[proof.theirs]


def _end_claims(turn: Turn, theirs: bytes) -> None:
    """End what we still want of a customer that was erased, as its refusal of a link with ``theirs`` says.

    A ruling ends with its own link. Others that wait may have been for the same customer, of which we know but this
    node: they are asked anew, and each is answered for itself.
    """
    root = turn.root
    for node, claim in list(root.claims.items()):
        if claim.stage == Stage.OFFERED or not (claim.ruling or node == theirs):
            continue  # an offer waits for its own answer
        del root.claims[node]
        if claim.ruling and node == theirs:
            turn.void(claim.by, ERASED, claim.ruling)
        elif claim.ruling:
            root.ordered.append(Ordered(claim.ruling, "merge", claim.by, node))


def is_refused(root: Root, theirs: bytes, now_ms: int) -> bool:
    """Say whether a link with an identifier was refused lately."""
    refusal = root.refusals.get(theirs)
    return refusal is not None and now_ms - refusal.at_ms < REFUSED_FOR_MS


def keep_refusal(root: Root, theirs: bytes, refusal: Refusal) -> None:
    """Put a refusal under the other side's identifier; the oldest goes when there are too many."""
    root.refusals.pop(theirs, None)
    if len(root.refusals) >= MAX_REFUSALS:
        del root.refusals[next(iter(root.refusals))]
    root.refusals[theirs] = refusal
