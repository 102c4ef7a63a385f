"""Silence is a trigger: when the churn horizon passes without a sign of life, the catalogue is asked what to do."""

from typing import Any

from models.scorers import ScorerSet
from streams.core.customer import STALE_AFTER_MS, Brain, Effects, observe, pass_time
from streams.core.labels import LabelRules
from tests.unit.streams.core.deciding import DAY_MS, NODE, NOON_MS, action, catalogue, root, signal

QUIET = {"quiet": {"kinds": ["timer"], "names": ["went_quiet"]}}
RULES = LabelRules()


def after_silence(later_ms: int, **other: Any) -> Effects:
    """Let a customer look at something, and then so much time pass."""
    of = catalogue(action(triggers=["quiet"]), triggers=QUIET, policy={"exploration": 0.001}, **other)
    brain = Brain(ScorerSet(), of)
    customer, effects = root(), Effects()
    observe(customer, NODE, signal(), NOON_MS, stream_ms=NOON_MS, brain=brain, effects=effects)
    assert effects.decisions == []
    pass_time(customer, NOON_MS + later_ms, brain, effects)
    pass_time(customer, NOON_MS + later_ms + DAY_MS, brain, effects)
    return effects


def test_a_customer_who_went_quiet_is_decided_upon_once() -> None:
    """One decision upon the timer, with its own id, at the time the horizon had passed."""
    effects = after_silence(RULES.churn_horizon_ms + 1)
    (decision,) = effects.decisions
    assert (decision["trigger"], decision["signal_id"][:6]) == ("quiet", "timer-")
    assert decision["decided_at_ms"] == NOON_MS + RULES.churn_horizon_ms + 1
    assert [c["action"] for c in decision["candidates"]] == ["greet"]
    assert len(effects.actions) == (decision["action"] is not None)


def test_before_the_horizon_nothing_happens() -> None:
    """Half an hour ends the session's label, not the customer."""
    assert after_silence(RULES.churn_horizon_ms - 2 * DAY_MS).decisions == []


def test_a_silence_found_late_is_not_acted_upon() -> None:
    """After a long outage old silences teach, but nobody is written to for what was due weeks ago."""
    effects = after_silence(RULES.churn_horizon_ms + STALE_AFTER_MS + DAY_MS)
    assert effects.decisions == []
    assert any(example["model"] == "churn" and example["label"] == "1" for example in effects.examples)
