"""The end of the handshake: a root takes in another."""

import msgspec

from schemas.identifiers import Identifier
from streams.core.handshake import advance, hold_claim, take_asked, tie
from streams.core.links import Absorb, Joined, Merged
from streams.core.state import Root, decode
from streams.core.turn import ProtocolError, Stage, Turn, remember


def on_absorb(turn: Turn, absorb: Absorb) -> None:
    """Take in all that a larger root held, and what it left open."""
    root = turn.root
    other = _opened(absorb)
    both = root.facets.keys() & other.facets.keys()
    if both:
        raise ProtocolError(f"roots {root.node.hex()} and {other.node.hex()} both hold facet {min(both).hex()}")
    root.promises.pop(other.node, None)
    root.facets.update(other.facets)
    for node, member in other.members.items():
        # Consent given before this moment was given by another customer, see golden_record.join_consent.
        root.members[node] = msgspec.structs.replace(member, joined_ms=turn.now_ms)
    turn.events.append(Merged(root.node, other.node, absorb.signal_id))
    turn.events.extend(Joined(node, root.node, member.kind) for node, member in other.members.items())
    for theirs, refusal in other.refusals.items():
        remember(turn, theirs, refusal)
    for node in other.members:
        claim = root.claims.get(node)
        if claim is not None and claim.stage != Stage.OFFERED:
            del root.claims[node]
    for proposer, asked in other.asked.items():
        take_asked(turn, proposer, asked)
    for to, link in other.waiting.items():
        tie(turn, to, link)
    for node, claim in other.claims.items():
        if claim.stage == Stage.HELD:
            hold_claim(turn, node, Identifier(claim.kind, claim.value), claim.signal_id)
    advance(turn)


def _opened(absorb: Absorb) -> Root:
    """Return the root that travels."""
    try:
        record = decode(absorb.root_state)
    except msgspec.DecodeError as exc:
        raise ProtocolError(f"the state of root {absorb.root.hex()} cannot be read: {exc}") from exc
    if not isinstance(record, Root) or record.node != absorb.root:
        raise ProtocolError(f"the state that came for root {absorb.root.hex()} is another's")
    return record
