"""Values that everybody gives: an identifier that ties too many customers within a window is no longer believed.

A shop's own tablet, 0000000, a travel agent's address: no list of blocked values holds them all, but each shows itself.
The root that has the identifier tallies who names it. Above the declared number it is suspended: taken out of its
customer, which falls into the parts that there would be without it, and from then on it ties nobody.
"""

from streams.core.links import Suspended
from streams.core.state import Chapter, Tally
from streams.core.turn import Turn

# Bytes kept of each customer's root: among a few dozen, two are taken for one with probability 10^-7.
_KEPT = 4


def names_too_many(turn: Turn, node: bytes, other: bytes) -> bool:
    """Note that another customer named one of our identifiers; return whether it is suspended by that.

    Parameters
    ----------
    node : the identifier, a member
    other : the other customer's root
    """
    root, member = turn.root, turn.root.members[node]
    bound = turn.rules.suspends(member.kind)
    if bound is None:
        return False
    tally = root.tallies.get(node)
    if tally is None or turn.now_ms - tally.since_ms > bound.window_ms:
        tally = root.tallies[node] = Tally(turn.now_ms, b"")
    mark = other[:_KEPT]
    if all(tally.roots[i : i + _KEPT] != mark for i in range(0, len(tally.roots), _KEPT)):
        tally.roots += mark
    if len(tally.roots) <= bound.above * _KEPT:
        return False
    del root.tallies[node]
    member.suspended_at_ms = turn.now_ms
    turn.events.append(Suspended(root.node, node, member.kind, member.signal_id))
    turn.tell(Chapter("suspended", node, "links", member.signal_id, "", turn.now_ms))
    return True
