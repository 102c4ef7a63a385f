"""Scenarios of undoing, each drawn from one seed: what was merged can be parted again, exactly, and stays parted."""

from collections.abc import Callable, Iterable, Mapping
from random import Random

from schemas.identifiers import Identifier
from schemas.identity_rules import Bound, IdentityRules
from streams.core.cuts import count, forbids
from streams.core.links import Suspended
from streams.core.turn import REFUSED_FOR_MS, RETRY_AFTER_MS
from tests.property import identity_erasures
from tests.property.identity_world import NO_LIMITS, TIGHT, Graph, World, components, demand, links_of, random_graph

Edge = frozenset[Identifier]
Partition = set[frozenset[Identifier]]


def world_of(random: Random, rules: IdentityRules = NO_LIMITS) -> World:
    return World(random.randint(1, 5), rules, random, one_log=True)


def customers(world: World) -> Partition:
    return {frozenset(world.nodes[node] for node in root.members) for root in world.roots()}


def connected(identifiers: Iterable[Identifier], edges: Iterable[Edge]) -> Partition:
    """Return the components of an evidence graph, in one place and by another way than the protocol's."""
    return components([[one] for one in identifiers] + [sorted(edge) for edge in edges])


def evidence(graph: Graph) -> tuple[set[Identifier], set[Edge]]:
    return {one for signal in graph for one in signal}, {frozenset(link) for link in links_of(graph)}


def check(world: World, graph: Graph) -> None:
    """Demand what holds whatever was ruled."""
    world.check_settled()
    world.check_facets(graph)
    world.check_members()
    world.check_events()
    world.check_rulings()


def exactly_what_the_evidence_leaves(random: Random) -> World:
    """Cuts, and identifiers taken out: the customers are the components of what is left, and stay so in a replay."""
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
    check(world, graph)
    for _ in range(2):
        world.clocks = [clock + RETRY_AFTER_MS for clock in world.clocks]
        world.run(graph)
    demand(customers(world) == connected(known, edges), "the same evidence has merged again what was parted")
    check(world, [*graph] * 3)
    return world


def as_never_merged(random: Random) -> World:
    """Two histories and one wrong link: after its cut the customers are those of before, and stay so."""
    first = random_graph(random)
    second = [[Identifier(kind, value + "'") for kind, value, _ in signal] for signal in random_graph(random)]
    one, other = random.choice(random.choice(first)), random.choice(random.choice(second))
    graph = [*first, *second, [one, other]]
    world = world_of(random)
    world.run(graph)
    alone = components([*first, *second])
    demand(len(customers(world)) == len(alone) - 1, "the wrong link has merged nothing")
    world.rule("cut", one, other)
    world.settle()
    demand(customers(world) == alone, "the parts are not the customers of before")
    check(world, graph)
    refusals = [root.refusals[theirs] for root in world.roots() for theirs in root.refusals]
    demand({refusal.limit for refusal in refusals} == {"cut"}, "a cut is not remembered as such")
    demand(len(refusals) == 2, "a cut is not remembered on both")
    world.run(graph)
    demand(customers(world) == alone, "the same evidence has merged again what was parted")
    return world


def all_at_once(random: Random) -> World:
    """Many rulings on few customers, on two partitions, while signals link: who leaves is parted and merged again."""
    pool = [Identifier(random.choice(("email", "phone")), str(n)) for n in range(random.randint(4, 7))]
    graph = [random.sample(pool, 2) for _ in range(random.randint(4, 10))]
    world = World(2, NO_LIMITS, random, one_log=True)
    world.run(graph)
    for _ in range(random.randint(1, 3)):
        for _ in range(random.randint(3, 7)):
            kind = random.choice(("cut", "split", "merge"))
            edge = random.sample(pool, 2)
            world.rule(kind, edge[0], edge[1] if kind != "split" else None)
        world.run(graph)
        graph = [*graph, *graph]
    world.check_settled()
    world.check_members()
    world.check_events()
    world.check_rulings()
    return world


