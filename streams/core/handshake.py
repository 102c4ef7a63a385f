"""How two roots become one: the turns of a root in the identity handshake.

A signal at root A names an identifier n that is not A's. A sends a *link* to n, with an *offer*: a place kept for n.

- n has no record: it becomes A's alias and answers *joined* (two messages for a new identifier).
- n's root R is larger than A, by (created_at_ms, node): R *proposes* itself to A, at once or, if it is tied, *later*.
- n's root R is smaller: it answers *move*, and A proposes itself to R.
- both together would break a limit: R answers *refuse*, and both remember.

A proposal is *accepted* with a promise, or refused. Once accepted, the larger root becomes an alias and its whole
state travels in *absorb*, which redeems the promise.

Why it ends and why no limit is ever broken:

- Who has a proposal open takes on nothing: no promise, no offer. So what it counted when it proposed is what it brings.
- Who has a promise or an offer open does not propose. So it is still a root when they are redeemed.
- Instead of saying "ask again", a root keeps what it cannot answer yet (``asked``, ``claims``, ``waiting``) and takes
  it along when it moves. So two roots of one partition never keep each other busy, and nobody polls.
- Links are answered at once, by anybody; a proposal waits only for smaller roots. So nobody waits in a circle.
- Whoever wants to move (``waiting``) takes on nothing new until it did: no root starves.
- Refusals count only what is sure. Members only grow, so what was refused cannot fit later; what might fit once an
  offer lapses waits for that.
"""

from schemas.identifiers import Identifier
from streams.core.limits import add, broken_limit, count_members
from streams.core.links import (
    Absorb,
    Answer,
    Compress,
    Joined,
    Link,
    Postponed,
    Propose,
)
from streams.core.state import Alias, Asked, Claim, Member, Promise, Proposal, Refusal, Root, Waiting, encode
from streams.core.turn import (
    MAX_ASKED,
    MAX_CLAIMS,
    MAX_WAITING,
    RETRY_AFTER_MS,
    ProtocolError,
    Stage,
    Turn,
    count_offers,
    count_sure,
    is_tied,
    rank,
    refuse,
    remember,
)


def advance(turn: Turn) -> None:
    """Do what the root may do now: move if it wants to, else answer who asked, else send the links that it holds."""
    root = turn.root
    if root.proposal is not None:
        return
    if root.waiting:
        if not is_tied(root):
            _propose(turn)
    elif _answer_asked(turn):
        _place_claims(turn)


def _propose(turn: Turn, *, releases: bool = False) -> None:
    root = turn.root
    to = next(iter(root.waiting))
    link = root.waiting.pop(to)
    root.proposal = Proposal(to, link.theirs, link.signal_id)
    counts = count_members(root)
    turn.send(to, Propose(root.node, root.created_at_ms, counts, link.ours, releases, link.signal_id))


def _answer_asked(turn: Turn) -> bool:
    """Answer the proposals that can be; return whether all were."""
    root = turn.root
    if not root.asked:
        return True
    sure, offers = count_sure(root), count_offers(root)
    for other, asked in list(root.asked.items()):
        limit = broken_limit(turn.rules, sure, asked.counts)
        if limit is None and broken_limit(turn.rules, add(sure, offers), asked.counts):
            continue
        del root.asked[other]
        if limit is None:
            sure = add(sure, asked.counts)
            root.promises[other] = Promise(asked.counts, asked.signal_id)
            turn.answer_proposal(other, asked.signal_id, "accept")
        else:
            refuse(turn, asked.theirs, other, limit, asked.signal_id)
            turn.answer_proposal(other, asked.signal_id, "refuse", limit)
    return not root.asked


def _place_claims(turn: Turn) -> None:
    """Send the links that are held, each with an offer, as far as there is room."""
    root = turn.root
    held = [(node, claim) for node, claim in root.claims.items() if claim.stage == Stage.HELD]
    if not held:
        return
    members = count_members(root)
    taken = add(count_sure(root), count_offers(root))
    for node, claim in held:
        one = {claim.kind: 1}
        limit = broken_limit(turn.rules, members, one)
        if limit is not None:
            refuse(turn, node, node, limit, claim.signal_id)
            turn.note_refusal(node, limit, claim.signal_id)
        elif not broken_limit(turn.rules, taken, one):
            taken = add(taken, one)
            claim.stage, claim.at_ms = Stage.OFFERED, turn.now_ms
            link = Link(root.node, root.created_at_ms, node, members, offer=True, signal_id=claim.signal_id)
            turn.send(node, link)


def hold_claim(turn: Turn, node: bytes, identifier: Identifier, signal_id: str) -> bool:
    """Take up an identifier that a signal named; return whether there is anything to send."""
    root = turn.root
    pending = root.claims.get(node)
    if node in root.members or node in root.refusals:
        return False
    if pending is not None and (pending.stage != Stage.SETTLING or turn.now_ms - pending.at_ms < RETRY_AFTER_MS):
        return False
    if pending is None and len(root.claims) >= MAX_CLAIMS:
        settling = next((n for n, claim in root.claims.items() if claim.stage == Stage.SETTLING), None)
        if settling is None:
            turn.events.append(Postponed(root.node, node, signal_id))
            return False
        del root.claims[settling]
    root.claims[node] = Claim(identifier.kind, identifier.value, signal_id, turn.now_ms, Stage.HELD)
    return True


