"""The identity protocol under every order of messages that Kafka allows."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.identifiers import KINDS, Identifier
from schemas.identity_rules import IdentityRules
from streams.core import claims, handshake
from streams.core.turn import RETRY_AFTER_MS
from tests.property.identity_world import NO_LIMITS, TIGHT, Graph, World, fuzz, play, random_graph

identifiers = st.builds(Identifier, st.sampled_from(KINDS), st.sampled_from("123"), st.just(""))
graphs = st.lists(st.lists(identifiers, min_size=1, max_size=4, unique=True), min_size=1, max_size=10)
quick = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(graph=graphs, partitions=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_customers_are_the_connected_components(graph: Graph, partitions: int, seed: int) -> None:
    """Without limits any order of messages yields the customers that an offline union-find yields."""
    play(graph, partitions, NO_LIMITS, seed)


@quick
@given(graph=graphs, partitions=st.integers(1, 5), seed=st.integers(0, 2**32))
def test_limits_hold_at_every_moment(graph: Graph, partitions: int, seed: int) -> None:
    """No limit is broken at any moment, and every link that could be honoured is."""
    play(graph, partitions, TIGHT, seed)


def test_many_random_graphs() -> None:
    """Thousands of graphs, and the protocol's price: it may not grow unnoticed."""
    tally = fuzz(6_000)
    price = tally.messages / tally.signals
    print(f"{tally}: {price:.2f} messages per signal")
    assert tally.merges > tally.graphs / 2
    assert tally.refusals > tally.graphs / 2
    # 1.9 on these tiny dense graphs, forwarded signals included; 3.3 for the protocol with "again".
    assert price < 2.2


@settings(quick, max_examples=150)
@given(graph=graphs, seed=st.integers(0, 2**32), rules=st.sampled_from([NO_LIMITS, TIGHT]))
def test_a_repeated_signal_costs_no_handshake(graph: Graph, seed: int, rules: IdentityRules) -> None:
    """What is known, member or refused, is not asked again, and is one hop away."""
    play(graph, 3, rules, seed).check_repeat(graph)


@pytest.mark.parametrize("bound", [1, 2])
def test_full_lists_put_off_and_lose_nothing(bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every bounded list holds only one or two, later signals bring about what was put off."""
    monkeypatch.setattr(claims, "MAX_CLAIMS", bound)
    for name in ("MAX_WAITING", "MAX_ASKED"):
        monkeypatch.setattr(handshake, name, bound)
    put_off = 0
    for number in range(250):
        random = Random(number)
        graph = random_graph(random)
        world = World(random.randint(1, 5), random.choice((NO_LIMITS, TIGHT)), random)
        for rounds in range(1, 30):
            before = world.postponed()
            world.run(graph)
            world.check_always([*graph] * rounds)
            if rounds > 2 and world.postponed() == before:
                break
            world.clocks = [clock + RETRY_AFTER_MS for clock in world.clocks]
        world.check_links(graph)
        put_off += world.postponed()
    assert put_off > 0, "nothing was ever full: the test shows nothing"


def test_a_shared_device_never_merges_two_people() -> None:
    """One browser, two accounts: the browser stays with whom it was first, in every order of messages."""
    browser, sara, omid = Identifier("anonymous_id", "b"), Identifier("user_id", "sara"), Identifier("user_id", "omid")
    graph = [[browser], [sara, browser], [omid, browser], [sara, browser], [omid, browser], [browser]]
    for seed in range(200):
        world = play(graph, 3, IdentityRules(), seed)
        first, second = (world.root_of(world.node(person)) for person in (sara, omid))
        assert first is not None
        assert second is not None
        assert first.node != second.node
        # What either did signed in is in the own facet, whoever has the browser.
        assert first.facets[world.node(sara)].signals == 2
        assert second.facets[world.node(omid)].signals == 2
