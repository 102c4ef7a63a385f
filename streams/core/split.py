"""Undoing: a customer falls into the parts that there would be without a tie or an identifier.

A root parts only while no proposal, promise or offer of its own is open: what others count on never changes under
them. The part that holds the root's own node keeps the customer's id. Each other part is sent to one of its nodes,
which becomes its root (*found*); all other nodes are told where they belong (*repoint*).

Facets go with their nodes, exactly. What protects the customer stays on both sides: withdrawals of consent, and the
contacts that count for caps. An operator's cut leaves its mark on every member, see cuts.py.
"""

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Final

from streams.core import ties
from streams.core.ceiling import keep_below
from streams.core.cuts import CUT, MAX_CUTS, SUSPENDED, mark
from streams.core.erasure import ERASE, erase
from streams.core.kept import keep
from streams.core.links import Found, Parted, Reconsider, Released, Repoint, Rule
from streams.core.near import likeness
from streams.core.relations import related
from streams.core.state import Chapter, Claim, Ordered, Refusal, Root, Waiting, encode
from streams.core.turn import MAX_ORDERED, Stage, Turn, keep_refusal

# Our own order beside the operators' (cut, split, merge, release, erase): an identifier was suspended.
SUSPEND: Final = "suspend"
# Bytes of a cut's mark: among a customer's few cuts, 8 bytes never meet by chance.
CUT_BYTES = 8


def order(turn: Turn, rule: Rule) -> None:
    """Take up a ruling; it is obeyed as soon as no handshake is open."""
    root = turn.root
    if len(root.ordered) >= MAX_ORDERED:
        turn.void(rule.node, "too-many", rule.id)
    else:
        root.ordered.append(Ordered(rule.id, rule.kind, rule.node, rule.other))


def obey(turn: Turn) -> None:
    """Obey all that was ruled. No proposal, promise or offer is open."""
    root = turn.root
    while root.ordered:
        each = root.ordered.pop(0)
        if each.node not in root.members:  # it has just left
            turn.send(each.node, Rule(each.id, each.kind, each.node, each.other))
            continue
        if each.kind == ERASE:
            erase(turn, each)
            return
        reason = _OBEY[each.kind](turn, each)
        if reason is not None:
            turn.void(each.node, reason, each.id)


def _cut(turn: Turn, ruling: Ordered) -> str | None:
    """Take one tie away."""
    root, one, other = turn.root, ruling.node, ruling.other
    if other not in root.members:
        return "not-one-customer"
    key = ties.pair(one, other)
    if key not in root.ties:
        return "not-tied"
    groups = ties.parts(root, cut=key)
    if len(groups) < 2:
        return "still-tied"
    near = next(group for group in groups if one in group)
    return _part_for_good(turn, ruling, groups, near)


def _split(turn: Turn, ruling: Ordered) -> str | None:
    """Take an identifier out."""
    root, node = turn.root, ruling.node
    if len(root.members) < 2:
        return "only-member"
    return _part_for_good(turn, ruling, ties.parts(root, without={node}), {node})


def _part_for_good(turn: Turn, ruling: Ordered, groups: list[set[bytes]], near: set[bytes]) -> str | None:
    """Part, and mark both sides so that they stay parted; ``near`` is one of the groups."""
    root = turn.root
    if any(len(member.cuts) >= MAX_CUTS for member in root.members.values()):
        return "too-many"
    cut = blake2b(ruling.id.encode(), digest_size=CUT_BYTES).digest()
    mark(root, near, cut, 0)
    mark(root, set(root.members) - near, cut, 1)
    part(turn, groups, "ruling", ruling.id)
    return None


def _suspend(turn: Turn, ruling: Ordered) -> str | None:
    """Take a suspended identifier out; nothing is marked: those it tied may well be tied by something else."""
    root, node = turn.root, ruling.node
    _drop_what_may_not_tie(root, root)
    if len(root.members) > 1:
        part(turn, ties.parts(root, without={node}), "links", "")
    return None


def _merge(turn: Turn, ruling: Ordered) -> str | None:
    """Ask the other's customer to become one with this, whatever limits and cuts say."""
    root, other = turn.root, ruling.other
    if other in root.members:
        return "same-customer"
    pending = root.claims.get(other)
    if pending is not None and pending.ruling:
        return "busy"
    root.refusals.pop(other, None)
    root.claims[other] = Claim("", "", ruling.id, turn.now_ms, Stage.HELD, by=ruling.node, ruling=ruling.id)
    return None


def _release(turn: Turn, ruling: Ordered) -> str | None:
    """End a suspension."""
    root, member = turn.root, turn.root.members[ruling.node]
    if not member.suspended_at_ms:
        return "not-suspended"
    member.suspended_at_ms = 0
    _reconsider(turn, lambda limit: limit == SUSPENDED)
    turn.events.append(Released(root.node, ruling.node, ruling.id))
    turn.tell(Chapter("released", ruling.node, "ruling", ruling.id, ruling.id, turn.now_ms))
    return None


_OBEY: Final = {
    "cut": _cut,
    "split": _split,
    "merge": _merge,
    "release": _release,
    "different": likeness.distinguish,
    SUSPEND: _suspend,
}
KINDS: Final = frozenset({*_OBEY, ERASE})
# What operators may rule, and which of it names two identifiers.
OF_TWO: Final = frozenset({"cut", "merge", "different"})
RULINGS: Final = KINDS - {SUSPEND}


