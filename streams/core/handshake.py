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

from collections.abc import Mapping

from streams.core import split, ties
from streams.core.ceiling import keep_below
from streams.core.claims import link_of, place_claims, without_value
from streams.core.cuts import SUSPENDED, count, forbids
from streams.core.limits import add
from streams.core.links import Absorb, Answer, Compress, Joined, Link, Propose
from streams.core.state import (
    Alias,
    Asked,
    Claim,
    Member,
    Ordered,
    Promise,
    Proof,
    Proposal,
    Root,
    Tie,
    Waiting,
    encode,
)
from streams.core.suspend import names_too_many
from streams.core.turn import (
    MAX_ASKED,
    MAX_ORDERED,
    MAX_WAITING,
    ProtocolError,
    Stage,
    Turn,
    count_offers,
    count_sure,
    is_tied,
    proof_of_link,
    rank,
    refuse,
    remember,
)


def advance(turn: Turn) -> None:
    """Do what the root may do now: obey what was ruled, else move if it wants to, else answer who asked, else link."""
    root = turn.root
    if root.proposal is not None:
        return
    if root.ordered:
        if is_tied(root):
            return
        split.obey(turn)
        if turn.record is not root:  # it was erased
            return
    if root.waiting:
        if not is_tied(root):
            _propose(turn)
    elif _answer_asked(turn):
        place_claims(turn)


def _propose(turn: Turn, *, releases: bool = False) -> None:
    root = turn.root
    to, link = next(iter(root.waiting.items()))
    proof = link.proof
    if link.also:
        root.waiting[to] = Waiting(link.created_at_ms, link.also[0], link.also[1:])
    else:
        del root.waiting[to]
    root.proposal = Proposal(to, proof)
    turn.send(
        to,
        Propose(
            root.node,
            root.created_at_ms,
            count(root),
            proof.ours,
            releases,
            proof.signal_id,
            proof.theirs,
            proof.source,
            proof.ruling,
        ),
    )


def _answer_asked(turn: Turn) -> bool:
    """Answer the proposals that can be; return whether all were."""
    root = turn.root
    if not root.asked:
        return True
    sure, offers = count_sure(root), count_offers(root)
    for other, asked in list(root.asked.items()):
        if asked.proof.ruling and root.promises:  # it may lift cuts that were counted when these were given
            return False
        limit = _forbidden(turn, sure, asked)
        if limit is None and _forbidden(turn, add(sure, offers), asked):
            continue
        del root.asked[other]
        if limit is None:
            sure = add(sure, asked.counts)
            root.promises[other] = Promise(asked.counts, asked.proof)
            turn.answer_proposal(other, asked, "accept")
        else:
            refuse(turn, asked.proof, other, limit)
            turn.answer_proposal(other, asked, "refuse", limit)
    return not root.asked


def _forbidden(turn: Turn, counts: Mapping[str, int], asked: Asked) -> str | None:
    """Return the limit that a proposal would break; a ruling breaks none."""
    if asked.proof.ruling:
        return None
    if turn.root.members[asked.proof.ours].suspended_at_ms:  # since it was asked
        return SUSPENDED
    return forbids(turn.rules, counts, asked.counts)


def on_link(turn: Turn, link: Link) -> None:
    """Answer a link for one of our identifiers."""
    root = turn.root
    if link.root == root.node:  # what was linked has come to us meanwhile
        if link.offer:
            claim = _release(turn, link.node)
            del root.claims[link.node]
            ties.bind_claim(root, link.node, claim, turn.now_ms)
            if claim.ruling:
                turn.void(claim.by, "same-customer", claim.ruling)
            advance(turn)
        return
    if link.root in root.members:  # who asked has come to us meanwhile
        return
    if not link.ruling and _is_suspended(turn, link.node, link.root):
        refuse(turn, proof_of_link(link), link.root, SUSPENDED)
        turn.answer_link(link, "refuse", SUSPENDED)
        advance(turn)
        return
    limit = None if link.ruling else forbids(turn.rules, count(root), link.counts)
    if limit is not None:
        refuse(turn, proof_of_link(link), link.root, limit)
        turn.answer_link(link, "refuse", limit)
    elif rank(root) < (link.created_at_ms, link.root):
        turn.answer_link(link, "move")
    else:
        _move_later(turn, link)


def _is_suspended(turn: Turn, ours: bytes, other: bytes) -> bool:
    """Say whether an identifier of ours ties nobody, for one because this customer is one too many."""
    root = turn.root
    if root.members[ours].suspended_at_ms:
        return True
    if not names_too_many(turn, ours, other):
        return False
    if len(root.ordered) < MAX_ORDERED:
        root.ordered.append(Ordered("", split.SUSPEND, ours, b""))  # obeyed when the caller has refused
    return True


