"""Which value survives, by each rule, and what is remembered of the others."""

import itertools
from typing import get_args

import pytest

from streams.core.facet_state import MAX_OTHERS, MAX_TRAIT_BYTES
from streams.core.golden_record import merge
from streams.core.profile import profile_of
from streams.core.rules import KEEPS, Keep, Rules
from streams.core.state import Root
from tests.unit.streams.core.making import DAY, T, customer, folded, traits

A, B = b"a" * 16, b"b" * 16
# City as three sources know it: the shop says it most often, the till last, the CRM is the one to be believed.
SAID = [
    traits({"city": "Lyon"}, T, source="crm", id="s1"),
    traits({"city": "Paris"}, T + DAY, source="shop", id="s2"),
    traits({"city": "Paris"}, T + 2 * DAY, source="shop", id="s3"),
    traits({"city": "Nice"}, T + 3 * DAY, source="pos", id="s4"),
]


def _rules(keep: Keep) -> Rules:
    return Rules(fields={"city": keep}, trust={"crm": 2, "shop": 1})


@pytest.mark.parametrize(
    ("keep", "value", "source", "signal_id"),
    [
        ("newest", "Nice", "pos", "s4"),
        ("trusted", "Lyon", "crm", "s1"),
        ("frequent", "Paris", "shop", "s3"),
        ("all", "Lyon, Nice, Paris", "pos", "s4"),
    ],
)
def test_a_field_keeps_what_its_rule_says_in_any_order_over_any_facets(
    keep: Keep, value: str, source: str, signal_id: str
) -> None:
    """The value, its source and its newest signal; the order of arrival and the split over facets change nothing."""
    for arrived in itertools.permutations(SAID):
        for cut in range(5):
            root = customer(folded(*arrived[:cut], node=A), folded(*arrived[cut:], node=B))
            trait = merge(root, T + 9 * DAY, _rules(keep)).traits["city"]
            assert (trait.value, trait.source, trait.signal_id) == (value, source, signal_id)


def test_every_rule_is_tried_above() -> None:
    assert KEEPS == get_args(Keep) == ("newest", "trusted", "frequent", "all")


def test_the_values_that_lost_stand_in_the_profile_with_their_provenance() -> None:
    """An agent sees who said otherwise, when, by which signal and how often."""
    root = customer(folded(*SAID[:2], node=A), folded(*SAID[2:], node=B))
    city = profile_of(root, merge(root, T + 9 * DAY, _rules("trusted")))["traits"]["city"]
    assert (city["value"], city["rule"], city["times"]) == ("Lyon", "trusted", 1)
    assert [(o["value"], o["source"], o["signal_id"], o["times"], o["at_ms"]) for o in city["others"]] == [
        ("Nice", "pos", "s4", 1, T + 3 * DAY),
        ("Paris", "shop", "s3", 2, T + 2 * DAY),
    ]


def test_an_unmerge_gives_each_its_own_values_back() -> None:
    """A facet keeps its own statements, whatever the rule made of them beside another's."""
    root = customer(folded(*SAID[:1], node=A), folded(*SAID[1:], node=B))
    assert merge(root, T + 9 * DAY, _rules("trusted")).traits["city"].value == "Lyon"
    parted = Root(B, T, {}, {B: root.facets[B]})
    own = merge(parted, T + 9 * DAY, _rules("trusted")).traits["city"]
    assert own.value == "Paris"
    assert "Lyon" not in [other.value for other in own.others]


def test_statements_are_bounded_and_each_sources_newest_word_stays_longest() -> None:
    """One source that changes its mind all day does not push out what another source said."""
    said = [traits({"city": "Lyon"}, T, source="crm", id="c")]
    said += [traits({"city": f"town {n}"}, T + n + 1, source="bot", id=f"b{n}") for n in range(50)]
    trait = folded(*said).traits["city"]
    assert trait.value == "town 49"
    assert len(trait.others) == MAX_OTHERS
    assert "Lyon" in [other.value for other in trait.others]


def test_a_long_value_is_cut_visibly() -> None:
    """Bytes are bounded in every script, and a character is never cut in two."""
    for letter, kept in (("x", 197), ("ش", 98), ("日", 65), ("🜲", 49)):
        value = folded(traits({"about": letter * 900})).traits["about"].value
        assert value == letter * kept + "…"
        assert len(value.encode()) <= MAX_TRAIT_BYTES
    assert folded(traits({"street": "x" * MAX_TRAIT_BYTES})).traits["street"].value == "x" * MAX_TRAIT_BYTES
