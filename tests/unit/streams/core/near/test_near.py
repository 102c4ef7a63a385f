"""People are found again by what they wrote wrongly, families stay apart, and every cost has a bound."""

from itertools import combinations

import msgspec
import pytest

from streams.core.near import learner as learning
from streams.core.near.block import MAX_CARDS, Block, Proposal, leave, visit
from streams.core.near.blocking import MAX_KEYS, keys, marked
from streams.core.near.card import MAX_VALUE, TRAITS, Card, birth_digits, card
from streams.core.near.cluster import BORNE, REVIEW, borne
from streams.core.near.compare import (
    BIRTH,
    DIFFERS,
    GIVEN,
    HOUSE,
    LINE,
    LINES_ORDER,
    NAMES_ORDER,
    NEAR,
    PHONE,
    SAME,
    SIMILAR,
    STATE,
    STATE_THERE,
    SUBURB,
    SUBURB_THERE,
    SURNAME,
    UNKNOWN,
    compare,
)  # fmt: skip
from streams.core.near.learner import MAX_TERMS, RECENT, Learner, answer, begin, believe, learn, merge, observe
from tests.unit.streams.core.near.people import people

A, B, C = (letter * 16 for letter in (b"a", b"b", b"c"))
SARA = {
    "given_name": "Sara", "surname": "Harrington", "birth_date": "1984-05-12", "address_1": "12 Mill Lane",
    "address_2": "Old Dairy", "suburb": "York", "postcode": "12345", "state": "NY", "phone": "+1 555 123 4567",
    "email": "sara.h@example.com",
}  # fmt: skip


def of(node: bytes, **changes: str) -> Card:
    return card(node, SARA | changes)


def level(field: int, **changes: str) -> int:
    return compare(of(A), of(B, **changes))[field]


class Stream:
    """Blocks, learner and proposals of records that come by once."""

    def __init__(self) -> None:
        self.learner = begin()
        self.blocks: dict[bytes, Block] = {}
        self.cards: dict[bytes, Card] = {}

    def arrive(self, found: Card) -> dict[bytes, Proposal]:
        found, where = marked(found)
        self.cards[found.node] = found
        proposals: dict[bytes, Proposal] = {}
        for key, mark in zip(where, found.marks, strict=True):
            block = self.blocks.setdefault(key, Block())
            proposals |= {each.other: each for each in visit(block, found, mark, self.learner, least=REVIEW)}
        observe(self.learner, found)
        return proposals


def test_a_card_holds_what_is_compared() -> None:
    found = of(A)
    assert (found.given, found.surname, found.birth) == ("sara", "harrington", "19840512")
    assert (found.house, found.line, found.other_line) == ("12", "milllane", "olddairy")
    assert (found.phone, found.email) == ("551234567", "sarah")
    assert card(A, {"name": "آقای علي رضايي"}) == card(A, {"given_name": "علی", "surname": "رضایی"})


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("1984-05-02", "19840502"),
        ("1984-05-02T10:00:00Z", "19840502"),
        ("02.05.1984", "19840502"),
        ("۱۹۸۴/۵/۲", "19840502"),
        ("1363/2/12", "19840502"),
        ("۱۴۰۳/۱۲/۳۰", "20250320"),
        ("1357-11-22", "19790211"),
        ("1363-13-40", "13631340"),
        ("19160017", "19160017"),
        ("", ""),
        ("soon", ""),
    ],
)
def test_a_date_of_birth_is_its_digits_in_one_calendar(written: str, digits: str) -> None:
    assert birth_digits(written) == digits


