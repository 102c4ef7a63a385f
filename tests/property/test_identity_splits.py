"""Undoing: whatever was merged can be parted again, exactly, and stays parted; under every order of messages."""

from random import Random

import pytest

from schemas.identifiers import Identifier
from schemas.identity_rules import IdentityRules
from streams.core.links import Merged, Parted, Refused, Suspended, Void
from streams.core.state import Root, encode
from tests.property.identity_rulings import SCENARIOS, customers, play, world_of

# With those of test_identity.py more than 10,000 random graphs in every run of the tests; `make fuzz` plays millions.
WORLDS = 1_000


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios(name: str) -> None:
    """Every scenario under every order of messages, and that something happens in them."""
    happened: set[str] = set()
    parted = 0
    for number in range(WORLDS):
        world = play(name, 0, number)
        happened |= {type(event).__name__ for event in world.events}
        happened |= {event.reason for event in world.events if isinstance(event, Void)}
        parted += any(isinstance(event, Parted) for event in world.events)
    assert parted > WORLDS / 8, "hardly anything was parted: the test shows little"
    assert "Joined" in happened
    if name == "under fire":
        assert happened >= {"unknown-customer", "not-tied", "same-customer", "only-member", "still-tied", "Refused"}


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


def test_who_had_an_id_before_a_merge_has_it_after_the_split() -> None:
    """And its facets are, byte for byte, those of before."""
    first, second = Identifier("email", "a"), Identifier("email", "b")
    for seed in range(50):
        world = world_of(Random(seed))
        world.run([[first]])
        world.run([[second]])
        before = {root.node: encode(Root(root.node, 0, facets=root.facets)) for root in world.roots()}
        owner = world.node(min(first, second))
        world.run([[first, second]])
        world.rule("cut", first, second)
        world.settle()
        after = {root.node: root for root in world.roots()}
        assert after.keys() == before.keys()
        after[owner].facets[owner].signals -= 1  # the wrong link's own signal stays where it belongs
        assert {node: encode(Root(node, 0, facets=root.facets)) for node, root in after.items()} == before
