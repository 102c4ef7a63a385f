"""Near matches between stages: the same pairs in any batching, nobody asked twice, an operator's word for ever."""

import random
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import topics
from schemas.identity_rules import IdentityRules, NearRules
from streams.agents.near import LEARNER
from streams.core.near.block import Block
from streams.core.near.carding import blocks_of
from streams.core.near.learner import Learner
from streams.core.near.likeness import Stage, pair_id
from streams.core.state import Likeness
from streams.lane.job import Batch
from tests.bench.linkage.staged import staged
from tests.bench.linkage.stream import TRAITS, linked
from tests.property.cluster import ruling
from tests.property.near_cluster import NEAR, NearCluster
from tests.unit.streams.core.near.people import people

SARA = {
    "given_name": "Sara", "surname": "Harrington", "birth_date": "1984-05-12", "address": "12 Mill Lane",
    "city": "York", "postal_code": "12345",
}  # fmt: skip
SARAH = SARA | {"given_name": "Sarah", "surname": "Harington", "postal_code": "12354"}
REVIEW = IdentityRules({}, near=NearRules(0.5))
AUTOMATIC = IdentityRules({}, near=NearRules(0.5, 0.5))
# A card's traits by the columns that the evaluation reads.
FEBRL = {trait: column for column, trait in TRAITS.items()}
ONE, OTHER = ("crm_id", "c-1"), ("crm_id", "c-2")


def _two(rules: IdentityRules = REVIEW, *, partitions: int = 3) -> tuple[NearCluster, bytes, bytes]:
    """Return a cluster in which one person has been written in two ways."""
    cluster = NearCluster(partitions, rules)
    one, other = cluster.state(1, ONE, SARA), cluster.state(2, OTHER, SARAH)
    cluster.settle(random.Random(1))
    return cluster, one, other


def _again(cluster: NearCluster, number: int = 3, **changes: str) -> None:
    """Let one of both say something more: its card changes, and both meet again."""
    cluster.state(number, OTHER, SARAH | {"country": "GB"} | changes)
    cluster.settle(random.Random(number))


def _blocks(cluster: NearCluster) -> list[Block]:
    return [each for (stage, _), held in cluster.held.items() if stage == NEAR for each in held.values()
            if isinstance(each, Block)]  # fmt: skip


def held(cluster: NearCluster) -> list[Likeness]:
    """Return all pairs that roots hold."""
    known = [likeness for root in cluster.customers() for likeness in root.likenesses.values()]
    return [likeness for likeness in known if likeness.stage != Stage.THEIRS]


def _learners(cluster: NearCluster) -> list[Learner]:
    return [held[LEARNER] for (stage, _), held in cluster.held.items() if stage == NEAR and LEARNER in held]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.randoms(use_true_random=False), st.integers(1, 7))
def test_two_spellings_of_one_person_are_one_question(partitions: int, rnd: random.Random, most: int) -> None:
    """In any batching and any interleaving of stages and partitions: one open pair, held once, whoever came first."""
    cluster = NearCluster(partitions, REVIEW)
    stranger = {"name": "Oliver Whitaker", "birth_date": "1951-01-30", "city": "Leeds", "address": "4 Palm Road"}
    told = [(1, ONE, SARA), (2, OTHER, SARAH), (3, ("crm_id", "c-3"), stranger), (4, ONE, SARA), (5, OTHER, SARAH)]
    rnd.shuffle(told)
    for number, name, traits in told:
        cluster.state(number, name, traits)
    cluster.settle(rnd, most=most)
    (match,) = cluster.matches().values()
    assert match["state"] == "open"
    assert {match["node"], match["other"]} == {cluster.node(ONE), cluster.node(OTHER)}
    assert match["id"] == pair_id(match["node"], match["other"])
    assert match["match"] > 0.5
    assert match["agreement"]["birth"] == "same"
    assert match["agreement"]["surname"] == "near"
    assert len(cluster.customers()) == 3
    assert len(held(cluster)) == 1
    assert not cluster.written(topics.DEAD_LETTERS)


