"""Scenarios of erasure, each drawn from one seed: a customer is forgotten whole, for good, nobody else touched."""

from collections.abc import Callable, Iterable, Mapping
from random import Random

from schemas.identifiers import Identifier, strongest
from schemas.identity_rules import IdentityRules
from streams.core.cuts import ERASED
from streams.core.links import Forgotten, Void
from streams.core.state import Root, encode
from streams.core.turn import REFUSED_FOR_MS, RETRY_AFTER_MS
from tests.property.identity_world import NO_LIMITS, TIGHT, Graph, World, components, demand, links_of, random_graph


def held_by(roots: Iterable[Root]) -> dict[bytes, bytes]:
    """Return what customers hold, byte for byte."""
    return {root.node: encode(Root(root.node, root.created_at_ms, root.members, root.facets)) for root in roots}


def check(world: World, graph: Graph) -> None:
    """Demand what holds whoever was erased."""
    world.check_settled()
    world.check_facets(graph)
    world.check_members()
    world.check_events()
    world.check_rulings()


def whole_and_nobody_else(random: Random) -> World:
    """At rest: the customer's identifiers are erased, all of them; every other customer stays byte for byte."""
    graph = random_graph(random)
    world = World(random.randint(1, 5), random.choice((NO_LIMITS, TIGHT)), random, one_log=True)
    world.run(graph)
    one = random.choice(sorted({each for signal in graph for each in signal}))
    root = world.root_of(world.node(one))
    named = {world.node(one)} if root is None else set(root.members)
    before = held_by(world.roots())
    before.pop(root.node if root else b"", None)
    world.rule("erase", one)
    world.settle()
    demand(world.erased() == named, "not those were erased who were the customer")
    demand(held_by(world.roots()) == before, "somebody else was touched")
    check(world, graph)
    forgotten = {world.nodes[node] for node in named}
    for again in (2, 3, 4):
        world.clocks = [clock + REFUSED_FOR_MS for clock in world.clocks]
        world.run(graph)
        demand(world.erased() == named, "a replay brings back who was erased, or takes somebody along")
        check(world, [*graph] * again)
    others = [signal for signal in graph if strongest(signal) not in forgotten]
    left = [[each for each in signal if each not in forgotten] for signal in others]
    if not world.rules.limits:
        parts = {frozenset(world.nodes[node] for node in root.members) for root in world.roots()}
        demand(parts == components(left), "the others are not what their signals say without the erased")
        refused = {refusal.limit for root in world.roots() for refusal in root.refusals.values()}
        names_one = any(forgotten & set(signal) for signal in others)
        demand(not names_one or refused == {ERASED}, "who named the erased does not show it")
    return world


def before_anything(random: Random) -> World:
    """As a replay does: the ruling is heard before any signal, and what it names never becomes anybody."""
    graph = random_graph(random)
    pool = sorted({each for signal in graph for each in signal})
    world = World(random.randint(1, 5), NO_LIMITS, random, one_log=True)
    gone = random.sample(pool, random.randint(1, min(3, len(pool))))
    for one in gone:
        world.rule("erase", one)
    world.settle()
    demand(world.erased() == {world.node(one) for one in gone}, "an unknown node is not marked")
    world.run(graph)
    demand(world.erased() == {world.node(one) for one in gone}, "the mark is lost, or spreads")
    check(world, graph)
    return world


def under_fire(random: Random) -> World:
    """Erasures and every other ruling in the middle of everything: each ends once, nothing waits for who is gone."""
    graph = random_graph(random)
    pool = sorted({each for signal in graph for each in signal})
    world = World(
        random.choice((1, 2, 2, 3, 5)), random.choice((NO_LIMITS, TIGHT, IdentityRules())), random, one_log=True
    )
    kinds = ("erase", "erase", "cut", "split", "merge", "merge", "release")
    for part in range(3):
        for _ in range(random.randint(0, 4)):
            kind = random.choice(kinds)
            edge = random.choice([list(link) for link in links_of(graph)] or [random.choices(pool, k=2)])
            if random.random() < 0.5:
                edge = random.choices(pool, k=2)
            world.rule(kind, edge[0], edge[1] if kind in ("cut", "merge") else None)
        world.run(graph[part::3])
    check(world, graph)
    world.clocks = [clock + RETRY_AFTER_MS for clock in world.clocks]
    gone = world.erased()
    world.run(graph)
    demand(world.erased() == gone, "a replay brings back who was erased, or takes somebody along")
    check(world, [*graph] * 2)
    return world


def all_at_once(random: Random) -> World:
    """Many rulings on few customers on two partitions, while signals link: those who ask each other are erased."""
    pool = [Identifier(random.choice(("email", "phone")), str(n)) for n in range(random.randint(4, 8))]
    graph = [random.sample(pool, 2) for _ in range(random.randint(4, 10))]
    world = World(2, NO_LIMITS, random, one_log=True)
    world.run([[one] for one in pool])
    for _ in range(random.randint(1, 2)):
        for _ in range(random.randint(3, 7)):
            kind = random.choice(("erase", "merge", "merge", "merge", "cut"))
            edge = random.sample(pool, 2)
            world.rule(kind, edge[0], edge[1] if kind != "erase" else None)
        world.run(graph)
    world.check_settled()
    world.check_members()
    world.check_events()
    world.check_rulings()
    return world


SCENARIOS: Mapping[str, Callable[[Random], World]] = {
    "whole and nobody else": whole_and_nobody_else,
    "before anything": before_anything,
    "erased under fire": under_fire,
    "erased all at once": all_at_once,
}


def happened(world: World) -> set[str]:
    """Return what came of the rulings of a world."""
    void = {f"void {event.reason}" for event in world.events if isinstance(event, Void)}
    return void | {"erased" for event in world.events if isinstance(event, Forgotten) and len(event.nodes) > 1}
