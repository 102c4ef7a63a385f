"""Why the members of a customer are one: the graph of who was named together.

Every join and every merge leaves the tie that proved it, so the ties always connect all members (property test). That
is what makes a cut exact: take a tie or an identifier away, and the parts that no longer hold together are the
customers that there would have been without it.
"""

from collections.abc import Collection

from schemas.identifiers import NODE_BYTES
from streams.core.state import Claim, Proof, Root, Tie

# Ties beyond those that hold the members together, so that a shop's tablet costs no more than a family: with 75
# members at most (limits.DEFAULT_LIMITS), three more ways to each.
MAX_TIES = 256


def pair(one: bytes, other: bytes) -> bytes:
    """Return the key of a tie: both nodes, the smaller first."""
    return one + other if one < other else other + one


def ends(key: bytes) -> tuple[bytes, bytes]:
    """Return both nodes of a tie."""
    return key[:NODE_BYTES], key[NODE_BYTES:]


def bind(root: Root, one: bytes, other: bytes, tie: Tie) -> None:
    """Keep the tie that made two members one customer; the first that did stays."""
    root.ties.setdefault(pair(one, other), tie)


def prove(root: Root, proof: Proof, at_ms: int) -> None:
    """Keep the tie of a proof."""
    bind(root, proof.ours, proof.theirs, Tie(proof.ruling or proof.signal_id, proof.source, at_ms))


def bind_more(root: Root, one: bytes, other: bytes, tie: Tie) -> bool:
    """Keep one more tie between members, as far as there is room; return whether it is new."""
    ties, key = root.ties, pair(one, other)
    if key in ties or len(ties) >= MAX_TIES or one not in root.members:
        return False
    ties[key] = tie
    return True


def bind_claim(root: Root, node: bytes, claim: Claim, at_ms: int) -> None:
    """Keep what a claim on a node that is a member by now has stated."""
    bind_more(root, claim.by, node, Tie(claim.ruling or claim.signal_id, claim.source, at_ms))
    for by, tie in claim.also.items():
        bind_more(root, by, node, tie)


def parts(root: Root, *, without: Collection[bytes] = (), cut: bytes = b"") -> list[set[bytes]]:
    """Return the members in parts that hold together.

    Parameters
    ----------
    without : nodes taken out: each is a part of its own
    cut : key of a tie that does not count
    """
    near: dict[bytes, list[bytes]] = {node: [] for node in root.members}
    for key in root.ties:
        one, other = ends(key)
        if key != cut and one not in without and other not in without:
            near[one].append(other)
            near[other].append(one)
    found: list[set[bytes]] = []
    left = set(near)
    while left:
        part = {min(left)}
        edge = list(part)
        while edge:
            news = [node for node in near[edge.pop()] if node not in part]
            part.update(news)
            edge.extend(news)
        left -= part
        found.append(part)
    return found