def test_what_is_told_to_the_world_holds_no_value() -> None:
    """Of pairs: nodes, numbers and words of ours; of keys: hashes."""
    cluster, _, _ = _two()
    told = b"".join((output.value or b"") + (output.key or b"") for output in cluster.written(topics.MATCHES))
    keys = b"".join(output.key or b"" for output in cluster.written(topics.CARDS))
    for value in (b"sara", b"Sara", b"harrin", b"1984", b"mill", b"12345", b"york"):
        assert value not in told.lower()
        assert value not in keys.lower()


def test_the_same_card_is_sent_once() -> None:
    """What is stated again costs the near stage nothing; what is gone from a card leaves its blocks."""
    cluster, _, other = _two()
    before = len(cluster.written(topics.CARDS))
    cluster.state(3, OTHER, SARAH)
    cluster.settle(random.Random(1))
    assert len(cluster.written(topics.CARDS)) == before
    _again(cluster, 4, postal_code="99999", birth_date="1984-05-13")
    held = sum(card.node == other for block in _blocks(cluster) for card in block.cards)
    assert held == len(blocks_of(cluster.customer(other).facets[other])) > 5
    assert all(card.postcode == "99999" for block in _blocks(cluster) for card in block.cards if card.node == other)


def test_who_states_nothing_of_a_person_costs_nothing() -> None:
    """A language is no trait of a card."""
    cluster = NearCluster(2, REVIEW)
    cluster.state(1, ONE, {"language": "fa", "vip": "yes"}, email="sara@example.com")
    cluster.settle(random.Random(1))
    assert not cluster.written(topics.CARDS)


def test_without_the_rules_nobody_looks() -> None:
    """Near matches are a choice."""
    cluster = NearCluster(2, REVIEW)
    silent = NearCluster(2, REVIEW)
    brain = silent.agent.brain()
    object.__setattr__(brain, "identity", IdentityRules({}))
    for each in (cluster, silent):
        each.state(1, ONE, SARA)
        each.settle(random.Random(1))
    assert cluster.written(topics.CARDS)
    assert not silent.written(topics.CARDS)


@pytest.mark.parametrize("partitions", [1, 3])
def test_answers_teach_every_partition(partitions: int) -> None:
    """Same: one customer, and all learners know it; different: they know that, too."""
    cluster, _, _ = _two(partitions=partitions)
    (match,) = cluster.matches().values()
    cluster.rule(ruling("merge", match["node"], match["other"], 7), match["node"])
    cluster.settle(random.Random(2))
    (match,) = cluster.matches().values()
    assert (match["state"], match["by"]) == ("linked", "r7")
    assert len(cluster.customers()) == 1
    taught = [out for out in cluster.written(topics.CARDS) if b"".join([match["id"]]) == out.key]
    assert sorted(out.partition for out in taught if out.partition is not None) == list(range(partitions))
    assert len(_learners(cluster)) == partitions


def test_different_is_for_ever() -> None:
    """Whatever changes in the record, through a merge and a split: the pair is not asked again."""
    cluster, _, _ = _two()
    (match,) = cluster.matches().values()
    cluster.rule(ruling("different", match["node"], match["other"], 7), match["node"])
    cluster.settle(random.Random(2))
    assert [m["state"] for m in cluster.matches().values()] == ["different"]
    assert any(v and v["kind"] == "different" and v["ruling"] == "r7" for _, v in cluster.of(topics.MERGES))
    _again(cluster)
    # A third identifier of the one, as like the other as the first: the answer was on people.
    cluster.state(4, ("user_id", "u-1"), SARA, crm_id="c-1")
    cluster.settle(random.Random(3))
    _again(cluster, 5, phone="5551234567")
    states = {id_: m["state"] for id_, m in cluster.matches().items()}
    assert states[match["id"]] == "different"
    # Before its own signal had linked the third identifier it was a stranger, so it may have been asked about then.
    assert set(states.values()) <= {"different", "linked", "gone"}
    assert len(cluster.customers()) == 2


