"""How many identifiers of a kind one customer may have: what keeps two people from becoming one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.identifiers import KINDS
from streams.core.state import Root

# Two accounts or two CRM entries are two people. A person has a few addresses, numbers and cards, several devices,
# and a new anonymous id with every browser and every cleared cookie; beyond these it is a shared machine or a bot.
DEFAULT_LIMITS: Mapping[str, int] = {
    "user_id": 1,
    "crm_id": 1,
    "loyalty_id": 2,
    "email": 5,
    "phone": 5,
    "device_id": 10,
    "anonymous_id": 50,
}


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """The rules of merging.

    Parameters
    ----------
    limits : most identifiers per kind and customer, at least 1; a kind that is not named has no limit

    Raises
    ------
    ValueError
        for a kind that does not exist or a limit below 1
    """

    limits: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_LIMITS))

    def __post_init__(self) -> None:
        for kind, limit in self.limits.items():
            if kind not in KINDS:
                raise ValueError(f"identity limits: kind {kind!r} is not one of {', '.join(KINDS)}")
            if limit < 1:
                raise ValueError(f"identity limits: {kind} is {limit}; a customer has at least 1")


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
    """Return the first kind of which there would be too many if ``more`` came to ``counts``, or None.

    A limit that is broken already (it was lowered since) forbids only what adds to it.

    Examples
    --------
    >>> broken_limit(IdentityRules(), {"user_id": 1}, {"email": 1, "user_id": 1})
    'user_id'
    """
    for kind, count in more.items():
        limit = rules.limits.get(kind)
        if limit is not None and count and counts.get(kind, 0) + count > limit:
            return kind
    return None