def _move_later(turn: Turn, link: Link) -> None:
    """Propose ourselves to the smaller root that sent the link, at once or as soon as we may."""
    root = turn.root
    # What was asked without a ruling may be refused: with one it is asked again.
    known = link.root in root.waiting or (not link.ruling and _wants_to(root, link.root))
    if not known and not link.ruling and len(root.waiting) >= MAX_WAITING:
        turn.postpone(link.root, proof_of_link(link))
        turn.answer_link(link, "again")
        return
    free = root.proposal is None and not root.waiting and not is_tied(root)
    if not known or link.ruling:
        _wait_for(root, link.root, Waiting(link.created_at_ms, proof_of_link(link)))
    if free:
        _propose(turn, releases=link.offer)  # one message answers both
    elif link.offer:
        turn.answer_link(link, "later")


def _wait_for(root: Root, other: bytes, link: Waiting) -> None:
    """Want to move to another root; what we wanted of it before comes after."""
    before = root.waiting.get(other)
    proofs = [link.proof, *link.also] + ([before.proof, *before.also] if before is not None else [])
    each = {(proof.ours, proof.theirs, proof.ruling): proof for proof in proofs}
    first, *also = each.values()
    root.waiting[other] = Waiting(link.created_at_ms, first, also)


def _wants_to(root: Root, other: bytes) -> bool:
    """Say whether the root will move, or has asked to move, to the other."""
    return other in root.waiting or (root.proposal is not None and root.proposal.to == other)


def on_propose(turn: Turn, propose: Propose) -> None:
    """Take up a larger root's proposal; it is answered as soon as it can be.

    It is smaller only where a split has made us from the customer it knew: then we go to it.
    """
    root = turn.root
    proof = Proof(propose.theirs, propose.node, propose.signal_id, propose.source, propose.ruling)
    if propose.releases:
        without_value(_release(turn, propose.node))
    asked = Asked(propose.counts, proof)
    if not proof.ruling and _is_suspended(turn, proof.ours, propose.root):
        refuse(turn, proof, propose.root, SUSPENDED)
        turn.answer_proposal(propose.root, asked, "refuse", SUSPENDED)
    elif (propose.created_at_ms, propose.root) <= rank(root):
        turn.answer_proposal(propose.root, asked, "elsewhere")
    else:
        take_asked(turn, propose.root, asked)
    advance(turn)


def take_asked(turn: Turn, other: bytes, asked: Asked) -> None:
    """Keep a proposal until it can be answered."""
    if len(turn.root.asked) < MAX_ASKED or asked.proof.ruling:
        turn.root.asked[other] = asked
    else:
        turn.postpone(other, asked.proof)
        turn.answer_proposal(other, asked, "again")


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
        keep_below(root)  # a batch may have made it larger than a message may be
        turn.send(answer.root, Absorb(root.node, encode(root), answer.signal_id))
        return
    if answer.verdict == "refuse":
        remember(turn, proposal.proof, answer.root, answer.limit)
    elif answer.verdict == "elsewhere":
        tie(turn, answer.root, Waiting(answer.created_at_ms, proposal.proof))
    advance(turn)


def _on_link_answered(turn: Turn, answer: Answer) -> None:
    root = turn.root
    claim = _release(turn, answer.node) if answer.releases else None
    proof = Proof(answer.theirs, answer.node, answer.signal_id, answer.source, answer.ruling)
    if claim is not None and answer.verdict != "joined":
        without_value(claim)
    if answer.verdict == "joined" and claim is not None:
        _take_in(turn, answer.node, claim)
    elif answer.verdict == "move":
        if not proof.ruling and _is_suspended(turn, proof.ours, answer.root):
            refuse(turn, proof, answer.root, SUSPENDED)
            turn.note_refusal(proof, SUSPENDED)
        else:
            tie(turn, answer.root, Waiting(answer.created_at_ms, proof))
    elif answer.verdict == "refuse":
        remember(turn, proof, answer.root, answer.limit)
    elif answer.verdict in ("again", "unknown"):
        root.claims.pop(answer.node, None)
        if answer.verdict == "unknown" and answer.ruling:
            turn.void(answer.theirs, "unknown-customer", answer.ruling)
    advance(turn)


def _take_in(turn: Turn, node: bytes, claim: Claim) -> None:
    """Make a new identifier a member."""
    root = turn.root
    root.members[node] = Member(
        claim.kind, claim.value, turn.now_ms, claim.signal_id, source=claim.source, original=claim.original
    )
    del root.claims[node]
    ties.bind(root, claim.by, node, Tie(claim.signal_id, claim.source, turn.now_ms))
    ties.bind_claim(root, node, claim, turn.now_ms)
    turn.events.append(Joined(node, root.node, claim.kind))


def tie(turn: Turn, other: bytes, link: Waiting) -> None:
    """See to it that another root and we become one: we move to a smaller one, a larger one is asked to come."""
    root, proof = turn.root, link.proof
    if other in root.members or proof.theirs in root.members:
        return
    if _wants_to(root, other) and not proof.ruling:
        return
    if (link.created_at_ms, other) > rank(root):
        turn.send(other, link_of(root, proof, offer=False))
    elif proof.ruling or len(root.waiting) < MAX_WAITING:
        _wait_for(root, other, link)
    else:
        turn.postpone(other, proof)


def on_compress(_turn: Turn, _compress: Compress) -> None:
    """Do nothing: a root has no pointer."""
