"""Whom a customer is related to, in words."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.desk.locale import Locale
from connectors.desk.related import MOST_RELATIONS, line, shown


def relation(**other: Any) -> dict[str, Any]:
    made = {"kind": "household", "direction": "both", "customer": "ab" * 16, "signal_id": "s", "source": "crm"}
    return made | {"at_ms": 1_790_000_000_000, "crowded": False} | other


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ({}, "Same household as"),
        ({"kind": "account"}, "Same company as"),
        ({"kind": "referred_by", "direction": "out"}, "Referred by"),
        ({"kind": "referred_by", "direction": "in"}, "Has referred"),
    ],
)
def test_each_kind_has_its_words(given: dict[str, Any], label: str) -> None:
    found = line(relation(**given), "Sara", Locale("en", ZoneInfo("UTC"), 1_790_000_000_000))
    assert (found.label, found.hex, found.name) == (label, "ab" * 16, "Sara")
    assert found.evidence.startswith("\u2068CRM\u2069 · ")


def test_a_crowded_group_names_nobody() -> None:
    found = line(relation(crowded=True, customer=""), "", Locale("fa", ZoneInfo("UTC"), 1_790_000_000_000))
    assert found.hex == ""
    assert found.name == "افراد بسیار: به حساب نمی‌آید"


def test_few_are_shown_and_older_profiles_have_none() -> None:
    assert len(shown({"relations": [relation()] * 20})) == MOST_RELATIONS
    assert shown({}) == []