def what_a_limit_had_kept_apart(random: Random) -> World:
    """Once the identifier that did not fit is taken out, the next signal is believed; both sides think again."""
    sara, omid, shared = Identifier("user_id", "sara"), Identifier("user_id", "omid"), Identifier("phone", "1")
    world = world_of(random, IdentityRules())
    world.run([[sara, shared]])
    world.run([[omid, shared]])
    demand(len(customers(world)) == 2, "two known people were merged")
    world.rule("split", sara)
    world.settle()
    world.run([[omid, shared]])
    demand(frozenset({omid, shared}) in customers(world), "a refusal outlives its reason")
    return world


def under_fire(random: Random) -> World:
    """Rulings in the middle of everything: nothing is lost, no limit and no cut is broken, each has one outcome."""
    graph = random_graph(random)
    pool = sorted({one for signal in graph for one in signal})
    world = world_of(random, random.choice([NO_LIMITS, TIGHT, IdentityRules()]))
    # Only half of the worlds have limits overruled, so that the other half shows that they are kept.
    kinds = ("cut", "cut", "split", "split", "release", "merge")[: random.choice((5, 6))]
    for part in range(3):
        for _ in range(random.randint(0, 3)):
            kind = random.choice(kinds)
            edge = random.choice([list(link) for link in links_of(graph)] or [random.choices(pool, k=2)])
            world.rule(kind, edge[0], edge[1] if kind in ("cut", "merge") else None)
        world.run(graph[part::3])
    check(world, graph)
    for _ in range(2):  # the second time for what the first has made possible
        world.clocks = [clock + REFUSED_FOR_MS for clock in world.clocks]
        world.run(graph)
    check(world, [*graph] * 3)
    for one, other in links_of(graph):
        first, second = (world.root_of(world.node(each)) for each in (one, other))
        if first is not second or first is None:
            # An identifier that nobody holds brings itself alone.
            brought = [
                {each.kind: 1} if root is None else count(root) for each, root in ((one, first), (other, second))
            ]
            fits = forbids(world.rules, *brought) is None
            demand(not fits, "a link that could be was not honoured when it came again")
    return world


def without_what_everybody_gives(random: Random) -> World:
    """A value that ties too many: once it is suspended, the customers are those without it, and stay so."""
    rules = IdentityRules({}, suspension={"device_id": Bound(random.choice((1, 2, 3)), REFUSED_FOR_MS)})
    till = Identifier("device_id", "till")
    people = [Identifier(random.choice(("anonymous_id", "email")), str(n)) for n in range(random.randint(3, 8))]
    graph = [random.sample([till, one], 2) for one in people]
    graph += [random.sample(people, 2) for _ in range(random.randint(0, 3))]
    random.shuffle(graph)
    world = world_of(random, rules)
    world.run([[one] for one in people])
    world.run(graph)
    strangers = len(connected(people, [edge for edge in evidence(graph)[1] if till not in edge])) - 1
    bound = rules.suspends("device_id")
    assert bound is not None
    suspended = any(isinstance(event, Suspended) for event in world.events)
    demand(suspended or strangers <= bound.above, "a value ties everybody")
    graph = [*([one] for one in people), *graph]
    check(world, graph)
    for again in (2, 3):  # a good link between two who were about to meet through the bad one is asked again
        world.clocks = [clock + 2 * RETRY_AFTER_MS for clock in world.clocks]  # partitions' clocks differ
        world.run(graph)
        suspended = any(isinstance(event, Suspended) for event in world.events)
        known, edges = evidence(graph)
        left = connected(known, {edge for edge in edges if not suspended or till not in edge})
        demand(customers(world) == left, "the customers are not those without the suspended value")
        check(world, [*graph] * again)
    return world


SCENARIOS: Mapping[str, Callable[[Random], World]] = {
    "exactly what the evidence leaves": exactly_what_the_evidence_leaves,
    "as never merged": as_never_merged,
    "all at once": all_at_once,
    "what a limit had kept apart": what_a_limit_had_kept_apart,
    "under fire": under_fire,
    "without what everybody gives": without_what_everybody_gives,
}


ALL: Mapping[str, Callable[[Random], World]] = {**SCENARIOS, **identity_erasures.SCENARIOS}


def play(name: str, seed: int, number: int) -> World:
    """Play one scenario; a failure says how to play it again."""
    try:
        return ALL[name](Random(f"{name}:{seed}:{number}"))
    except Exception as exc:
        exc.add_note(f"again: python -m tests.property.fuzz --again '{name}:{seed}:{number}'")
        raise
