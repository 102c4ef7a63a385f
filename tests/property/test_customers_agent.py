"""The customers agent as a whole, over several partitions, in any batching and any interleaving."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import topics
from schemas.identifiers import Identifier, strongest
from schemas.identity_rules import IdentityRules
from schemas.views import Signal
from streams.core import customer, facet, state
from streams.core.facet_state import Facet
from streams.core.state import Alias
from tests.property.cluster import HASHER, START_MS, Cluster, page_view, ruling

KINDS = ("user_id", "email", "anonymous_id")
PEOPLE = st.tuples(st.sampled_from(KINDS), st.integers(0, 5)).map(
    lambda pair: (pair[0], f"x{pair[1]}@example.com" if pair[0] == "email" else f"x{pair[1]}")
)
NAMES = st.lists(PEOPLE, min_size=1, max_size=3, unique=True)


def offline(signals: Sequence[Sequence[tuple[str, str]]]) -> set[frozenset[bytes]]:
    """Return the connected components, by a union-find that shares nothing with ours."""
    parent: dict[bytes, bytes] = {}

    def find(node: bytes) -> bytes:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    for names in signals:
        nodes = [HASHER.node(Identifier(*name)) for name in names]
        for node in nodes:
            parent[find(node)] = find(nodes[0])
    groups: dict[bytes, set[bytes]] = {}
    for node in list(parent):
        groups.setdefault(find(node), set()).add(node)
    return {frozenset(group) for group in groups.values()}


@settings(max_examples=150, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=25), st.integers(1, 4), st.randoms(use_true_random=False), st.booleans())
def test_every_signal_is_in_one_customer(
    signals: list[list[tuple[str, str]]], partitions: int, rnd: random.Random, keyed: bool
) -> None:
    """Whatever its key, each signal is in one facet of one customer, and customers are the connected components."""
    cluster = Cluster(partitions)
    for number, names in enumerate(signals):
        node = HASHER.node(strongest(Identifier(*name) for name in names))
        partition = cluster.owner.partition_of(node) if keyed else rnd.randrange(partitions)
        cluster.write("signals.web", partition, node, page_view(number, names, START_MS + number))
    cluster.run(rnd)
    roots = cluster.roots()
    assert not list(cluster.of(topics.DEAD_LETTERS))
    assert sum(facet.signals for root in roots for facet in root.facets.values()) == len(signals)
    assert {frozenset(root.members) for root in roots} == offline(signals)
    told: dict[bytes, bytes] = {}
    for key, identity in cluster.of(topics.IDENTITIES):
        assert key is not None
        assert identity is not None
        told[key] = identity["customer"]
    assert told == {node: root.node for root in roots for node in root.members}


@settings(max_examples=50, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=20), st.integers(1, 3), st.randoms(use_true_random=False))
def test_the_newest_profiles_are_the_customers(
    signals: list[list[tuple[str, str]]], partitions: int, rnd: random.Random
) -> None:
    """What a reader of the compacted topic ends with: one profile per customer, each whole; merged ones are gone."""
    cluster = Cluster(partitions)
    for number, names in enumerate(signals):
        cluster.write("signals.web", rnd.randrange(partitions), None, page_view(number, names, START_MS + number))
    cluster.run(rnd)
    newest = dict(cluster.of(topics.PROFILES))
    alive = {key: profile for key, profile in newest.items() if profile is not None}
    assert set(alive) == {root.node for root in cluster.roots()}
    for root in cluster.roots():
        profile = alive[root.node]
        assert profile is not None
        assert {member["node"] for member in profile["members"]} == set(root.members)
        assert profile["history"]["signals"] == sum(facet.signals for facet in root.facets.values())
        # As of the newest signal, whatever came last and whatever the partition's stream time was.
        own = [
            n
            for n, names in enumerate(signals)
            if HASHER.node(strongest(Identifier(*x) for x in names)) in root.members
        ]
        assert profile["updated_at_ms"] == START_MS + max(own)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_retries_count_once(numbers: list[int], rnd: random.Random) -> None:
    """A sender's retry, with the same id from the same source, changes nothing. Without the id set it counts twice."""
    cluster = Cluster(2)
    for number in numbers:
        raw = page_view(number, [("user_id", f"u{number % 3}")], START_MS + number)
        cluster.write("signals.web", rnd.randrange(2), None, raw)
    cluster.run(rnd)
    folded = sum(facet.signals for root in cluster.roots() for facet in root.facets.values())
    assert folded == len(set(numbers))


def test_without_the_message_ids_a_retry_counts_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard taken out: what the test above sees is the guard's doing."""
    fold = facet.fold

    def forgetful(kept: Facet, signal: Signal, at_ms: int) -> bool:
        kept.recent_ids = b""
        return fold(kept, signal, at_ms)

    monkeypatch.setattr(customer, "fold", forgetful)
    cluster = Cluster(1)
    for _ in range(2):
        cluster.write("signals.web", 0, None, page_view(1, [("user_id", "u")], START_MS))
    cluster.run(random.Random(1))
    assert [f.signals for root in cluster.roots() for f in root.facets.values()] == [2]


