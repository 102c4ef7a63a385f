"""A group alone: what each message does to it that worlds of customers seldom bring about."""

import pytest

from streams.core.links import Message, Step
from streams.core.relations import group
from streams.core.relations.messages import Ask, Belong, Place, Release, Told, Verb
from streams.core.state import Grant, Group, Mate

HERE = b"h" * 16
A, B, ROOT, OTHER = (bytes([letter]) * 16 for letter in b"abrs")
NEXT = b"n" * 16


def household(*members: bytes, crowded: bool = False) -> Group:
    return Group("household", {node: Mate(ROOT) for node in members}, crowded=crowded)


def told(at: Group, verb: Verb, node: bytes = A) -> Step:
    return group.handle(at, Message(HERE, ROOT, Belong(node, ROOT, "household", verb, b"", refers=False)))


def asked(at: Group, *, rest: list[bytes] | None = None, held: list[bytes] | None = None) -> Step:
    ask = Ask(A, ROOT, "d1", "t", b"signal", 10, 1, None, rest or [], held or [])
    return group.handle(at, Message(HERE, ROOT, ask))


@pytest.mark.parametrize("verb", ["move", "leave"])
def test_who_is_not_in_it_neither_moves_nor_leaves(verb: Verb) -> None:
    """A *move* that was overtaken by the *leave* lets nobody in again; nobody is told anything."""
    at = household(A, B)
    assert told(at, "leave").messages
    version = at.version
    step = told(at, verb)
    assert (step.messages, step.changed, at.version) == ((), False, version)
    assert at.members.keys() == {B}


def test_a_crowded_group_lets_nobody_in_and_says_so() -> None:
    at = household(crowded=True)
    for verb in ("enter", "move", "leave", "seek"):
        step = told(at, verb)
        assert not step.changed
        assert [m.body.crowded for m in step.messages if isinstance(m.body, Told)] == [True] * (verb == "enter")
    assert not at.members


def test_a_crowded_group_grants_what_is_still_asked_and_remembers_nothing() -> None:
    """A question that was on its way when it became crowded: the cap of a dormitory denies nobody anything."""
    at = household(crowded=True)
    at.grants = [Grant("d0", 10, OTHER)]
    step = asked(at)
    (answer,) = [m.body for m in step.messages if isinstance(m.body, Place)]
    assert (answer.granted, answer.held) == (True, [HERE])
    assert [grant.id for grant in at.grants] == ["d0"]


def test_the_next_household_is_asked_before_anybody_is_told() -> None:
    step = asked(household(A), rest=[NEXT])
    (onward,) = step.messages
    assert isinstance(onward.body, Ask)
    assert (onward.to, onward.by_log, onward.body.rest, onward.body.held) == (NEXT, True, [], [HERE])


def test_one_that_denies_gives_back_what_the_others_granted() -> None:
    at = household(A)
    at.grants = [Grant("d0", 10, OTHER)]
    step = asked(at, held=[NEXT])
    assert [(m.to, m.body.id) for m in step.messages if isinstance(m.body, Release)] == [(NEXT, "d1")]
    (answer,) = [m.body for m in step.messages if isinstance(m.body, Place)]
    assert (answer.granted, answer.group, answer.by) == (False, HERE, OTHER)
