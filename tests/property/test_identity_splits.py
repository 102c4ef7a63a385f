"""Undoing: whatever was merged can be parted again, exactly, and stays parted; under every order of messages."""

from collections.abc import Iterable
from random import Random

import pytest

from schemas.identifiers import Identifier
from schemas.identity_rules import IdentityRules
from streams.core.links import Merged, Parted, Refused, Suspended, Void
from streams.core.state import Root, encode
from streams.core.turn import RETRY_AFTER_MS
from tests.property.identity_world import NO_LIMITS, TIGHT, Graph, World, components, demand, links_of, random_graph

Edge = frozenset[Identifier]


def world_of(random: Random, rules: IdentityRules = NO_LIMITS) -> World:
    return World(random.randint(1, 5), rules, random, one_log=True)


def customers(world: World) -> set[frozenset[Identifier]]:
    return {frozenset(world.nodes[node] for node in root.members) for root in world.roots()}


def connected(identifiers: Iterable[Identifier], edges: Iterable[Edge]) -> set[frozenset[Identifier]]:
    """Return the components of an evidence graph, in one place and by another way than the protocol's."""
    return components([[one] for one in identifiers] + [sorted(edge) for edge in edges])


def evidence(graph: Graph) -> tuple[set[Identifier], set[Edge]]:
    return {one for signal in graph for one in signal}, {frozenset(link) for link in links_of(graph)}


@pytest.mark.parametrize("seed", range(4))
def test_rulings_leave_what_the_evidence_without_them_comes_to(seed: int) -> None:
    """A cut, an identifier taken out: the customers are the components of what is left, and stay so in a replay."""
    parted = 0
    for number in range(150):
        random = Random(f"{seed}:{number}")
        graph = random_graph(random)
        world = world_of(random)
        world.run(graph)
        known, edges = evidence(graph)
        for _ in range(random.randint(1, 4)):
            one = random.choice(sorted(known))
            tied = sorted(edge for edge in edges if one in edge)
            if tied and random.random() < 0.6:
                (other,) = random.choice(tied) - {one}
                world.rule("cut", one, other)
                left = edges - {frozenset((one, other))}
                if connected(known, left) != connected(known, edges):
                    edges = left
            else:
                world.rule("split", one)
                edges = {edge for edge in edges if one not in edge}
            world.settle()
            demand(customers(world) == connected(known, edges), "the parts are not what the evidence leaves")
        parted += any(isinstance(event, Parted) for event in world.events)
        check_after(world, [*graph])
        for _ in range(2):
            world.clocks = [clock + RETRY_AFTER_MS for clock in world.clocks]
            world.run(graph)
        demand(customers(world) == connected(known, edges), "the same evidence has merged again what was parted")
        check_after(world, [*graph] * 3)
    assert parted > 50, "hardly anything was parted: the test shows little"


def check_after(world: World, graph: Graph) -> None:
    world.check_settled()
    world.check_facets(graph)
    world.check_members()
    world.check_events()
    world.check_rulings()


def test_merged_and_parted_is_as_never_merged() -> None:
    """Two histories and one wrong link: after its cut every facet is, byte for byte, that of the history alone."""
    for number in range(300):
        random = Random(number)
        first = random_graph(random)
        second = [[Identifier(kind, value + "'") for kind, value, _ in signal] for signal in random_graph(random)]
        one, other = random.choice(random.choice(first)), random.choice(random.choice(second))
        wrong = [one, other]
        world = world_of(random)
        world.run([*first, *second, wrong])
        together = customers(world)
        world.rule("cut", one, other)
        world.settle()
        alone = components([*first, *second])
        demand(customers(world) == alone, "the parts are not the customers of before")
        demand(len(together) == len(alone) - 1, "the wrong link has merged nothing")
        check_after(world, [*first, *second, wrong])
        world.run([*first, *second, wrong])
        demand(customers(world) == alone, "the same evidence has merged again what was parted")
        refused = [root for root in world.roots() if world.node(other) in root.refusals]
        assert [refusal.refusals[world.node(other)].limit for refusal in refused] == ["cut"]


