"""What becomes of a pair of likely one person when the other of them was erased."""

import pytest

from schemas.identity_rules import IdentityRules
from streams.core.cuts import ERASED
from streams.core.near import likeness
from streams.core.near.messages import Matched
from streams.core.state import Likeness, Member, Proof, Root
from streams.core.turn import Turn, remember

A, B = b"a" * 16, b"b" * 16


def holding(stage: likeness.Stage) -> Turn:
    """Return a turn of a customer that holds a pair with B at a stage."""
    found = Likeness(A, 7.0, 0.0, b"\x03", 1, stage)
    return Turn(Root(A, 0, {A: Member("user_id", "a", 0, "s0")}, likenesses={B: found}), IdentityRules(), 9)


@pytest.mark.parametrize("stage", [likeness.Stage.OPEN, likeness.Stage.AGAIN, likeness.Stage.LINKING])
@pytest.mark.parametrize("source", ["", likeness.NEAR_MATCH])
def test_a_question_on_somebody_who_was_erased_ends_with_the_refusal(stage: likeness.Stage, source: str) -> None:
    turn = holding(stage)
    remember(turn, Proof(A, B, "s1", source, ""), B, ERASED)
    assert turn.root.likenesses == {}
    told = [event for event in turn.events if isinstance(event, Matched)]
    assert [(event.other, event.state) for event in told] == [(B, "gone")]


def test_what_an_operator_told_apart_outlives_the_others_erasure() -> None:
    turn = holding(likeness.Stage.DIFFERENT)
    remember(turn, Proof(A, B, "s1", "", ""), B, ERASED)
    assert turn.root.likenesses[B].stage == likeness.Stage.DIFFERENT
    assert not turn.events


def test_another_limit_leaves_the_question_open() -> None:
    turn = holding(likeness.Stage.LINKING)
    remember(turn, Proof(A, B, "s1", likeness.NEAR_MATCH, ""), B, "members")
    assert turn.root.likenesses[B].stage == likeness.Stage.OPEN