def on_link(turn: Turn, link: Link) -> None:
    """Answer a link for one of our identifiers."""
    root = turn.root
    if link.root == root.node:  # what was linked has come to us meanwhile
        if link.offer:
            _release(turn, link.node)
            del root.claims[link.node]
            advance(turn)
        return
    if link.root in root.members:  # who asked has come to us meanwhile
        return
    limit = broken_limit(turn.rules, count_members(root), link.counts)
    if limit is not None:
        refuse(turn, link.root, link.root, limit, link.signal_id)
        turn.answer_link(link, "refuse", limit)
    elif rank(root) < (link.created_at_ms, link.root):
        turn.answer_link(link, "move")
    else:
        _move_later(turn, link)


def _move_later(turn: Turn, link: Link) -> None:
    """Propose ourselves to the smaller root that sent the link, at once or as soon as we may."""
    root = turn.root
    known = _wants_to(root, link.root)
    if not known and len(root.waiting) >= MAX_WAITING:
        turn.events.append(Postponed(root.node, link.root, link.signal_id))
        turn.answer_link(link, "again")
        return
    free = root.proposal is None and not root.waiting and not is_tied(root)
    if not known:
        root.waiting[link.root] = Waiting(link.created_at_ms, link.node, link.root, link.signal_id)
    if free:
        _propose(turn, releases=link.offer)  # one message answers both
    elif link.offer:
        turn.answer_link(link, "later")


def _wants_to(root: Root, other: bytes) -> bool:
    """Say whether the root will move, or has asked to move, to the other."""
    return other in root.waiting or (root.proposal is not None and root.proposal.to == other)


def on_propose(turn: Turn, propose: Propose) -> None:
    """Take up a larger root's proposal; it is answered as soon as it can be."""
    root = turn.root
    if (propose.created_at_ms, propose.root) <= rank(root):
        raise ProtocolError(f"root {root.node.hex()} is asked by {propose.root.hex()}, which is not larger")
    if propose.releases:
        _release(turn, propose.node)
    take_asked(turn, propose.root, Asked(propose.counts, propose.node, propose.signal_id))
    advance(turn)


def take_asked(turn: Turn, other: bytes, asked: Asked) -> None:
    """Keep a proposal until it can be answered."""
    if len(turn.root.asked) < MAX_ASKED:
        turn.root.asked[other] = asked
    else:
        turn.events.append(Postponed(turn.root.node, other, asked.signal_id))
        turn.answer_proposal(other, asked.signal_id, "again")


def _release(turn: Turn, node: bytes) -> Claim:
    """Take an offer back: it was answered."""
    claim = turn.root.claims.get(node)
    if claim is None or claim.stage != Stage.OFFERED:
        raise ProtocolError(f"root {turn.root.node.hex()} has no offer open to {node.hex()}")
    claim.stage, claim.at_ms = Stage.SETTLING, turn.now_ms
    return claim


def on_answer(turn: Turn, answer: Answer) -> None:
    """Go on with what was answered."""
    if answer.to_proposal:
        _on_proposal_answered(turn, answer)
    else:
        _on_link_answered(turn, answer)


def _on_proposal_answered(turn: Turn, answer: Answer) -> None:
    root, proposal = turn.root, turn.root.proposal
    if proposal is None:
        raise ProtocolError(f"root {root.node.hex()} has no proposal open that {answer.root.hex()} could answer")
    root.proposal = None
    if answer.verdict == "accept":
        turn.record = Alias(answer.root, turn.now_ms)
        turn.send(answer.root, Absorb(root.node, encode(root), answer.signal_id))
        return
    if answer.verdict == "refuse":
        remember(turn, proposal.theirs, Refusal(answer.root, answer.limit, answer.signal_id, turn.now_ms))
    advance(turn)


def _on_link_answered(turn: Turn, answer: Answer) -> None:
    root = turn.root
    claim = _release(turn, answer.node) if answer.releases else None
    if answer.verdict == "joined" and claim is not None:
        root.members[answer.node] = Member(claim.kind, claim.value, turn.now_ms, claim.signal_id)
        del root.claims[answer.node]
        turn.events.append(Joined(answer.node, root.node, claim.kind))
    elif answer.verdict == "move":
        tie(turn, answer.root, Waiting(answer.created_at_ms, root.node, answer.node, answer.signal_id))
    elif answer.verdict == "refuse":
        remember(turn, answer.node, Refusal(answer.root, answer.limit, answer.signal_id, turn.now_ms))
    elif answer.verdict == "again":
        root.claims.pop(answer.node, None)
    advance(turn)


def tie(turn: Turn, other: bytes, link: Waiting) -> None:
    """See to it that another root and we become one: we move to a smaller one, a larger one is asked to come."""
    root = turn.root
    if other in root.members or link.theirs in root.members or _wants_to(root, other):
        return
    if (link.created_at_ms, other) > rank(root):
        counts = count_members(root)
        turn.send(
            other, Link(root.node, root.created_at_ms, link.theirs, counts, offer=False, signal_id=link.signal_id)
        )
    elif len(root.waiting) < MAX_WAITING:
        root.waiting[other] = link
    else:
        turn.events.append(Postponed(root.node, other, link.signal_id))


def on_compress(_turn: Turn, _compress: Compress) -> None:
    """Do nothing: a root has no pointer."""
