"""What becomes of a pair of likely one person when the other of them was erased."""

import pytest

from schemas.identity_rules import IdentityRules
from streams.core.cuts import ERASED
from streams.core.near import likeness
from streams.core.near.messages import Matched
from streams.core.state import Likeness, Member, Ordered, Proof, Root
from streams.core.turn import Turn, remember

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16


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


@pytest.mark.parametrize("stage", [likeness.Stage.OPEN, likeness.Stage.UNBORNE])
def test_an_operators_word_goes_with_the_identifier_that_was_named(stage: likeness.Stage) -> None:
    """Not with the one that was asked about; that question is answered, if anybody knew of it."""
    turn = holding(stage)
    turn.root.members[C] = Member("user_id", "c", 0, "s0")
    assert likeness.distinguish(turn, Ordered("r1", "different", C, B)) is None
    told = [(event.node, event.other, event.state) for event in turn.events if isinstance(event, Matched)]
    assert told == ([(A, B, "different")] if stage == likeness.Stage.OPEN else []) + [(C, B, "different")]
    assert likeness.share(turn.root, {A}) == {}
    kept = likeness.share(turn.root, {C})[B]
    assert (kept.ours, kept.stage) == (C, likeness.Stage.DIFFERENT)
    # Said again, of whichever identifier: what was said first stays.
    assert likeness.distinguish(turn, Ordered("r2", "different", A, B)) is None
    assert turn.root.likenesses[B].ours == C


def test_another_limit_leaves_the_question_open() -> None:
    turn = holding(likeness.Stage.LINKING)
    remember(turn, Proof(A, B, "s1", likeness.NEAR_MATCH, ""), B, "members")
    assert turn.root.likenesses[B].stage == likeness.Stage.OPEN