@pytest.mark.parametrize("rules", [NO_LIMITS, TIGHT, IdentityRules()], ids=["no limits", "tight", "default"])
def test_rulings_under_fire(rules: IdentityRules) -> None:
    """Rulings in the middle of everything: nothing is lost, no limit and no cut is broken, each has one outcome."""
    kinds = ("cut", "cut", "split", "split", "merge", "release")
    outcomes: set[str] = set()
    for number in range(400):
        random = Random(f"fire:{number}")
        graph = random_graph(random)
        pool = sorted({one for signal in graph for one in signal})
        world = world_of(random, rules)
        for part in range(3):
            share = graph[part::3]
            for _ in range(random.randint(0, 3)):
                kind = random.choice(kinds)
                if kind == "merge" and number % 2:  # only half of the worlds have limits overruled
                    kind = "cut"
                edge = random.choice([list(link) for link in links_of(graph)] or [random.choices(pool, k=2)])
                world.rule(kind, edge[0], edge[1] if kind in ("cut", "merge") else None)
            world.run(share)
        check_after(world, graph)
        outcomes |= {event.reason for event in world.events if isinstance(event, Void)}
        outcomes |= {type(event).__name__ for event in world.events}
    assert outcomes >= {"Parted", "Merged", "unknown-customer", "not-tied", "same-customer", "only-member"}


def test_only_an_operator_makes_one_of_two_known_people() -> None:
    """Two accounts are merged by a ruling, whatever the limit says, and can be parted by another."""
    sara, omid, shared = Identifier("user_id", "sara"), Identifier("user_id", "omid"), Identifier("phone", "1")
    for seed in range(200):
        world = world_of(Random(seed), IdentityRules())
        world.run([[sara, shared], [omid, shared]])
        assert len(world.roots()) == 2
        assert all(root.refusals for root in world.roots()), "the refusal is not on both"
        ruling = world.rule("merge", sara, omid)
        world.settle()
        (merged,) = [event for event in world.events if isinstance(event, Merged)]
        assert merged.ruling == ruling
        (root,) = world.roots()
        assert {world.nodes[node] for node in root.members} == {sara, omid, shared}
        assert not root.refusals
        assert root.story[0].kind == "merged"
        assert root.story[0].ruling == ruling
        world.rule("cut", sara, omid)
        world.settle()
        assert customers(world) == {frozenset({sara, shared}), frozenset({omid})} or customers(world) == {
            frozenset({omid, shared}),
            frozenset({sara}),
        }
        back = world.rule("merge", omid, sara)
        world.settle()
        assert len(world.roots()) == 1, "a later word of an operator does not lift the cut"
        assert [event.ruling for event in world.events if isinstance(event, Merged)] == [ruling, back]
        (root,) = world.roots()
        assert not any(member.cuts for member in root.members.values())


def test_a_value_that_everybody_gives_is_suspended_and_taken_out() -> None:
    """A till's tablet: the people whom it had tied are people again, those tied by more than it stay together."""
    rules = IdentityRules()
    bound = rules.suspends("device_id")
    assert bound is not None
    tablet = Identifier("device_id", "till")
    for seed in range(60):
        random = Random(seed)
        world = world_of(random, rules)
        people = [Identifier("anonymous_id", str(n)) for n in range(bound.above + 4)]
        pair = Identifier("email", "pair")
        graph = [[tablet, person] for person in people[:-2]]
        graph += [[people[0], pair], [people[1], pair]]
        world.run([[person] for person in people])  # each a customer before the tablet names them
        for signal in graph:
            world.run([signal])
        suspended = [event for event in world.events if isinstance(event, Suspended)]
        if not suspended:
            continue
        assert [world.nodes[event.node] for event in suspended] == [tablet]
        assert frozenset({tablet}) in customers(world)
        assert frozenset({people[0], people[1], pair}) in customers(world)
        before = customers(world)
        world.run([[people[-1], tablet], [people[-2], tablet]])
        assert customers(world) == before | {frozenset({people[-1]}), frozenset({people[-2]})}
        assert any(isinstance(event, Refused) and event.limit == "suspended" for event in world.events)
        world.rule("release", tablet)
        world.settle()
        assert customers(world) == before, "a release ties nothing by itself"
        return
    pytest.fail("the tablet was never suspended")


def test_a_part_keeps_its_oldest_customers_id() -> None:
    """Who had an id before a merge has it again after the split."""
    first, second = Identifier("email", "a"), Identifier("email", "b")
    for seed in range(50):
        world = world_of(Random(seed))
        world.run([[first]])
        world.run([[second]])
        before = {root.node: encode_facets(root) for root in world.roots()}
        world.run([[first, second]])
        world.rule("cut", first, second)
        world.settle()
        after = {root.node: encode_facets(root) for root in world.roots()}
        assert after.keys() == before.keys()


def encode_facets(root: Root) -> bytes:
    return encode(Root(root.node, 0, facets=root.facets))
