"""Groups of customers under any order, merge, split and erasure: in any batching, on any number of partitions."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from schemas import topics
from schemas.identity_rules import IdentityRules
from streams.core.relations import group as group_module
from streams.core.relations.declared import HOUSEHOLD
from streams.core.relations.related import count
from streams.core.state import Group, Root
from tests.property.cluster import START_MS, Cluster, ruling
from tests.property.relations_world import DECLARED, at, check, node_of, root_of, write

PEOPLE = st.tuples(st.sampled_from(("user_id", "loyalty_id", "device_id")), st.integers(0, 4)).map(
    lambda pair: (pair[0], f"x{pair[1]}")
)
TRAITS = st.one_of(
    st.tuples(st.sampled_from(("Karimi", "كريمي", "Doe")), st.sampled_from("AB")).map(lambda p: at(*p)),
    st.sampled_from(({"referrer": "x0"}, {"referrer": "x1"}, {"company": "Acme"}, {"company": "ACME "}, {"vip": "no"})),
)
SIGNALS = st.lists(st.tuples(st.lists(PEOPLE, min_size=1, max_size=2, unique=True), TRAITS), min_size=1, max_size=14)
KINDS = st.sampled_from(("cut", "split", "merge", "erase"))
RULINGS = st.lists(st.tuples(KINDS, PEOPLE, PEOPLE, st.integers(0, 14)), max_size=4)


@settings(max_examples=100, deadline=None)
@given(SIGNALS, RULINGS, st.integers(1, 4), st.randoms(use_true_random=False), st.sampled_from((2, 32)))
def test_groups_hold_those_whose_traits_say_so(
    signals: list[tuple[list[tuple[str, str]], dict[str, str]]],
    rulings: list[tuple[str, tuple[str, str], tuple[str, str], int]],
    partitions: int,
    rnd: random.Random,
    most: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_module, "MAX_MEMBERS", most)
        cluster = Cluster(partitions, IdentityRules({}), declared=DECLARED)
        for number, (names, traits) in enumerate(signals):
            write(cluster, number, names, traits, rnd)
            for which, (kind, one, other, when) in enumerate(rulings):
                if when == number:
                    raw = ruling(kind, node_of(one), node_of(other), which)
                    cluster.write(topics.RULINGS, rnd.randrange(partitions), None, raw)
            if rnd.random() < 0.3:
                cluster.run(rnd)
        cluster.run(rnd)
        letters = [letter["code"] for _, letter in cluster.of(topics.DEAD_LETTERS) if letter]
        assert set(letters) <= {"erased"}
        check(cluster)


def settled(*signals: tuple[tuple[str, str], dict[str, str]]) -> Cluster:
    cluster, rnd = Cluster(3, declared=DECLARED), random.Random(7)
    for number, (name, traits) in enumerate(signals):
        write(cluster, number, [name], traits, rnd)
    cluster.run(rnd)
    check(cluster)
    return cluster


def customer(cluster: Cluster, name: tuple[str, str]) -> Root:
    found = root_of(cluster.records(), node_of(name))
    assert found is not None
    return found


ONE, TWO, THREE = ("user_id", "one"), ("user_id", "two"), ("user_id", "three")


def test_a_family_is_related_and_stays_two_customers() -> None:
    cluster = settled((ONE, at("Karimi", "A")), (TWO, at("KARIMI", "a")), (THREE, at("Karimi", "B")))
    profiles = {key: value for key, value in cluster.of(topics.PROFILES) if value}
    (relation,) = profiles[node_of(ONE)]["relations"]
    assert relation == {
        "kind": "household",
        "direction": "both",
        "customer": node_of(TWO),
        "signal_id": "m0",
        "source": "crm",
        "at_ms": START_MS,
        "crowded": False,
    }
    assert profiles[node_of(THREE)]["relations"] == []


def test_who_moves_leaves() -> None:
    cluster = settled((ONE, at("Karimi", "A")), (TWO, at("Karimi", "A")), (ONE, at("Karimi", "B")))
    assert [r["customer"] for r in dict(cluster.of(topics.PROFILES))[node_of(TWO)]["relations"]] == []  # type: ignore[index]


def test_mates_who_become_one_are_no_relation() -> None:
    cluster = settled((ONE, at("Karimi", "A")), (TWO, at("Karimi", "A")))
    rnd = random.Random(1)
    write(cluster, 9, [ONE, TWO], {}, rnd)
    cluster.run(rnd)
    check(cluster)
    assert len(cluster.roots()) == 1
    assert dict(cluster.of(topics.PROFILES))[cluster.roots()[0].node]["relations"] == []  # type: ignore[index]


def test_a_referral_is_directed_and_found_by_a_referrer_who_comes_later() -> None:
    cluster = settled((ONE, {"referrer": "card"}), (("loyalty_id", "card"), {"vip": "no"}))
    profiles = {key: value for key, value in cluster.of(topics.PROFILES) if value}
    (out,) = profiles[node_of(ONE)]["relations"]
    (back,) = profiles[node_of(("loyalty_id", "card"))]["relations"]
    assert (out["direction"], out["customer"]) == ("out", node_of(("loyalty_id", "card")))
    assert (back["direction"], back["customer"]) == ("in", node_of(ONE))


def crowded() -> float:
    return REGISTRY.get_sample_value("sada_identity_events_total", {"event": "crowded"}) or 0.0


def test_who_names_its_own_card_refers_nobody() -> None:
    card = ("loyalty_id", "card")
    cluster = settled((ONE, {"referrer": "card"}), (card, {"vip": "no"}), (card, {"referrer": "card"}))
    (back,) = dict(cluster.of(topics.PROFILES))[node_of(card)]["relations"]  # type: ignore[index]
    assert (back["direction"], back["customer"]) == ("in", node_of(ONE))


def test_a_dormitory_is_crowded_and_remembers_nobody() -> None:
    people = [("user_id", f"u{number}") for number in range(40)]
    before = crowded()
    cluster = settled(*((name, at("Karimi", "A")) for name in people))
    assert crowded() - before == 1, "operators see it"
    (group,) = [record for record in cluster.records().values() if isinstance(record, Group)]
    assert group.crowded
    assert not group.members
    for name in people:
        (related,) = customer(cluster, name).relations.values()
        assert related.crowded
        assert related.mates == b""
        assert count(node_of(name), {b"g" * 16: related}, HOUSEHOLD) == 0, "a condition counts neighbours"
    told = sum(1 for _, m in cluster.of(topics.INBOX) if m and m["told"])
    assert told <= 33 * 33 + 40


def test_who_is_parted_again_is_in_the_household_as_two() -> None:
    cluster, rnd = Cluster(3, IdentityRules({}), declared=DECLARED), random.Random(5)
    for number, name in enumerate((ONE, TWO, THREE)):
        write(cluster, number, [name], at("Karimi", "A"), rnd)
    write(cluster, 8, [ONE, TWO], at("Karimi", "A"), rnd)
    cluster.run(rnd)
    check(cluster)
    assert len(cluster.roots()) == 2
    cluster.write(topics.RULINGS, 0, None, ruling("split", node_of(TWO)))
    cluster.run(rnd)
    check(cluster)
    assert len(cluster.roots()) == 3
    assert len(dict(cluster.of(topics.PROFILES))[node_of(THREE)]["relations"]) == 2  # type: ignore[index]
