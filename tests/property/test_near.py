"""Near matches: whatever is written, comparison is symmetric, costs are bounded, beliefs are probabilities."""

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.core.near.block import MAX_CARDS, Block, Proposal, visit
from streams.core.near.blocking import MAX_KEYS, keys, marked
from streams.core.near.card import MAX_VALUE, TRAITS, Card, card
from streams.core.near.cluster import REVIEW
from streams.core.near.compare import FIELDS, LEVELS, SAME, UNKNOWN, compare
from streams.core.near.learner import Learner, begin, observe

A, B = b"a" * 16, b"b" * 16
TRAIT = st.text("abcdeِی ۱2-", max_size=60)
CARDS = st.builds(card, st.sampled_from([A, B]), st.dictionaries(st.sampled_from(TRAITS), TRAIT))


def _arrive(learner: Learner, blocks: dict[bytes, Block], arrived: Card) -> list[Proposal]:
    found, where = marked(arrived)
    proposals = []
    for key, mark in zip(where, found.marks, strict=True):
        block = blocks.setdefault(key, Block())
        proposals += visit(block, found, mark, learner, least=REVIEW)
        assert len(block.cards) <= MAX_CARDS
    observe(learner, found)
    return proposals


@given(CARDS, CARDS)
def test_comparison_is_symmetric_and_complete(one: Card, other: Card) -> None:
    pattern = compare(one, other)
    assert pattern == compare(other, one)
    assert len(pattern) == len(FIELDS)
    assert all(0 <= each < LEVELS for each in pattern)
    assert set(compare(one, one)) <= {UNKNOWN, SAME}


@given(st.dictionaries(st.sampled_from((*TRAITS, "name")), st.text(max_size=300)))
def test_any_text_makes_a_bounded_card_with_bounded_keys(traits: dict[str, str]) -> None:
    found, where = marked(card(A, traits))
    assert len(msgspec.msgpack.encode(found)) <= 4 * MAX_VALUE * len(TRAITS)
    assert len(where) == len(set(where)) == len(found.marks) <= MAX_KEYS


@settings(max_examples=30, deadline=None)
@given(st.lists(CARDS, max_size=12))
def test_beliefs_are_probabilities_whatever_arrives(cards: list[Card]) -> None:
    learner, blocks = begin(), dict[bytes, Block]()
    for number, each in enumerate(cards):
        for proposal in _arrive(learner, blocks, msgspec.structs.replace(each, node=bytes([number]) * 16)):
            assert REVIEW <= proposal.belief.match <= 1.0
            assert proposal.belief.match + proposal.belief.household <= 1.0 + 1e-9


FULL = {
    "given_name": "charlotte", "surname": "harrington", "birth_date": "1984-05-12", "address_1": "12 mill lane",
    "suburb": "portfairy", "postcode": "12345", "phone": "5551234567",
}  # fmt: skip


@given(st.sets(st.sampled_from(sorted(FULL)), max_size=3), st.booleans(), st.integers(0, 6))
@example({"phone", "postcode", "birth_date"}, True, 3)
def test_with_three_of_seven_traits_gone_and_a_letter_doubled_cards_still_meet(
    gone: set[str], swapped: bool, at: int
) -> None:
    written = FULL | {"surname": FULL["surname"][: at + 1] + FULL["surname"][at:]}
    if swapped:
        written |= {"given_name": written["surname"], "surname": written["given_name"]}
    left = {trait: value for trait, value in written.items() if trait not in gone}
    assert set(keys(card(A, FULL))) & set(keys(card(B, left)))