def part(turn: Turn, groups: list[set[bytes]], reason: str, ruling: str) -> None:
    """Part a root; ``groups`` are all its members."""
    root, now_ms = turn.root, turn.now_ms
    _reconsider(turn, lambda limit: limit != SUSPENDED)
    whole = Root(root.node, root.created_at_ms, root.members, root.facets, kept=root.kept)
    all_ties, members = root.ties, root.members
    leaving = [group for group in groups if root.node not in group]
    stays = next(group for group in groups if root.node in group)
    parted = [(root, stays)]
    for group in leaving:
        lead = _lead(root, group)
        parted.append((Root(lead, members[lead].created_at_ms or members[lead].since_ms), group))
    _share(turn, parted)
    for new, group in parted:
        new.kept = keep(whole, group, now_ms)
        if new is not root:
            chapter = Chapter("split", root.node, reason, ruling, ruling, now_ms)
            new.story = [chapter]
            turn.tell(Chapter("split", new.node, reason, ruling, ruling, now_ms))
    _refuse_again(turn, parted, all_ties, reason, ruling)
    for new, group in parted:
        for node in sorted(group - {new.node}):
            turn.send(node, Repoint(new.node))
    # After all news, so that a part that parts again at once cannot overtake them.
    for new, group in parted:
        if new is not root:
            keep_below(new)  # a batch may have made it larger than a message may be
            turn.send(new.node, Found(encode(new)))
            turn.events.append(Parted(root.node, new.node, tuple(sorted(group)), reason, ruling))


def _lead(root: Root, group: set[bytes]) -> bytes:
    """Return the node that becomes the root of a part: who was the oldest customer, else the oldest member."""
    members = root.members
    opened = [node for node in group if members[node].created_at_ms]
    if opened:
        return min(opened, key=lambda node: (members[node].created_at_ms, node))
    return min(group, key=lambda node: (members[node].since_ms, node))


def _share(turn: Turn, parted: list[tuple[Root, set[bytes]]]) -> None:
    """Give each part what belongs to its nodes; who asks for a node that has left is told where it is."""
    root = turn.root
    old = Root(root.node, root.created_at_ms, root.members, root.facets, root.claims, root.waiting)
    old.asked, old.refusals, old.tallies, old.ties = root.asked, root.refusals, root.tallies, root.ties
    old.likenesses = root.likenesses
    old.relations = root.relations
    for new, group in parted:
        new.members = {node: member for node, member in old.members.items() if node in group}
        new.facets = {node: facet for node, facet in old.facets.items() if node in group}
        _drop_what_may_not_tie(new, old)
        new.refusals = {theirs: refusal for theirs, refusal in old.refusals.items() if refusal.ours in group}
        new.likenesses = likeness.share(old, group)
        related.share(turn, old, new)
        new.tallies = {node: tally for node, tally in old.tallies.items() if node in group}
        new.ties = {key: tie for key, tie in old.ties.items() if group.issuperset(ties.ends(key))}
    root.asked = {}
    for other, asked in old.asked.items():
        home = next(new for new, group in parted if asked.proof.ours in group)
        if home is root:
            root.asked[other] = asked
        else:
            turn.send_elsewhere(other, asked, home)


def _drop_what_may_not_tie(new: Root, old: Root) -> None:
    """Let a part go on with those claims and waiting links that its own identifiers may still make."""
    new.claims = {node: _held(claim) for node, claim in old.claims.items() if _may_tie(new, claim.by, claim.ruling)}
    waiting = {}
    for to, link in old.waiting.items():
        proofs = [proof for proof in (link.proof, *link.also) if _may_tie(new, proof.ours, proof.ruling)]
        if proofs:
            waiting[to] = Waiting(link.created_at_ms, proofs[0], proofs[1:])
    new.waiting = waiting  # now only: a suspension drops its own


def _held(claim: Claim) -> Claim:
    """Hold a claim again: what it has brought about may have gone to another part."""
    claim.stage = Stage.HELD
    return claim


def _may_tie(new: Root, ours: bytes, ruling: str) -> bool:
    """Say whether an identifier is this part's and may tie it to others."""
    member = new.members.get(ours)
    return member is not None and (not member.suspended_at_ms or bool(ruling))


def _reconsider(turn: Turn, may_fit: Callable[[str], bool]) -> None:
    """Forget refusals that may no longer hold, on both sides; what does hold is refused again when it comes up."""
    root = turn.root
    for theirs, refusal in list(root.refusals.items()):
        if may_fit(refusal.limit):
            del root.refusals[theirs]
            turn.send(theirs, Reconsider(theirs, [refusal.ours]))


def on_reconsider(turn: Turn, news: Reconsider) -> None:
    """Forget refusals of links with these identifiers."""
    for node in news.nodes:
        turn.root.refusals.pop(node, None)


def _refuse_again(
    turn: Turn, parted: list[tuple[Root, set[bytes]]], all_ties: Iterable[bytes], reason: str, ruling: str
) -> None:
    """Remember on both sides what tied them: the same evidence is refused without a handshake, and can be seen."""
    limit = CUT if reason == "ruling" else SUSPENDED
    home = {node: new for new, group in parted for node in group}
    for key in all_ties:
        one, other = ends = ties.ends(key)
        if home[one] is not home[other]:
            for ours, theirs in (ends, (other, one)):
                refusal = Refusal(home[theirs].node, limit, ruling, turn.now_ms, ours)
                keep_refusal(home[ours], theirs, refusal)
