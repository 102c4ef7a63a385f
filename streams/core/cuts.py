"""What an operator has parted stays parted: cuts count like identifiers of a kind that may not come together.

Each cut has two sides. Its mark, cut and side, lies on every member of either part and goes with it wherever it goes:
into another customer, through another split. Where roots count what they would bring to each other, marks are counted
with the identifiers, and two sides of one cut are a limit that is broken. So promises, offers and waiting, which keep
limits under any order of messages, keep cuts, too.
"""

from collections.abc import Mapping
from typing import Final

from schemas.identity_rules import IdentityRules
from streams.core.limits import broken_limit, count_members
from streams.core.state import Root

# Limits of a refusal that no kind of identifier has.
CUT: Final = "cut"
SUSPENDED: Final = "suspended"
ERASED: Final = "erased"
# Cuts that one identifier may carry: an operator who parts it once more must first say where it does belong.
MAX_CUTS = 16

_MARK = "cut:"


def count(root: Root) -> dict[str, int]:
    """Return the root's identifiers by kind, and its sides of cuts."""
    counts = count_members(root)
    for member in root.members.values():
        for cut, side in member.cuts.items():
            counts[f"{_MARK}{cut.hex()}:{side}"] = 1
    return counts


def forbids(rules: IdentityRules, counts: Mapping[str, int], more: Mapping[str, int]) -> str | None:
    """Return the limit that would be broken if ``more`` came to ``counts``: a kind, CUT, or None.

    Examples
    --------
    >>> forbids(IdentityRules(), {"cut:0a:0": 1}, {"email": 1, "cut:0a:1": 1})
    'cut'
    """
    for kind in more:
        if kind.startswith(_MARK) and f"{kind[:-1]}{1 - int(kind[-1])}" in counts:
            return CUT
    return broken_limit(rules, counts, more)


def mark(root: Root, nodes: set[bytes], cut: bytes, side: int) -> None:
    """Put a mark on members."""
    for node in nodes:
        member = root.members[node]
        member.cuts = {**member.cuts, cut: side}


def lift(root: Root) -> None:
    """Forget the cuts of which both sides are here: an operator has said that they are one after all.

    What was refused for a cut may be asked again; if it was another cut, it is refused again.
    """
    sides: dict[bytes, set[int]] = {}
    for member in root.members.values():
        for cut, side in member.cuts.items():
            sides.setdefault(cut, set()).add(side)
    lifted = {cut for cut, both in sides.items() if len(both) > 1}
    if lifted:
        for member in root.members.values():
            if not lifted.isdisjoint(member.cuts):
                member.cuts = {cut: side for cut, side in member.cuts.items() if cut not in lifted}
        root.refusals = {theirs: refusal for theirs, refusal in root.refusals.items() if refusal.limit != CUT}