@pytest.mark.parametrize(
    ("field", "changes", "expected"),
    [
        (GIVEN, {}, SAME),
        (GIVEN, {"given_name": "Dr. SÁRA"}, SAME),
        (GIVEN, {"given_name": "سارا"}, NEAR),
        (SURNAME, {"surname": "Harington"}, NEAR),
        (GIVEN, {"given_name": "S"}, SIMILAR),
        (GIVEN, {"given_name": "Tom"}, DIFFERS),
        (GIVEN, {"given_name": ""}, UNKNOWN),
        (NAMES_ORDER, {}, SAME),
        (NAMES_ORDER, {"given_name": "Harrington", "surname": "Sara"}, DIFFERS),
        (SURNAME, {"given_name": "Harrington", "surname": "Sara"}, SAME),
        (BIRTH, {"birth_date": "1984-12-05"}, NEAR),
        (BIRTH, {"birth_date": "1984-05-13"}, NEAR),
        (BIRTH, {"birth_date": "1948-05-12"}, NEAR),
        (BIRTH, {"birth_date": "1984-06-13"}, SIMILAR),
        (BIRTH, {"birth_date": "1951-11-30"}, DIFFERS),
        (LINE, {"address_1": "12 Mill Lnae"}, NEAR),
        (LINES_ORDER, {"address_1": "Old Dairy", "address_2": "12 Mill Lane"}, DIFFERS),
        (LINE, {"address_1": "Old Dairy", "address_2": "12 Mill Lane"}, SAME),
        (HOUSE, {"address_1": "21 Mill Lane"}, NEAR),
        (PHONE, {"phone": "0015551234567"}, SAME),
        (PHONE, {"phone": "5551234568"}, NEAR),
        (SUBURB, {}, UNKNOWN),
        (SUBURB_THERE, {}, SAME),
        (SUBURB, {"postcode": "99999"}, SAME),
        (STATE_THERE, {"postcode": "99999"}, SAME),
        (STATE, {"postcode": "99999", "suburb": "Leeds"}, SAME),
    ],
)
def test_levels_of_agreement(field: int, changes: dict[str, str], expected: int) -> None:
    assert level(field, **changes) == expected


def test_a_given_name_that_is_the_others_surname_is_a_shared_surname_and_no_shared_given_name() -> None:
    """A swapped record beside a relative: which of its names is the surname shows in what agrees."""
    pattern = compare(of(A, given_name="Harrington", surname="Daniel"), of(B))
    assert (pattern[GIVEN], pattern[SURNAME], pattern[NAMES_ORDER]) == (DIFFERS, SAME, DIFFERS)


def test_texts_on_a_card_are_cut() -> None:
    found = card(A, dict.fromkeys(TRAITS, "ab" * 60))
    texts = (found.given, found.surname, found.line, found.other_line, found.suburb, found.postcode, found.state)
    assert {len(each) for each in (*texts, found.country, found.email)} == {MAX_VALUE}


def test_a_full_card_has_the_most_keys_that_any_has() -> None:
    assert len(keys(of(A))) == MAX_KEYS


@pytest.mark.parametrize(
    "changes",
    [
        {"given_name": "Sarah", "surname": "Harrigton"},
        {"given_name": "Harrington", "surname": "Sara"},
        {"given_name": "سارا", "email": "", "phone": ""},
        {"given_name": "Xyz", "surname": "Qwrt"},
        {"birth_date": "1984-12-05", "postcode": "12354"},
        {"birth_date": "", "postcode": "", "phone": "", "email": ""},
        {"given_name": "", "birth_date": "", "phone": ""},
        {"address_1": "", "address_2": "", "suburb": "", "postcode": ""},
    ],
)
def test_cards_with_mistakes_in_several_traits_still_meet(changes: dict[str, str]) -> None:
    assert set(keys(of(A))) & set(keys(of(B, **changes)))


@pytest.mark.parametrize(
    ("one", "other", "stranger"),
    [
        (
            {"given_name": "Sara", "surname": "Smith"},
            {"given_name": "Smith", "surname": "سارا"},
            {"given_name": "Sara", "surname": "Jones"},
        ),
        (
            {"house_number": "7", "postcode": "1234"},
            {"house_number": "7", "postcode": "1243"},
            {"house_number": "8", "postcode": "1234"},
        ),
        (
            {"house_number": "7", "suburb": "York"},
            {"house_number": "7", "suburb": "Yorck"},
            {"house_number": "7", "suburb": "Bath"},
        ),
        ({"phone": "+15551234567"}, {"phone": "5551234567"}, {"phone": "5551234568"}),
        (
            {"birth_date": "1984-05-12", "surname": "Smith"},
            {"birth_date": "1984-12-05", "given_name": "Smith"},
            {"birth_date": "1984-12-06", "surname": "Smith"},
        ),
        (
            {"birth_date": "1984-05-12", "postcode": "1234"},
            {"birth_date": "1984-05-12", "postcode": "1243"},
            {"birth_date": "1984-05-12", "postcode": "1235"},
        ),
    ],
)
def test_each_kind_of_key_survives_its_mistake_and_parts_strangers(
    one: dict[str, str], other: dict[str, str], stranger: dict[str, str]
) -> None:
    assert set(keys(card(A, one))) & set(keys(card(B, other)))
    assert not set(keys(card(A, one))) & set(keys(card(B, stranger)))


def test_one_trait_alone_is_no_key() -> None:
    assert keys(card(A, {"surname": "Smith"})) == ()


