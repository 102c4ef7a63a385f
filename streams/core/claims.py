"""Claims: identifiers that a signal named beside one of ours, until each is a member, refused, or settled otherwise."""

from streams.core.cuts import count, forbids
from streams.core.limits import add
from streams.core.links import Link
from streams.core.state import Claim, Proof, Root, Tie
from streams.core.turn import (
    MAX_ALSO,
    MAX_CLAIMS,
    RETRY_AFTER_MS,
    Stage,
    Turn,
    count_offers,
    count_sure,
    is_refused,
    refuse,
)


def hold_claim(turn: Turn, node: bytes, claim: Claim) -> bool:
    """Take up an identifier that a signal named; return whether there is anything to send."""
    root = turn.root
    pending = root.claims.get(node)
    if node in root.members or is_refused(root, node, turn.now_ms):
        return False
    if pending is not None and (pending.stage != Stage.SETTLING or turn.now_ms - pending.at_ms < RETRY_AFTER_MS):
        remember_also(pending, claim, turn.now_ms)
        return False
    if pending is None and len(root.claims) >= MAX_CLAIMS:
        settling = next((n for n, claim in root.claims.items() if claim.stage == Stage.SETTLING), None)
        if settling is None:
            turn.postpone(node, Proof(claim.by, node, claim.signal_id))
            return False
        del root.claims[settling]
    root.claims[node] = claim
    return True


def remember_also(pending: Claim, claim: Claim, now_ms: int) -> None:
    """Keep with a claim that is under way what another claim on the same identifier has stated."""
    pending.ruling = pending.ruling or claim.ruling
    more = {claim.by: Tie(claim.ruling or claim.signal_id, claim.source, now_ms), **claim.also}
    for by, stated in more.items():
        if by != pending.by and len(pending.also) < MAX_ALSO:
            pending.also.setdefault(by, stated)


def place_claims(turn: Turn) -> None:
    """Send the links that are held, each with an offer, as far as there is room."""
    root = turn.root
    held = [(node, claim) for node, claim in root.claims.items() if claim.stage == Stage.HELD]
    if not held:
        return
    members = count(root)
    taken = add(count_sure(root), count_offers(root))
    for node, claim in held:
        one = {claim.kind: 1}
        limit = None if claim.ruling else forbids(turn.rules, members, one)
        if limit is not None:
            proof = Proof(claim.by, node, claim.signal_id, claim.source)
            refuse(turn, proof, node, limit)
            turn.note_refusal(proof, limit)
        elif claim.ruling or not forbids(turn.rules, taken, one):
            taken = add(taken, one)
            claim.stage, claim.at_ms = Stage.OFFERED, turn.now_ms
            turn.send(
                node, link_of(root, Proof(claim.by, node, claim.signal_id, claim.source, claim.ruling), offer=True)
            )


def link_of(root: Root, proof: Proof, *, offer: bool) -> Link:
    """Return the message that asks for a link."""
    return Link(
        root.node,
        root.created_at_ms,
        proof.theirs,
        count(root),
        offer=offer,
        signal_id=proof.signal_id,
        by=proof.ours,
        source=proof.source,
        ruling=proof.ruling,
    )


def without_value(claim: Claim) -> None:
    """Forget the value of a claim whose node is somebody's: only a node that nobody holds joins with it.

    So no customer keeps the value of an identifier that is another's, and that other may be erased.
    """
    claim.value = claim.original = ""
