"""How many identifiers of a kind one customer may have: what keeps two people from becoming one."""

from collections.abc import Mapping
from typing import Final

from schemas.identity_rules import IdentityRules
from streams.core.state import Root

# The limit on all identifiers together, as refusals name it.
MEMBERS: Final = "members"


def count_members(root: Root) -> dict[str, int]:
    """Return the root's identifiers by kind."""
    counts: dict[str, int] = {}
    for member in root.members.values():
        counts[member.kind] = counts.get(member.kind, 0) + 1
    return counts


def add(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Return the sum of two counts by kind. No node has two roots, so counts of two roots add up."""
    total = dict(counts)
    for kind, count in more.items():
        total[kind] = total.get(kind, 0) + count
    return total


def broken_limit(rules: IdentityRules, counts: Mapping[str, int], more: Mapping[str, int]) -> str | None:
    """Return the first kind of which there would be too many if ``more`` and ``counts`` came together, or None.

    MEMBERS where no kind is too many but all together are.

    A limit that one of them has broken already (it was lowered since, or an operator overruled it) forbids only what
    adds to it: the other must have some of the kind. So either may ask the other, the answer is the same.

    Examples
    --------
    >>> broken_limit(IdentityRules(), {"user_id": 1}, {"email": 1, "user_id": 1})
    'user_id'
    """
    for kind, count in more.items():
        limit = rules.limits.get(kind)
        if limit is not None and count and 0 < counts.get(kind, 0) > limit - count:
            return kind
    together = _all(rules, counts) + _all(rules, more)
    return MEMBERS if together > rules.members else None


def _all(rules: IdentityRules, counts: Mapping[str, int]) -> int:
    """Return the identifiers of all kinds; marks of cuts are counted beside them and are none."""
    return sum(count for kind, count in counts.items() if kind in rules.ranks)