def test_a_person_who_mistyped_is_proposed_at_once_and_a_stranger_is_not() -> None:
    stream = Stream()
    assert stream.arrive(of(A)) == {}
    assert stream.arrive(card(C, SARA | {"given_name": "Tom", "surname": "Ng", "birth_date": "1951-11-30"})) == {}
    found = stream.arrive(of(B, given_name="Sarha", birth_date="1984-05-21", email="sarah.h@exmaple.com"))
    assert set(found) == {A}
    assert found[A].belief.match > 0.99
    assert found[A].pattern == compare(stream.cards[B], stream.cards[A])


def test_relatives_at_one_address_are_a_household_and_no_match() -> None:
    stream = Stream()
    stream.arrive(of(A))
    assert stream.arrive(of(B, given_name="Thomas", birth_date="1982-01-30", email="tom")) == {}
    believed = believe(stream.learner, compare(stream.cards[A], stream.cards[B]), stream.cards[B])
    assert believed.household > 0.9
    assert believed.match < 0.1


def test_a_block_keeps_the_newest_cards_and_one_per_node() -> None:
    stream, block = Stream(), Block()
    cards = [marked(of(bytes([number]) * 16))[0] for number in range(MAX_CARDS + 5)]
    for each in [*cards, cards[-1]]:
        visit(block, each, each.marks[0], stream.learner, least=2.0)
    assert block.cards == cards[5:]
    leave(block, cards[-1].node)
    assert block.cards == cards[5:-1]


def test_a_pair_that_shares_many_keys_is_learned_once() -> None:
    stream = Stream()
    stream.arrive(of(A))
    before = stream.learner.m[BIRTH][SAME]
    stream.arrive(of(B))
    assert 0.9 < stream.learner.m[BIRTH][SAME] - before <= 1.0


def test_a_card_is_not_compared_with_its_own_earlier_one() -> None:
    stream = Stream()
    stream.arrive(of(A))
    assert stream.arrive(of(A, given_name="Sarah")) == {}


def test_answers_move_the_weights() -> None:
    """A shop whose customers often mistype a birthday says so in its reviews; then a wrong birthday weighs less."""
    taught = begin()
    pattern = compare(of(A), of(B, birth_date="1951-11-30"))
    before = believe(taught, pattern, of(A)).match
    weight = taught.weights[BIRTH][DIFFERS]
    for _ in range(5):
        answer(taught, pattern, believe(taught, pattern, of(A)), same=True)
    assert taught.weights[BIRTH][DIFFERS] > weight
    assert believe(taught, pattern, of(A)).match >= before
    strangers = compare(of(A), card(B, {"given_name": "Sara", "surname": "Harrington"}))
    weight = taught.weights[SURNAME][SAME]
    for _ in range(5):
        answer(taught, strangers, believe(taught, strangers, of(A)), same=False)
    assert taught.weights[SURNAME][SAME] < weight


def test_a_family_told_apart_takes_nothing_from_addresses() -> None:
    learner = begin()
    pattern = compare(of(A), of(B, given_name="Thomas", birth_date="1982-01-30", email="tom"))
    believed = believe(learner, pattern, of(A))
    before = [list(each) for each in learner.u]
    answer(learner, pattern, believed, same=False)
    assert learner.u[LINE] == pytest.approx(before[LINE], abs=0.1)
    assert learner.u[BIRTH][DIFFERS] == before[BIRTH][DIFFERS] + learning.ANSWER_PAIRS


def test_a_rare_surname_that_agrees_says_more() -> None:
    stream = Stream()
    for number in range(400):
        rare = number % 50 == 0
        traits = {"surname": f"Rare{number}" if rare else "Smith", "given_name": f"g{number}", "postcode": f"{number}"}
        stream.arrive(card(number.to_bytes(16), traits))
    beliefs = [
        believe(stream.learner, compare(one, one), one).match
        for surname in ("Smith", "Rare50")
        for one in [card(A, {"given_name": "Zoe", "surname": surname})]
    ]
    assert beliefs[0] < beliefs[1]


def test_a_rare_given_name_speaks_for_one_person_and_not_for_a_family() -> None:
    stream = Stream()
    for number in range(400):
        traits = {"given_name": f"g{number}" if number % 2 else "Ali", "surname": f"s{number}", "postcode": f"{number}"}
        stream.arrive(card(number.to_bytes(16), traits))
    rarities = [learning._frequency(stream.learner, GIVEN, card(A, {"given_name": each})) for each in ("Ali", "Zoe")]
    assert rarities[1] < 1 < rarities[0]
    assert rarities[1] >= learning.RAREST
    frequent, rare = (
        believe(stream.learner, compare(one, one), one)
        for name in ("Ali", "Zoe")
        for one in [of(A, given_name=name, birth_date="", email="")]
    )
    assert rare.match / rare.household > 2 * frequent.match / frequent.household


