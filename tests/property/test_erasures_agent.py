"""Erasure through the whole customers agent, in any batching: every signal ends in one place, nothing is left."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import topics
from schemas.identifiers import Identifier, strongest
from schemas.identity_rules import IdentityRules
from streams.agents import customers
from streams.core import state
from streams.core.state import Erased, Root
from streams.lane.job import Batch
from tests.peers.delivery import action
from tests.property.cluster import HASHER, START_MS, WIRE, Cluster, page_view, ruling

Names = list[tuple[str, str]]
# Values that no key, hash or number holds by chance.
PEOPLE = st.tuples(st.sampled_from(("user_id", "device_id", "anonymous_id")), st.integers(0, 4)).map(
    lambda pair: (pair[0], f"sara-{pair[0]}-{pair[1]}")
)
NAMES = st.lists(PEOPLE, min_size=1, max_size=3, unique=True)


def node_of(name: tuple[str, str]) -> bytes:
    return HASHER.node(Identifier(*name))


def own(names: Names) -> bytes:
    return HASHER.node(strongest(Identifier(*name) for name in names))


def write(cluster: Cluster, signals: list[Names], rnd: random.Random, first: int = 0) -> None:
    for number, names in enumerate(signals, first):
        raw = page_view(number, names, START_MS + number)
        cluster.write("signals.web", rnd.randrange(len(cluster.states)), b"sara's key", raw)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(NAMES, min_size=1, max_size=20),
    st.lists(st.tuples(PEOPLE, st.integers(0, 25)), min_size=1, max_size=3),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_an_erased_customer_leaves_nothing(
    signals: list[Names], erasures: list[tuple[tuple[str, str], int]], partitions: int, rnd: random.Random
) -> None:
    """Under any batching: each signal is in one facet or refused without its bytes; readers forget the customer."""
    cluster = Cluster(partitions, IdentityRules({}))
    for number, names in enumerate(signals):
        write(cluster, [names], rnd, number)
        for at, (one, when) in enumerate(erasures):
            if min(when, len(signals) - 1) == number:
                cluster.write(topics.RULINGS, rnd.randrange(partitions), None, ruling("erase", node_of(one), number=at))
    cluster.run(rnd)
    check_gone(cluster, signals)
    gone = erased(cluster)
    assert {node_of(one) for one, _ in erasures} <= gone
    assert len(outcomes_of(cluster)) == len(erasures)
    for _ in range(2):
        write(cluster, signals, rnd, 100)
        cluster.run(rnd)
        assert erased(cluster) == gone, "a replay brings back who was erased, or takes somebody along"
        check_gone(cluster, signals)


def erased(cluster: Cluster) -> set[bytes]:
    return {node for node, record in cluster.records().items() if isinstance(record, Erased)}


def check_gone(cluster: Cluster, signals: list[Names]) -> None:
    gone = erased(cluster)
    told = {
        node for _, merge in cluster.of(topics.MERGES) if merge and merge["kind"] == "erased" for node in merge["nodes"]
    }
    assert told == gone
    values = {value for names in signals for name in names if node_of(name) in gone for value in [name[1].encode()]}
    for record in cluster.records().values():
        raw = state.encode(record)
        assert not any(value in raw for value in values), "an erased value is left in a record"
    newest = dict(cluster.of(topics.PROFILES))
    roots = {record.node for record in cluster.records().values() if isinstance(record, Root)}
    assert {key for key, profile in newest.items() if profile is not None} == roots
    belongs = dict(cluster.of(topics.IDENTITIES))
    assert {node for node, identity in belongs.items() if identity is not None}.isdisjoint(gone)
    assert {node for node, identity in belongs.items() if identity is None} == gone & belongs.keys()
    letters = [letter for _, letter in cluster.of(topics.DEAD_LETTERS) if letter]
    assert all(letter["code"] == "erased" and letter["value"] is None for letter in letters)
    assert all(letter["key"] in gone and letter["topic"] == "signals.web" for letter in letters)
    places = [(letter["topic"], letter["partition"], letter["offset"]) for letter in letters]
    assert len(set(places)) == len(places), "a signal was refused twice"
    assert set(outcomes_of(cluster).values()) <= {1}, "a ruling has more than one outcome"


def outcomes_of(cluster: Cluster) -> dict[str, int]:
    outcomes: dict[str, int] = {}
    for _, merge in cluster.of(topics.MERGES):
        if merge and merge["ruling"]:
            outcomes[merge["ruling"]] = outcomes.get(merge["ruling"], 0) + 1
    return outcomes


def test_a_rebuild_from_the_rulings_and_the_signals_stays_erased() -> None:
    """The rulings alone, as the topic keeps them, mark every identifier of the customer before any signal is read."""
    both: Names = [("user_id", "sara-1"), ("anonymous_id", "sara-2")]
    later: Names = [("anonymous_id", "sara-2")]
    live = Cluster(3)
    live_rnd = random.Random(1)
    write(live, [both, later], live_rnd)
    live.run(live_rnd)
    first = ruling("erase", node_of(both[0]))
    live.write(topics.RULINGS, 0, node_of(both[0]), first)
    live.run(live_rnd)
    kept = [first, *(output.value for output in live.outputs if output.topic == topics.RULINGS)]
    assert len(kept) == 2
    again = Cluster(2)
    for value in kept:
        again.write(topics.RULINGS, 0, None, value)
    again.run(live_rnd)
    write(again, [both, later], live_rnd)
    again.run(live_rnd)
    assert not again.roots()
    assert erased(again) == {node_of(name) for name in both}


def test_what_is_wrong_with_a_signal_of_an_erased_customer_is_told_without_it() -> None:
    """A signal that could not be taken anyway: its dead letter holds nothing of it either."""
    cluster = Cluster(1)
    rnd = random.Random(1)
    sara: Names = [("user_id", "sara-1")]
    cluster.write(topics.RULINGS, 0, None, ruling("erase", node_of(sara[0])))
    cluster.run(rnd)
    wrong = WIRE.codec("signals.web").decode(page_view(1, sara, START_MS))
    wrong["name"] = "x" * 1_000
    for names, code, held in ((sara, "erased", False), ([("user_id", "omid")], "bad-name", True)):
        signal = {**wrong, "identifiers": [{"kind": kind, "value": value} for kind, value in names]}
        cluster.write("signals.web", 0, None, WIRE.codec("signals.web").encode(signal))
        cluster.run(rnd)
        *_, (_, letter) = cluster.of(topics.DEAD_LETTERS)
        assert letter is not None
        assert letter["code"] == code
        assert (letter["value"] is not None) == held


def test_what_was_decided_in_the_batch_of_the_erasure_is_not_said() -> None:
    """An action for a customer whose erasure stands behind its signal in one batch never leaves the worker."""
    sara, omid = node_of(("user_id", "sara-1")), node_of(("user_id", "omid-1"))
    cluster = Cluster(1)
    cluster.write(topics.RULINGS, 0, None, ruling("erase", sara))
    run = customers._Run(cluster.agent, {}, Batch(0, cluster.queues[0], (), 0))
    run.effects.actions += [action(1, "web", customer=sara), action(2, "web", customer=omid)]
    sent = [output.key for output in run.result().outputs if output.topic == topics.actions("web")]
    assert sent == [omid]


def test_a_profile_never_follows_the_tombstone_of_its_batch() -> None:
    """In whatever batches the signal and the erasure are read, the last word on the customer is that it is gone."""
    for together in (True, False):
        cluster = Cluster(1)
        write(cluster, [[("user_id", "sara-1")]], random.Random(1))
        if not together:
            cluster.step(0, 10)
        cluster.write(topics.RULINGS, 0, None, ruling("erase", node_of(("user_id", "sara-1"))))
        cluster.step(0, 10)
        profiles = [profile is None for _, profile in cluster.of(topics.PROFILES)]
        assert profiles == ([True] if together else [False, True])
