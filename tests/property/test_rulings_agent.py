"""Rulings, suspensions and late identification through the whole customers agent, in any batching."""

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import topics
from schemas.identifiers import Identifier, strongest
from schemas.identity_rules import Bound, IdentityRules, SourceTrust
from streams.core.state import Root
from streams.core.ties import parts
from tests.property.cluster import HASHER, START_MS, Cluster, page_view, ruling

Names = list[tuple[str, str]]
PEOPLE = st.tuples(st.sampled_from(("user_id", "phone_like", "anonymous_id")), st.integers(0, 4)).map(
    lambda pair: ("device_id" if pair[0] == "phone_like" else pair[0], f"x{pair[1]}")
)
NAMES = st.lists(PEOPLE, min_size=1, max_size=3, unique=True)
KINDS = st.sampled_from(("cut", "split", "merge", "release"))
RULINGS = st.lists(st.tuples(KINDS, PEOPLE, PEOPLE, st.integers(0, 25)), max_size=6)


def node_of(name: tuple[str, str]) -> bytes:
    return HASHER.node(Identifier(*name))


def write(cluster: Cluster, signals: Sequence[Names], rnd: random.Random, *, first: int = 0) -> None:
    for number, names in enumerate(signals, first):
        raw = page_view(number, names, START_MS + number)
        cluster.write("signals.web", rnd.randrange(len(cluster.states)), None, raw)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(NAMES, min_size=1, max_size=25),
    RULINGS,
    st.integers(1, 4),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_rulings_lose_nothing(
    signals: list[Names],
    rulings: list[tuple[str, tuple[str, str], tuple[str, str], int]],
    partitions: int,
    rnd: random.Random,
    limited: bool,
) -> None:
    """Every signal is in one facet of one customer; readers end with the customers; each ruling has one outcome."""
    cluster = Cluster(partitions, IdentityRules() if limited else IdentityRules({}))
    for number, names in enumerate(signals):
        write(cluster, [names], rnd, first=number)
        for at, (kind, one, other, when) in enumerate(rulings):
            if when == number:
                raw = ruling(kind, node_of(one), node_of(other), at)
                cluster.write(topics.RULINGS, rnd.randrange(partitions), None, raw)
    cluster.run(rnd)
    roots = cluster.roots()
    assert not list(cluster.of(topics.DEAD_LETTERS))
    held = {node: facet.signals for root in roots for node, facet in root.facets.items()}
    expected: dict[bytes, int] = {}
    for names in signals:
        node = HASHER.node(strongest(Identifier(*name) for name in names))
        expected[node] = expected.get(node, 0) + 1
    assert held == expected
    assert sum(len(root.facets) for root in roots) == len(expected), "a facet is in two places"
    assert all(len(parts(root)) == 1 for root in roots)
    told = {key: identity["customer"] for key, identity in cluster.of(topics.IDENTITIES) if identity}
    assert told == {node: root.node for root in roots for node in root.members}
    newest = {key: profile for key, profile in dict(cluster.of(topics.PROFILES)).items() if profile is not None}
    assert {key: {m["node"] for m in profile["members"]} for key, profile in newest.items()} == {
        root.node: set(root.members) for root in roots
    }
    outcomes: dict[str, set[str]] = {}
    for _, merge in cluster.of(topics.MERGES):
        if merge and merge["ruling"]:
            outcomes.setdefault(merge["ruling"], set()).add(merge["kind"])
    ruled = {f"r{at}" for at, (_, _, _, when) in enumerate(rulings) if when < len(signals)}
    assert outcomes.keys() == ruled
    assert all(len(kinds) == 1 for kinds in outcomes.values())


def test_late_identification_is_told_once_and_whole() -> None:
    """One merges event with both ids, in the same batch as the golden record of the whole person."""
    for seed in range(30):
        rnd = random.Random(seed)
        cluster = Cluster(rnd.randint(1, 4))
        write(cluster, [[("anonymous_id", "b")]] * 4 + [[("user_id", "sara")]] * 2, rnd)
        cluster.run(rnd)
        before = len(cluster.outputs)
        write(cluster, [[("user_id", "sara"), ("anonymous_id", "b")]], rnd, first=10)
        while any(cluster.queues):
            partition = rnd.choice([number for number, queue in enumerate(cluster.queues) if queue])
            start = len(cluster.outputs)
            cluster.step(partition, 1)
            batch = cluster.outputs[start:]
            if any(output.topic == topics.MERGES for output in batch):
                profiles = [output for output in batch if output.topic == topics.PROFILES and output.value]
                (profile,) = profiles
                whole = dict(cluster.of(topics.PROFILES))[profile.key]
                assert whole is not None
                assert whole["history"]["signals"] in (6, 7), "the golden record is not whole yet"
        merges = [output for output in cluster.outputs[before:] if output.topic == topics.MERGES]
        assert len(merges) == 1


def test_what_everybody_gives_leaves_the_customers_that_there_are_without_it() -> None:
    rules = IdentityRules({}, suspension={"device_id": Bound(3, 10**9)})
    for seed in range(20):
        rnd = random.Random(seed)
        cluster = Cluster(rnd.randint(1, 4), rules)
        people: list[Names] = [[("anonymous_id", f"p{n}")] for n in range(8)]
        write(cluster, people, rnd)
        cluster.run(rnd)
        write(cluster, [[*names, ("device_id", "till")] for names in people], rnd, first=20)
        cluster.run(rnd)
        assert {frozenset(root.members) for root in cluster.roots()} == {
            frozenset({node_of(name)}) for names in people for name in names
        } | {frozenset({node_of(("device_id", "till"))})}
        assert "suspended" in {merge["kind"] for _, merge in cluster.of(topics.MERGES) if merge}


def test_a_source_that_is_not_trusted_ties_nobody() -> None:
    """Its signals count; the identifiers beside its own stay where they are. So with a kind that may not link."""
    both: Names = [("user_id", "sara"), ("anonymous_id", "b")]
    for rules, expected in (
        (IdentityRules(), 1),
        (IdentityRules(sources={"shop": SourceTrust(link=False, rank=0)}), 1),
        (IdentityRules(links=frozenset({"user_id", "email"})), 1),
    ):
        cluster = Cluster(2, rules)
        write(cluster, [[("anonymous_id", "b")], both], random.Random(1))
        cluster.run(random.Random(2))
        customers = cluster.roots()
        tied = rules == IdentityRules()
        assert len(customers) == (expected if tied else 2)
        assert sum(facet.signals for root in customers for facet in root.facets.values()) == 2


def test_a_part_keeps_what_protects_the_customer() -> None:
    """After a cut both know of the other's identifiers nothing but that they are kept apart, and why."""
    cluster = Cluster(2, IdentityRules())
    one, other = ("user_id", "sara"), ("anonymous_id", "b")
    write(cluster, [[one, other]], random.Random(1))
    cluster.run(random.Random(1))
    cluster.write(topics.RULINGS, 0, None, ruling("cut", node_of(one), node_of(other)))
    cluster.run(random.Random(1))
    first, second = cluster.roots()
    by_node: dict[bytes, Root] = {root.node: root for root in (first, second)}
    assert by_node.keys() == {node_of(one), node_of(other)}
    assert by_node[node_of(one)].refusals[node_of(other)].limit == "cut"
    assert by_node[node_of(other)].refusals[node_of(one)].limit == "cut"
    assert all(root.story[0].kind == "split" for root in by_node.values())
    write(cluster, [[one, other]], random.Random(1), first=5)
    cluster.run(random.Random(1))
    assert len(cluster.roots()) == 2