def test_without_the_memory_of_different_it_would_be_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard taken out: what the test above sees is the guard's doing."""
    monkeypatch.setattr("streams.core.near.pairs.told_apart", lambda *_: False)
    monkeypatch.setattr("streams.core.near.pairs.different_from", lambda _: [])
    cluster, _, _ = _two()
    (match,) = cluster.matches().values()
    cluster.rule(ruling("different", match["node"], match["other"], 7), match["node"])
    cluster.settle(random.Random(2))
    _again(cluster)
    assert [m["state"] for m in cluster.matches().values()] != ["different"]


def test_a_signal_links_whom_an_operator_told_apart_from_near_matches() -> None:
    """The word binds near matches; who signs in with both identifiers is one customer, as ever."""
    cluster, _, _ = _two()
    (match,) = cluster.matches().values()
    cluster.rule(ruling("different", match["node"], match["other"], 7), match["node"])
    cluster.settle(random.Random(2))
    cluster.state(9, ONE, SARA, crm_id="c-2")
    cluster.settle(random.Random(3))
    assert len(cluster.customers()) == 1


@pytest.mark.parametrize("partitions", [1, 4])
def test_automatic_links_can_be_cut_and_stay_cut(partitions: int) -> None:
    """Linked like a signal's evidence: the tie shows it, a cut undoes it, and nothing links or asks again."""
    cluster, one, other = _two(AUTOMATIC, partitions=partitions)
    (root,) = cluster.customers()
    (tie,) = root.ties.values()
    (match,) = cluster.matches().values()
    assert (tie.source, tie.signal_id) == ("near-match", match["id"].hex())
    assert (match["state"], match["by"]) == ("linked", "near-match")
    assert not [out for out in cluster.written(topics.CARDS) if out.partition is not None], "it confirms itself"
    cluster.rule(ruling("cut", one, other, 8), one)
    cluster.settle(random.Random(2))
    assert len(cluster.customers()) == 2
    _again(cluster)
    assert len(cluster.customers()) == 2
    assert [m["state"] for m in cluster.matches().values()] == ["linked"], "what became of it then"


def test_limits_make_a_question_of_an_automatic_link() -> None:
    """Two accounts are not linked by likeness: a person is asked, and told which limit they break."""
    cluster, _, _ = _two(IdentityRules({"crm_id": 1}, near=NearRules(0.5, 0.5)))
    (match,) = cluster.matches().values()
    assert (match["state"], match["limit"]) == ("open", "crm_id")
    assert len(cluster.customers()) == 2
    cluster.rule(ruling("merge", match["node"], match["other"], 7), match["node"])
    cluster.settle(random.Random(2))
    assert len(cluster.customers()) == 1


def test_a_signal_that_names_both_settles_the_question() -> None:
    """And teaches: it is an answer of somebody who knows."""
    cluster, _, _ = _two()
    cluster.state(9, ONE, SARA, crm_id="c-2")
    cluster.settle(random.Random(2))
    (match,) = cluster.matches().values()
    assert (match["state"], match["by"]) == ("linked", "m9")
    assert [out for out in cluster.written(topics.CARDS) if out.partition is not None]
    assert not any(root.likenesses for root in cluster.customers())


@pytest.mark.parametrize("name", [ONE, OTHER])
def test_who_is_erased_leaves_nothing(name: tuple[str, str]) -> None:
    """No block and no learner holds a card of the customer; what was asked on it, by whom ever, is asked no more."""
    cluster, one, other = _two()
    erased, stays = (one, other) if name == ONE else (other, one)
    (match,) = cluster.matches().values()
    cluster.rule(ruling("erase", erased, b"", 9), erased)
    cluster.settle(random.Random(2))
    kept = [card for block in _blocks(cluster) for card in block.cards]
    kept += [card for learner in _learners(cluster) for card in learner.recent]
    assert {card.node for card in kept} == {stays}
    states = [value for (stage, _), held in cluster.held.items() if stage == NEAR for value in held.values()]
    text = b"".join(cluster.jobs[NEAR][1].encode(value) for value in states)
    assert (b"harington" in text) is (name == ONE)
    assert (b"harrington" in text) is (name == OTHER)
    (now,) = cluster.matches().values()
    assert (match["state"], now["state"]) == ("open", "gone")
    assert not any(root.likenesses for root in cluster.customers())
    cluster.state(9, OTHER if name == ONE else ONE, SARA | {"country": "GB"})
    cluster.settle(random.Random(3))
    assert len(cluster.customers()) == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.booleans(), st.randoms(use_true_random=False))