def test_a_value_nobody_has_seen_is_rare_to_a_bound() -> None:
    learner = begin()
    learner.cards = 10**6
    assert learning._frequency(learner, SURNAME, of(A)) == learning.RAREST


def test_terms_are_bounded_and_the_frequent_ones_stay() -> None:
    learner = begin()
    for number in range(4 * MAX_TERMS):
        observe(learner, card(number.to_bytes(16), {"surname": "Smith" if number % 3 == 0 else f"s{number}"}))
    assert len(learner.terms[SURNAME]) <= MAX_TERMS
    assert max(learner.terms[SURNAME].values()) > MAX_TERMS
    assert len(learner.recent) == RECENT
    assert len(msgspec.msgpack.encode(learner)) < 60_000


def test_memory_fades_so_that_weights_can_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "MEMORY_PAIRS", 500.0)
    learner = begin()
    pattern = compare(of(A), of(B))
    for _ in range(2_000):
        learn(learner, pattern, learning.Belief(1.0, 0.0))
    assert all(sum(counts) <= 501 for counts in learner.m)


def test_the_learner_is_plain_state_and_what_it_does_depends_on_its_input_alone() -> None:
    records = [card(bytes([number % 250]) * 15 + b"x", traits) for number, (_, traits) in enumerate(people(60, 1))]
    one, other = Stream(), Stream()
    for each in records:
        first = one.arrive(each)
        # After each card the other goes through its encoding, as through a changelog.
        other.learner = msgspec.msgpack.decode(msgspec.msgpack.encode(other.learner), type=Learner)
        assert other.arrive(each) == first
    assert one.learner == other.learner


def test_two_learners_know_together_what_both_saw() -> None:
    one, other = Stream(), Stream()
    for number, (_, traits) in enumerate(people(80, 2)):
        (one, other)[number % 2].arrive(card(number.to_bytes(16), traits))
    both = merge(one.learner, other.learner)
    assert both.cards == one.learner.cards + other.learner.cards
    assert both.matches + begin().matches == pytest.approx(one.learner.matches + other.learner.matches)
    for mine, theirs, prior, merged in zip(one.learner.u, other.learner.u, begin().u, both.u, strict=True):
        assert [a + b - c for a, b, c in zip(mine, theirs, prior, strict=True)] == pytest.approx(merged)
    assert sum(both.terms[SURNAME].values()) == sum(sum(each.learner.terms[SURNAME].values()) for each in (one, other))
    assert len(both.recent) == RECENT


def test_a_link_must_be_borne_by_all_that_it_joins() -> None:
    """A bridge between two people is likely to each of them; joined, they would be one customer."""
    learner = begin()
    one, other = of(A), of(B, given_name="Thomas", birth_date="1951-01-30", email="tom")
    assert borne([one], [of(C, phone="")], learner) == 1.0
    assert borne([one, other], [of(C)], learner) == 0.5
    assert borne([one], [other, of(C, given_name="Thomas", birth_date="1951-01-30", email="tom")], learner) < BORNE


@pytest.mark.parametrize("seed", [1, 2])
def test_people_are_found_again_and_families_stay_apart(seed: int) -> None:
    """Persian, Arabic and English names, typos, swaps, gaps; a fifth shares surname, address and phone with others."""
    stream, person = Stream(), {}
    root: dict[bytes, bytes] = {}
    members: dict[bytes, list[bytes]] = {}
    for number, (who, traits) in enumerate(people(900, seed)):
        node = number.to_bytes(16)
        person[node], root[node], members[node] = who, node, [node]
        for other in stream.arrive(card(node, traits)):
            mine, theirs = root[node], root[other]
            sides = [[stream.cards[each] for each in members[side]] for side in (mine, theirs)]
            if mine != theirs and borne(sides[0], sides[1], stream.learner) >= BORNE:
                members[mine] += members.pop(theirs)
                root |= dict.fromkeys(members[mine], mine)
    made = [pair for cluster in members.values() for pair in combinations(cluster, 2)]
    right = sum(person[one] == person[other] for one, other in made)
    true = sum(person[one] == person[other] for one, other in combinations(person, 2))
    # Measured over four seeds: precision .991 to .997, recall .979 to .988; the bounds leave room for other machines.
    assert right / len(made) >= 0.975
    assert right / true >= 0.96
