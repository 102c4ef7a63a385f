"""The load of `make chaos`: enough links, merges of histories, bridges only; and the cases of its operator."""

import itertools
import random

import pytest

from schemas.identifiers import Identifier, strongest
from schemas.identity_rules import IdentityRules
from schemas.wire import codec_of
from tests.chaos import load
from tests.chaos.people import HOUSEHOLD_EVERY, Name, story
from tests.chaos.people import strongest as strongest_name
from tests.chaos.rulings import CASES, choose
from tests.chaos.truth import Ruled, Truth, UnionFind


def accepted(count: int, seed: int) -> Truth:
    book, truth = load.Book(), Truth()
    for record in itertools.islice(load.signals(book, seed=seed, start_ms=0, crowd=50), count):
        truth.accept(record)
    truth.households = book.households()
    return truth


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_of_all_signals_40_in_100_link(seed: int) -> None:
    truth = accepted(5_000, seed)
    assert truth.links >= 0.42 * len(truth.ids)
    assert truth.written == len(truth.ids) + truth.retries + truth.garbage == 5_000
    assert (truth.retries, truth.garbage) == (75, 25)


def test_the_same_seed_makes_the_same_load() -> None:
    one, other = (list(itertools.islice(load.signals(load.Book(), seed=5, start_ms=0, crowd=9), 500)) for _ in "ab")
    assert one == other


@pytest.mark.parametrize("number", range(20))
def test_a_person_is_a_tree_within_the_limits(number: int) -> None:
    """Every tie is a bridge, all are sent, and half of the links make one of two who were seen before."""
    person = story(number, seed=1)
    assert (len(person.names), len(person.ties), person.shared) == (10, 9, None)
    assert sets_of(person.ties) == 1
    sent = {tuple(sorted(names)) for names in person.signals if len(names) == 2}
    assert sent == set(person.ties)
    kinds = [kind for kind, _ in person.names]
    assert all(kinds.count(kind) <= limit for kind, limit in IdentityRules().limits.items())
    seen: set[Name] = set()
    sets, merges = UnionFind(), 0
    for names in person.signals:
        if len(names) == 2 and sets.unite(*names):
            merges += sum(any(sets.find(name) == sets.find(other) for other in seen) for name in names) == 2
        seen.add(strongest_name(names))
    assert merges >= 4


def sets_of(ties: tuple[tuple[Name, Name], ...]) -> int:
    sets = UnionFind()
    for tie in ties:
        sets.unite(*tie)
    return len(sets.sets())


def test_two_who_share_a_tablet() -> None:
    both = story(HOUSEHOLD_EVERY - 1, seed=1)
    assert both.shared is not None
    assert sum(kind == "user_id" for kind, _ in both.names) == 2
    assert sum(both.shared in tie for tie in both.ties) == 2


def test_names_are_as_the_system_spells_them() -> None:
    """What the load calls a name is what a profile will; whom a signal belongs to is the same by both rules."""
    rules = IdentityRules()
    for number in range(30):
        for names in story(number, seed=1).signals:
            made = [rules.normalise(kind, value) for kind, value in names]
            assert [(each.kind, each.value) for each in made] == list(names)
            own: Identifier = strongest(made)
            assert (own.kind, own.value) == strongest_name(names)


def test_a_signal_is_what_was_planned() -> None:
    record = load.planned("id-1", (("email", "a@shop.example"),), "pos", 77, 500)
    signal = codec_of("signal").decode(record.value)
    assert (record.topic, record.signal, signal["id"]) == ("signals.pos", "id-1", "id-1")
    assert (signal["transaction"]["amount_minor"], signal["identifiers"][0]["kind"]) == (500, "email")


def truth_of(*rulings: Ruled) -> Truth:
    truth = Truth()
    for number, names in enumerate([*story(0, 1).signals, *story(1, 1).signals]):
        truth.accept(load.planned(str(number), names, "web", 0, 0))
    truth.rulings = list(rulings)
    return truth


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("kind", "customers"), [("cut", 3), ("merge", 1), ("cut and taken back", 2)])
def test_what_must_come_of_a_case(kind: str, customers: int, seed: int) -> None:
    case = choose(kind, story(0, 1), story(1, 1), "r", random.Random(seed))
    ruled = [case.now, *([case.later] if case.later else [])]
    assert len(truth_of(*ruled).customers()) == customers
    assert [each.outcomes for each in ruled] == [1] * len(ruled)
    assert case.now.one in story(0, 1).names
    assert bool(case.evidence) == (kind != "merge")


@pytest.mark.parametrize("seed", range(10))
def test_a_split_has_an_outcome_for_each_part_that_leaves(seed: int) -> None:
    case = choose("split", story(0, 1), story(1, 1), "r", random.Random(seed))
    assert len(truth_of(case.now).customers()) == 2 + case.now.outcomes
    assert frozenset({case.now.one}) in truth_of(case.now).customers()
    assert case.now.one in case.evidence


def test_all_kinds_are_ruled() -> None:
    kinds = {choose(kind, story(0, 1), story(1, 1), "r", random.Random(1)).now.kind for kind in CASES}
    assert kinds == {"cut", "split", "merge", "erase"}
