"""Why two identifiers are one customer, or what keeps them apart: pure.

One customer: the shortest chain of signals that ties them. Two: refusals of links between them, cuts by operators,
and identifiers that are suspended, because they tied too many.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from connectors.operate.graph import Graph, Profile, Tie

# Bytes of a cut's mark, as streams.core.split makes it of a ruling's id; a test holds both to each other.
CUT_BYTES = 8


class Apart(NamedTuple):
    """One thing that keeps two customers apart.

    Parameters
    ----------
    reason : cut, suspended, or the kind of identifier whose limit a merge would break
    ours, theirs : the identifiers of the link that was refused, empty when not known
    told_by : the signal that named both, or the ruling
    """

    reason: str
    ours: str
    theirs: str
    told_by: str
    at_ms: int


class Explanation(NamedTuple):
    """What ties two identifiers, or keeps them apart; one of both is empty."""

    same: bool
    chain: Sequence[Tie]
    apart: Sequence[Apart]


def explain(one: str, ours: Profile, other: str, theirs: Profile) -> Explanation:
    """Return why two identifiers are one customer or two.

    Parameters
    ----------
    one, other : nodes, hex
    ours, theirs : the profiles of the customers to which they belong, as in the view

    Notes
    -----
    Two of one customer without a chain: the profile is from before ties were kept.
    """
    if ours["customer"] == theirs["customer"]:
        return Explanation(same=True, chain=Graph(ours).path(one, other) or (), apart=())
    found = [*_refused(ours, theirs), *(_turned(each) for each in _refused(theirs, ours))]
    known = {(each.reason, frozenset((each.ours, each.theirs))) for each in found if each.reason == "cut"}
    if not known:
        found += [Apart("cut", "", "", "", 0) for _ in sorted(_cuts(ours) & _cuts(theirs))[:1]]
    found += [*_suspended(ours, one), *(_turned(each) for each in _suspended(theirs, other))]
    unique: dict[tuple[str, str, str], Apart] = {}
    for each in sorted(found, key=lambda each: (-each.at_ms, each)):
        unique.setdefault((each.reason, each.ours, each.theirs), each)
    return Explanation(same=False, chain=(), apart=list(unique.values()))


def cut_of(ruling: str) -> str:
    """Return the mark of the cut that a ruling made, hex."""
    return blake2b(ruling.encode(), digest_size=CUT_BYTES).hexdigest()


def _refused(ours: Profile, theirs: Profile) -> list[Apart]:
    """Return the refusals of one profile that are about the other; the other's id may have been another one then."""
    nodes = {theirs["customer"], *(member["node"] for member in theirs["members"])}
    return [
        Apart(refusal["reason"], refusal.get("ours", ""), refusal.get("theirs", ""), refusal["signal_id"], _at(refusal))
        for refusal in ours["refusals"]
        if refusal.get("theirs") in nodes or refusal["other"] in nodes
    ]


def _at(refusal: Mapping[str, Any]) -> int:
    return int(refusal["at_ms"])


def _turned(apart: Apart) -> Apart:
    return apart._replace(ours=apart.theirs, theirs=apart.ours)


def _cuts(profile: Profile) -> set[str]:
    return {cut for member in profile["members"] for cut in member.get("cuts", ())}


def _suspended(profile: Profile, node: str) -> list[Apart]:
    return [
        Apart("suspended", node, "", member["signal_id"], member["suspended_at_ms"])
        for member in profile["members"]
        if member["node"] == node and member.get("suspended_at_ms")
    ]
