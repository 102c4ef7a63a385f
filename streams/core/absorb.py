"""The end of the handshake: a root takes in another."""

import msgspec

from streams.core import ties
from streams.core.claims import hold_claim, remember_also
from streams.core.cuts import lift
from streams.core.handshake import advance, take_asked, tie
from streams.core.kept import unite
from streams.core.links import Absorb, Joined, Merged
from streams.core.near import likeness, pairs
from streams.core.relations import related
from streams.core.state import Chapter, Claim, Ordered, Promise, Root, decode
from streams.core.turn import MAX_STORY, ProtocolError, Stage, Turn, keep_refusal


def on_absorb(turn: Turn, absorb: Absorb) -> None:
    """Take in all that a larger root held, and what it left open."""
    root = turn.root
    other = _opened(absorb)
    both = root.facets.keys() & other.facets.keys()
    if both:
        raise ProtocolError(f"roots {root.node.hex()} and {other.node.hex()} both hold facet {min(both).hex()}")
    promise = root.promises.pop(other.node, None)
    if promise is None:
        raise ProtocolError(f"root {root.node.hex()} has promised nothing to {other.node.hex()}, which comes to it")
    root.facets.update(other.facets)
    for node, member in other.members.items():
        # Consent given before this moment was given by another customer, see golden_record.join_consent.
        root.members[node] = msgspec.structs.replace(member, joined_ms=turn.now_ms)
    root.ties.update(other.ties)
    root.tallies.update(other.tallies)
    root.kept = unite(root.kept, other.kept)
    related.unite(turn, other)
    ties.prove(root, promise.proof, turn.now_ms)
    _take_refusals(root, other)
    ruling = _settle(turn, other)
    _tell(turn, other, promise, ruling)
    likeness.unite(turn, other, promise.proof, ruling)
    pairs.remind(turn)
    if promise.proof.ruling:
        lift(root)
    root.ordered.extend(other.ordered)
    for proposer, asked in other.asked.items():
        take_asked(turn, proposer, asked)
    for to, link in other.waiting.items():
        tie(turn, to, link)
    advance(turn)


def _tell(turn: Turn, other: Root, promise: Promise, ruling: str) -> None:
    """Tell the world, and write it into the customer's story."""
    root, signal_id = turn.root, promise.proof.signal_id
    turn.events.append(Merged(root.node, other.node, signal_id, ruling))
    turn.events.extend(Joined(node, root.node, member.kind) for node, member in other.members.items())
    root.story = sorted([*root.story, *other.story], key=lambda chapter: -chapter.at_ms)[: MAX_STORY - 1]
    turn.tell(Chapter("merged", other.node, "ruling" if ruling else "link", signal_id, ruling, turn.now_ms))


def _take_refusals(root: Root, other: Root) -> None:
    """Remember what either had refused, but for each other."""
    for theirs, refusal in other.refusals.items():
        keep_refusal(root, theirs, refusal)
        claim = root.claims.get(theirs)
        if claim is not None and claim.stage != Stage.OFFERED and not claim.ruling:
            del root.claims[theirs]
    root.refusals = {theirs: refusal for theirs, refusal in root.refusals.items() if theirs not in root.members}


def _settle(turn: Turn, other: Root) -> str:
    """Turn claims on each other's identifiers into ties, go on with the rest; return the ruling that is done by that.

    A ruling comes to something where its claim ends, and only there: so it is told once.
    """
    root, ruling = turn.root, ""
    for node, claim in [*root.claims.items(), *other.claims.items()]:
        if claim.stage == Stage.OFFERED:  # it waits for its own answer
            continue
        if node not in root.members:
            _go_on(turn, node, claim)
            continue
        if root.claims.get(node) is claim:
            del root.claims[node]
        ties.bind_claim(root, node, claim, turn.now_ms)
        ruling = ruling or claim.ruling
        if claim.ruling not in ("", ruling):
            turn.void(claim.by, "same-customer", claim.ruling)
    return ruling


def _go_on(turn: Turn, node: bytes, claim: Claim) -> None:
    """Go on with a claim of either on an identifier of somebody else."""
    root = turn.root
    ours = root.claims.get(node)
    if claim.ruling:
        # Asked anew: what it had brought about may have given way to another link between the same roots.
        if ours is claim:
            del root.claims[node]
        root.ordered.append(Ordered(claim.ruling, "merge", claim.by, node))
    elif ours is None and claim.stage == Stage.HELD:
        hold_claim(turn, node, claim)
    elif ours is None:  # what it has brought about goes on without it
        root.claims[node] = claim
    elif ours is not claim:
        remember_also(ours, claim, turn.now_ms)


def _opened(absorb: Absorb) -> Root:
    """Return the root that travels."""
    try:
        record = decode(absorb.root_state)
    except msgspec.DecodeError as exc:
        raise ProtocolError(f"the state of root {absorb.root.hex()} cannot be read: {exc}") from exc
    if not isinstance(record, Root) or record.node != absorb.root:
        raise ProtocolError(f"the state that came for root {absorb.root.hex()} is another's")
    return record
