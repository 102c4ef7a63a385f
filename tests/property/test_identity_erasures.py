"""Erasure: whole, for good, and nobody else; under every order of messages."""

from random import Random

import pytest

from schemas.identifiers import Identifier
from streams.core.cuts import ERASED
from streams.core.links import Forgotten, Void
from tests.property.identity_erasures import SCENARIOS, happened
from tests.property.identity_rulings import play
from tests.property.identity_world import NO_LIMITS, World

# `make fuzz` plays millions.
WORLDS = 1_000


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios(name: str) -> None:
    """Every scenario under every order of messages, and that something happens in them."""
    seen: set[str] = set()
    turned_away = 0
    for number in range(WORLDS):
        world = play(name, 0, number)
        seen |= happened(world)
        turned_away += world.turned_away
    if name != "before anything":
        assert "erased" in seen, "nobody of more than one identifier was erased"
    if name != "erased all at once":
        assert turned_away, "no signal came to an erased node"
    if name.startswith("erased"):
        assert f"void {ERASED}" in seen, "no ruling was void because its customer was gone"


def test_who_was_about_to_come_is_erased_too() -> None:
    """A root that had accepted a place is part of the customer: in no order is one of two left over."""
    one, other = Identifier("email", "a"), Identifier("phone", "1")
    together = 0
    for seed in range(300):
        world = World(2, NO_LIMITS, Random(seed), one_log=True)
        world.run([[one], [other]])
        world.rule("erase", one)
        world.run([[one, other]])
        (forgotten,) = [event for event in world.events if isinstance(event, Forgotten)]
        assert world.erased() == set(forgotten.nodes)
        together += len(forgotten.nodes) == 2
        assert len(world.roots()) == 2 - len(forgotten.nodes)
    assert 0 < together < 300, "the ruling never met the handshake"


def test_a_second_erasure_is_void_and_the_repeated_ruling_silent() -> None:
    one, other = Identifier("email", "a"), Identifier("phone", "1")
    world = World(3, NO_LIMITS, Random(1), one_log=True)
    world.run([[one, other]])
    first = world.rule("erase", one)
    world.settle()
    again = world.rule("erase", other)
    world.settle()
    assert [(event.reason, event.ruling) for event in world.events if isinstance(event, Void)] == [(ERASED, again)]
    world.sources[0].append(world.rulings[first]._replace(node=world.node(other)))
    world.settle()
    assert len([event for event in world.events if isinstance(event, (Void, Forgotten))]) == 2
