"""From a proposal of the near stage to a link or a question: what two roots say to each other.

The near stage knows records, not customers: it tells the root of one (*alike*). That root lays what it is before the
root of the other (*compare*). The smaller of both, by (created_at, node), holds the pair, so that it is held once; it
looks whether they are one already, were parted or told apart, and which limit one customer of both would break. Then
it has the near stage weigh all records of both (*borne*): in a chain each link is likely and the ends are strangers.
What is borne becomes a question to a person, or, where the rules say so, a claim like that of any signal. The other
root is told that the pair is held (*holds*), and tells its holder should it be erased.
"""

from hashlib import blake2b

import msgspec

from streams.core.claims import hold_claim
from streams.core.cuts import CUT, count, forbids
from streams.core.handshake import advance
from streams.core.near.carding import cards_of
from streams.core.near.cluster import BORNE
from streams.core.near.likeness import (
    NEAR_MATCH,
    Stage,
    different_from,
    make_room,
    pair_id,
    tell,
    told_apart,
    withdraw,
)
from streams.core.near.messages import Alike, Borne, Compare, Holds, Weighed
from streams.core.state import Claim, Likeness, Root
from streams.core.turn import Stage as ClaimStage
from streams.core.turn import Turn, rank

# The learners of several blocks differ a little on the same pair: so much more makes a question worth asking again.
RAISED = 0.01

_DIGEST = 8
_encode = msgspec.msgpack.Encoder().encode


def on_alike(turn: Turn, alike: Alike) -> bool:
    """Lay what this customer is before the other; return whether the record has changed."""
    root = turn.root
    if alike.other not in root.members and not told_apart(root, (alike.other,)):
        _lay_before(turn, alike.other, alike.node, alike)
    return False


def _lay_before(turn: Turn, node: bytes, ours: bytes, found: Alike | Compare) -> None:
    root = turn.root
    cards = _cards(root)
    if not cards and found.block:
        return  # its facets were taken out since
    turn.send(
        node,
        Compare(
            node,
            ours,
            root.node,
            root.created_at_ms,
            count(root),
            list(root.members),
            different_from(root),
            cards,
            found.match,
            found.household,
            found.pattern,
            found.block,
        ),
    )


def remind(turn: Turn) -> None:
    """Tell those who were told apart from a customer that it has grown: questions on the new part need no answer."""
    for other in different_from(turn.root):
        ours = turn.root.likenesses[other].ours
        if ours in turn.root.members:
            _lay_before(turn, other, ours, Alike(ours, other, 0.0, 0.0, b"", b""))


def _cards(root: Root) -> list[bytes]:
    return [_encode(each) for each in cards_of(root)]


def on_compare(turn: Turn, compare: Compare) -> bool:
    """Hold the pair, or let the other hold it; return whether the record has changed."""
    root = turn.root
    if compare.root in root.members or not root.members.keys().isdisjoint(compare.members):
        return False
    if told_apart(root, compare.members) or not root.members.keys().isdisjoint(compare.different):
        return withdraw(turn, compare.members)
    if rank(root) > (compare.created_at_ms, compare.root):
        _lay_before(turn, compare.other, compare.node, compare)
        return False
    limit = forbids(turn.rules, count(root), compare.counts)
    if limit == CUT:
        return withdraw(turn, compare.members)
    cards = _cards(root)
    if not cards or not compare.cards:
        return False
    return _hold(turn, compare, cards, limit or "")


def _hold(turn: Turn, compare: Compare, cards: list[bytes], limit: str) -> bool:
    """Remember the likeness, unless the same evidence is known, and have all records of both weighed."""
    known = turn.root.likenesses
    seen = blake2b(b"".join([*cards, *compare.cards]), digest_size=_DIGEST).digest()
    other = next((node for node in compare.members if node in known), compare.other)
    found = known.get(other)
    if found is None or found.stage == Stage.THEIRS:
        found = known[other] = Likeness(compare.node, 0.0, 0.0, b"", turn.now_ms, Stage.WEIGHING)
        turn.send(other, Holds(other, compare.node, []))
    elif found.stage == Stage.LINKING and other in turn.root.claims:
        return False  # on its way
    elif found.cards == seen and compare.match < found.match + RAISED:
        return False
    else:
        found.stage = Stage.WEIGHING if found.stage in {Stage.WEIGHING, Stage.UNBORNE} else Stage.AGAIN
    found.match, found.household, found.pattern = compare.match, compare.household, compare.pattern
    found.cards, found.limit = seen, limit
    make_room(turn)
    if other in known:
        turn.events.append(Weighed(found.ours, other, compare.block, cards, compare.cards))
    return True


def on_borne(turn: Turn, borne: Borne) -> bool:
    """Ask a person, or link, or drop what the records do not bear; return whether the record has changed."""
    found = turn.root.likenesses.get(borne.other)
    if found is None or found.stage not in {Stage.WEIGHING, Stage.AGAIN}:
        return False
    if borne.share < BORNE:
        if found.stage == Stage.AGAIN:
            tell(turn, borne.other, found, "gone")
        found.stage = Stage.UNBORNE
        return True
    near = turn.rules.near
    if near is not None and near.automatic is not None and found.match >= near.automatic and not found.limit:
        found.stage = Stage.LINKING
        id_ = pair_id(found.ours, borne.other).hex()
        claim = Claim("", "", id_, turn.now_ms, ClaimStage.HELD, by=found.ours, source=NEAR_MATCH)
        if hold_claim(turn, borne.other, claim):
            tell(turn, borne.other, found, "linking")
            advance(turn)
            return True
    found.stage = Stage.OPEN
    tell(turn, borne.other, found, "open")
    return True
