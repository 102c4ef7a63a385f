"""Who stays who, who comes together, who parts, and which withdrawal would be lost."""

from typing import Any

from deploy.rebuild.diff import compare, customers_of
from deploy.rebuild.reasons import differences
from schemas.identifiers import KINDS, Blocked, Forms
from schemas.identity_rules import DEFAULT_LIMITS, IdentityRules, SourceTrust


def profile(customer: int, *nodes: int, withdrawn: bool = False) -> dict[str, Any]:
    members = [{"node": bytes([node]) * 16, "kind": "email"} for node in nodes]
    consent = [{"purpose": "marketing", "channel": "sms", "granted": not withdrawn}]
    return {"customer": bytes([customer]) * 16, "members": members, "consent": consent}


def test_every_change_has_its_count() -> None:
    """One stays under another id, two come together, one parts, one goes, one is new."""
    before = customers_of([profile(1, 1, 2), profile(3, 3), profile(4, 4), profile(5, 5, 6), profile(7, 7)])
    after = customers_of([profile(2, 1, 2), profile(3, 3, 4), profile(5, 5), profile(6, 6), profile(8, 8)])
    diff = compare(before, after)
    assert (diff.before, diff.after, diff.same, diff.moved) == (5, 5, 1, 1)
    assert (diff.merged, diff.split, diff.only_before, diff.only_after) == (1, 1, 1, 1)
    assert [change["change"] for change in diff.changes] == ["split", "merged"]
    assert diff.changes[0]["kinds"] == {"email": 2}
    assert diff.changes[0]["because"] == []


def test_a_change_names_the_rules_that_are_about_its_identifiers() -> None:
    """What is about other kinds is not named; what is about all of them is."""
    rules = IdentityRules(
        limits={**DEFAULT_LIMITS, "email": 3, "phone": 1},
        links=frozenset(KINDS) - {"email"},
        sources={"crm": SourceTrust(link=False)},
        forms=Forms(blocked={**Forms().blocked, "email": Blocked(frozenset({"info@shop.example"}))}, region="DE"),
    )
    reasons = differences(IdentityRules(), rules)
    diff = compare(customers_of([profile(1, 1, 2)]), customers_of([profile(1, 1), profile(2, 2)]), reasons)
    assert diff.changes[0]["because"] == [
        "email: may tie, now may not",
        "email: limits 5, now 3",
        "email: blocked values changed",
        "region (form): none, now DE",
        "source crm: none, now SourceTrust(link=False, rank=100)",
    ]
    assert "phone: limits 5, now 1" in diff.rules
    assert differences(IdentityRules(), IdentityRules()) == []


def test_a_lost_withdrawal_is_named() -> None:
    """Nobody after holds it: it is lost. One of two parts holds it: it is not, and the other part is counted."""
    before = customers_of([profile(1, 1, 2, withdrawn=True), profile(3, 3, withdrawn=True)])
    after = customers_of([profile(1, 1, withdrawn=True), profile(2, 2), profile(3, 3)])
    diff = compare(before, after)
    assert diff.withdrawals_lost == [((b"\x03" * 16).hex(), "marketing", "sms")]
    assert diff.withdrawals_parted == 1
