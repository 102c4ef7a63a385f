"""The limits of one customer."""

import pytest

from schemas.identity_rules import IdentityRules
from streams.core.limits import add, broken_limit, count_members
from streams.core.state import Member, Root


@pytest.mark.parametrize(
    ("counts", "more", "broken"),
    [
        ({"user_id": 1}, {"user_id": 1}, "user_id"),
        ({"user_id": 1}, {"email": 5}, None),
        ({"email": 1}, {"email": 5}, "email"),
        ({}, {"anonymous_id": 50}, None),
        ({"user_id": 2}, {"email": 1}, None),  # the limit was lowered since: nothing is added to it
        ({"user_id": 2}, {"user_id": 0}, None),
    ],
)
def test_a_limit_counts_both_sides(counts: dict[str, int], more: dict[str, int], broken: str | None) -> None:
    assert broken_limit(IdentityRules(), counts, more) == broken


def test_a_kind_without_a_limit_is_free() -> None:
    assert broken_limit(IdentityRules({"email": 1}), {"user_id": 9}, {"user_id": 9}) is None


@pytest.mark.parametrize(("limits", "says"), [({"shoe_size": 1}, "shoe_size"), ({"email": 0}, "at least 1")])
def test_rules_that_cannot_be_are_refused(limits: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        IdentityRules(limits)


def test_members_are_counted_by_kind() -> None:
    kinds = ("email", "email", "phone")
    root = Root(b"n", 0, {bytes([i]): Member(kind, "", 0, "") for i, kind in enumerate(kinds)})
    assert count_members(root) == {"email": 2, "phone": 1}
    assert add(count_members(root), {"email": 1, "user_id": 1}) == {"email": 3, "phone": 1, "user_id": 1}
