"""The section relations of rules.yaml."""

import pytest

from schemas.document import DocumentError
from streams.core.relations.declared import DEFAULT_RELATIONS, Relation
from streams.core.rules_check import read_rules


def test_a_file_without_the_section_has_households_and_accounts() -> None:
    assert read_rules("version: 1", "r.yaml").relations == DEFAULT_RELATIONS


def test_an_empty_section_has_none() -> None:
    assert read_rules("version: 1\nrelations: {}", "r.yaml").relations == ()


def test_declared_relations() -> None:
    text = (
        "version: 1\nrelations:\n  household: {same: [last_name|surname, address]}\n"
        "  referred_by: {trait: referrer, identifier: loyalty_id}\n"
    )
    assert read_rules(text, "r.yaml").relations == (
        Relation("household", (("last_name", "surname"), ("address",))),
        Relation("referred_by", (("referrer",),), "loyalty_id"),
    )


@pytest.mark.parametrize(
    ("section", "where", "what"),
    [
        ("cousins: {same: [a]}", "relations.cousins", "there are household"),
        ("household: [a]", "relations.household", "mapping"),
        ("household: {same: []}", "relations.household", "1 to 6"),
        ("household: {same: [a], more: 1}", "relations.household", "1 to 6"),
        ("household: {same: ['a| b']}", "relations.household.same", "without spaces"),
        ("referred_by: {trait: referrer}", "relations.referred_by", "identifier"),
    ],
)
def test_mistakes_are_named(section: str, where: str, what: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read_rules(f"version: 1\nrelations:\n  {section}\n", "r.yaml")
    (problem,) = caught.value.problems
    assert problem.path == where
    assert what in problem.message