def test_an_anonymous_visitor_who_signs_in_is_one_customer() -> None:
    """Across partitions: the history before the sign-in is the customer's."""
    cluster = Cluster(4)
    for number in range(5):
        cluster.write("signals.web", 0, None, page_view(number, [("anonymous_id", "browser-1")], START_MS + number))
    cluster.run(random.Random(1))
    cluster.write(
        "signals.web", 1, None, page_view(9, [("user_id", "sara"), ("anonymous_id", "browser-1")], START_MS + 9)
    )
    cluster.run(random.Random(1))
    (root,) = cluster.roots()
    assert sum(facet.signals for facet in root.facets.values()) == 6
    assert {member.kind for member in root.members.values()} == {"user_id", "anonymous_id"}
    assert [merge["kind"] for _, merge in cluster.of(topics.MERGES) if merge] == ["merged"]


def test_two_known_people_on_one_browser_stay_two() -> None:
    """A shared browser merges nobody: the second sign-in is refused, counted and told."""
    cluster = Cluster(3, IdentityRules())
    for number, user in enumerate(["sara", "omid", "sara", "omid"]):
        names = [("user_id", user), ("anonymous_id", "family-tablet")]
        cluster.write("signals.web", number % 3, None, page_view(number, names, START_MS + number))
    cluster.run(random.Random(2))
    users = [root for root in cluster.roots() if any(m.kind == "user_id" for m in root.members.values())]
    assert len(users) == 2
    assert all(sum(m.kind == "user_id" for m in root.members.values()) == 1 for root in users)
    assert "refused" in {merge["kind"] for _, merge in cluster.of(topics.MERGES) if merge}


BAD: dict[str, tuple[str, bytes | None, str]] = {
    "garbage": ("signals.web", b"garbage", "bad-frame"),
    "empty": ("signals.web", b"", "bad-frame"),
    "tombstone": ("signals.web", None, "empty"),
    "unknown schema": ("signals.web", b"\x00\x00\x00\x00\x01abc", "unknown-schema"),
    "truncated": ("signals.web", page_view(1, [("user_id", "u")], START_MS)[:-3], "bad-avro"),
    "nobody": ("signals.web", page_view(1, [], START_MS), "bad-identifiers"),
    "nobody usable": ("signals.web", page_view(1, [("user_id", "null"), ("email", "x")], START_MS), "no-identifier"),
    "an id of 10 kB": ("signals.web", page_view(1, [("user_id", "u" * 10_000)], START_MS), "bad-identifiers"),
    "a forged inbox message": (topics.INBOX, b"\xc3\x01garbage!!", "unknown-schema"),
    "a ruling that is none": (topics.RULINGS, ruling("banish", b"n" * 16), "bad-ruling"),
    "a ruling on nobody": (topics.RULINGS, ruling("split", b"n"), "bad-ruling"),
    "a cut of one": (topics.RULINGS, ruling("cut", b"n" * 16), "bad-ruling"),
    "a tick that is none": (topics.TICKS, b"soon", "bad-frame"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_input_becomes_a_dead_letter_and_costs_nobody_else(case: str) -> None:
    """Its bytes, its origin and a stable reason; the good signals around it are folded."""
    topic, raw, code = BAD[case]
    cluster = Cluster(1)
    cluster.write("signals.web", 0, b"k", page_view(1, [("user_id", "before")], START_MS))
    cluster.write(topic, 0, b"k", raw)
    cluster.write("signals.web", 0, b"k", page_view(2, [("user_id", "after")], START_MS))
    cluster.step(0, 10)
    ((_, letter),) = cluster.of(topics.DEAD_LETTERS)
    assert letter is not None
    assert (letter["code"], letter["value"], letter["topic"], letter["offset"]) == (code, raw, topic, 2)
    assert letter["detail"]
    assert sum(f.signals for root in cluster.roots() for f in root.facets.values()) == 2


def test_a_clock_years_ahead_moves_no_stream_time() -> None:
    """A producer that stamps 2099 must not run out everybody's labels: the broker's own clock is the bound."""
    cluster = Cluster(1)
    cluster.write("signals.web", 0, None, page_view(1, [("user_id", "u")], 4_070_000_000_000))
    cluster.step(0, 1)
    assert cluster.stream_ms[0] <= START_MS + 10**9


def test_pointers_end_at_roots() -> None:
    """After merges every alias leads, in the end, to a root."""
    cluster = Cluster(4)
    rnd = random.Random(7)
    for number in range(60):
        names = [(rnd.choice(["user_id", "anonymous_id"]), f"x{rnd.randrange(12)}") for _ in range(2)]
        cluster.write("signals.web", rnd.randrange(4), None, page_view(number, names, START_MS + number))
    cluster.run(rnd)
    records = cluster.records()
    for record in records.values():
        seen = 0
        while isinstance(record, Alias):
            record = records[record.to]  # noqa: PLW2901 - following the pointers
            seen += 1
            assert seen <= len(records)


def test_pointers_in_a_circle_cost_one_signal_and_stop_nobody() -> None:
    """It cannot be, so it is tried: the signal that runs in the circle is a dead letter, whole; the next is folded."""
    cluster = Cluster(1)
    one, other = HASHER.node(Identifier("user_id", "u1")), HASHER.node(Identifier("user_id", "u2"))
    cluster.states[0] = {one: state.encode(Alias(other, START_MS)), other: state.encode(Alias(one, START_MS))}
    lost = page_view(1, [("user_id", "u1")], START_MS)
    cluster.write("signals.web", 0, None, lost)
    cluster.write("signals.web", 0, None, page_view(2, [("user_id", "u3")], START_MS + 1))
    cluster.run(random.Random(1))
    ((_, letter),) = cluster.of(topics.DEAD_LETTERS)
    assert letter is not None
    assert letter["code"] == "bad-message"
    assert lost in letter["value"]
    assert [sum(f.signals for f in root.facets.values()) for root in cluster.roots()] == [1]