def test_who_is_erased_at_any_moment_is_asked_about_no_more(partitions: int, first: bool, rnd: random.Random) -> None:
    """The ruling comes while cards meet, while roots compare, while all records are weighed: no question is left."""
    cluster = NearCluster(partitions, REVIEW)
    one, other = cluster.state(1, ONE, SARA), cluster.state(2, OTHER, SARAH)
    for _ in range(rnd.randrange(30)):
        places = [place for place, queue in cluster.waiting.items() if queue]
        if places:
            cluster.batch(*rnd.choice(places), rnd.randint(1, 3))
    erased = one if first else other
    cluster.rule(ruling("erase", erased, b"", 9), erased)
    cluster.settle(rnd)
    assert {match["state"] for match in cluster.matches().values()} <= {"gone"}
    assert not held(cluster)


def test_a_block_that_a_card_has_left_gets_a_new_secret() -> None:
    """So what the changelog said of the card before is unreadable at once, in the block and in the learner."""
    cluster, _, other = _two(partitions=1)
    blocks = blocks_of(cluster.customer(other).facets[other])
    cluster.rule(ruling("erase", other, b"", 9), other)
    while not (queue := cluster.waiting[NEAR, 0]):
        cluster.batch("customers", 0, 100)
    result = cluster.near(cluster.held[NEAR, 0], Batch(0, queue, (), 0))
    shared = {key for key, value in result.changes.items() if value is not None}
    assert set(result.renew) == shared
    assert LEARNER in shared
    assert shared - {LEARNER} <= set(blocks)


def _pairs(cluster: NearCluster, numbers: dict[bytes, int]) -> set[tuple[int, int]]:
    return {
        pair for root in cluster.customers() for pair in combinations(sorted(numbers[node] for node in root.members), 2)
    }


@pytest.mark.parametrize("partitions", [1, 4])
def test_the_stage_finds_whom_the_evaluation_finds(partitions: int) -> None:
    """The running stage, linking by itself, against the function that FEBRL is measured with."""
    records = [(who, {name: traits[name] for name in FEBRL if name in traits}) for who, traits in people(150, seed=5)]
    in_columns = [
        (str(n), {FEBRL[name]: value for name, value in traits.items()}) for n, (_, traits) in enumerate(records)
    ]
    cluster, numbers = NearCluster(partitions, AUTOMATIC, encoded=False), dict[bytes, int]()
    for number, (_, traits) in enumerate(records):
        numbers[cluster.state(number, ("crm_id", f"c-{number}"), traits)] = number
        cluster.settle(random.Random(number), most=1000)
    truth = {pair for pair in combinations(range(len(records)), 2) if records[pair[0]][0] == records[pair[1]][0]}
    found = _pairs(cluster, numbers)
    measured: Any = linked(in_columns)
    theirs = {
        pair
        for cards in measured.members.values()
        for pair in combinations(sorted(int(card.node) for card in cards), 2)
    }
    ours_right, theirs_right = len(found & truth), len(theirs & truth)
    f1 = 2 * ours_right / (len(found) + len(truth))
    theirs_f1 = 2 * theirs_right / (len(theirs) + len(truth))
    assert f1 >= theirs_f1 - 0.02
    if partitions == 1:
        assert found == theirs
        texts = {(min(pair), max(pair)) for pair in ((str(one), str(other)) for one, other in truth)}
        assert staged(in_columns, texts, partitions=1).f1 == f1
