"""The decision: its terms, its choice, its records, and what the control group gets."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import pytest

from schemas import wire
from schemas.features import FEATURE_NAMES
from streams.core.attribution import unpack_features
from streams.core.choice import choose, probabilities
from streams.core.decide import action_id, decision_id, draw_of, in_control, pack_features
from streams.core.moment import Scores
from tests.unit.streams.core.deciding import (
    DAY_MS,
    NODE,
    NOON_MS,
    SCORES,
    action,
    catalogue,
    considered,
    contact,
    decided,
    root,
    signal,
    sure,
    treatment,
)

SMALL = {"policy": {"exploration": 0.001}}


def test_terms_of_the_score() -> None:
    """score = p x value x contexts x lever x weight - cost, and every term is on the record."""
    of = catalogue(
        action(value=20, cost=1.5, lever="push", treatments=[treatment(weight=0.5)]),
        action("other"),
        contexts=[
            {"id": "a", "when": "true", "factor": 0.5},
            {"id": "b", "when": "true", "factor": 3, "channels": ["email"], "purposes": ["marketing"]},
            {"id": "c", "when": "true", "factor": 7, "channels": ["sms"]},
            {"id": "d", "when": "true", "factor": 7, "actions": ["other"]},
            {"id": "e", "when": "false", "factor": 7},
            {"id": "f", "when": "record.traits.city == 'x'", "factor": 7},
        ],
        levers={"push": {"factor": 2, "when": "scores.churn > 0.5"}},
    )
    found = decided(of, arms=sure(0.4, 0.1)).decision["candidates"][0]
    assert (found["p"], found["sd"], found["value"], found["context"], found["lever"]) == (0.4, 0.1, 20, 1.5, 1.0)
    assert found["score"] == pytest.approx(0.4 * 20 * 1.5 * 1.0 - 1.5)


def test_a_lever_rests_while_its_condition_does_not_hold() -> None:
    """A lever with a condition is neutral otherwise."""
    of = catalogue(action(lever="push"), levers={"push": {"factor": 2, "when": "scores.churn > 0.5"}})
    calm = Scores(0.1, SCORES.intent, SCORES.versions)
    assert [decided(of, scores=s).decision["candidates"][0]["lever"] for s in (SCORES, calm)] == [2.0, 1.0]


def test_the_better_one_is_chosen() -> None:
    """When everything is certain the choice is the best score, but for the share of exploration."""
    of = catalogue(action("poor", value=1), action("rich", value=9), **SMALL)
    made = decided(of).decision
    assert made["action"] == "rich"
    assert made["propensity"] == pytest.approx(1 - 0.001 * 2 / 3)


def test_hold_competes() -> None:
    """An action that costs more than it brings is held, with the probability of that."""
    of = catalogue(action(cost=50), **SMALL)
    made = decided(of)
    assert made.decision["hold"] == "hold-chosen"
    assert (made.action, made.contact) == (None, None)
    assert made.decision["propensity"] == pytest.approx(1 - 0.001 / 2)
    assert made.last.reason == "hold-chosen"


def test_exploration_reaches_everything() -> None:
    """Even what looks hopeless is chosen with the floor, and so is hold: off-policy weights stay bounded."""
    of = catalogue(action("good"), action("bad", cost=100), policy={"exploration": 0.3})
    each = {c["action"]: c["probability"] for c in decided(of).decision["candidates"]}
    assert each["bad"] == pytest.approx(0.1)
    assert decided(of, draw=0.999).decision["hold"] == "hold-chosen"
    assert decided(of, draw=0.85).decision["action"] == "bad"


def test_uncertain_arms_are_tried() -> None:
    """Of two arms with the same mean the less known is above the other half of the time, and so chosen."""
    of = catalogue(action("known"), action("new"), **SMALL)

    def arms(names: Sequence[str], features: object) -> list[tuple[float, float]]:
        return [(0.5, 0.01) if name == "known/t1" else (0.5, 0.3) for name in names]

    each = {c["action"]: c["probability"] for c in decided(of, arms=arms).decision["candidates"]}
    assert each["new"] == pytest.approx(0.5, abs=0.01)


def test_the_arms_are_asked_by_name_with_the_features() -> None:
    """The bandit is asked once, for all arms that may be chosen, with the vector of the decision."""
    asked: list[tuple[list[str], int]] = []

    def arms(names: Sequence[str], features: Sequence[float]) -> list[tuple[float, float]]:
        asked.append((list(names), len(features)))
        return [(0.5, 0.1) for _ in names]

    of = catalogue(action(treatments=[treatment("a"), treatment("b", "web")]), action("x", eligibility="false"))
    decided(of, arms=arms)
    assert asked == [(["greet/a", "greet/b"], len(FEATURE_NAMES))]


@pytest.mark.parametrize(
    ("mean", "sd", "expected"),
    [
        (1.7, 0.1, (1.0, 0.1)),
        (-3.0, 0.1, (0.0, 0.1)),
        (float("nan"), 0.1, (0.0, 1.0)),
        (0.5, float("inf"), (0.0, 1.0)),
        (0.5, -1.0, (0.5, 0.0)),
    ],
)
def test_a_bandit_gone_wrong(mean: float, sd: float, expected: tuple[float, float]) -> None:
    """Beliefs outside of [0, 1] are brought back; what is no number knows nothing."""
    made = decided(catalogue(), arms=sure(mean, sd)).decision
    found = made["candidates"][0]
    assert (found["p"], found["sd"]) == expected
    assert 0 < made["propensity"] <= 1


def test_one_alternative_is_exact() -> None:
    """One Gaussian against 0 has a closed form."""
    weighed = probabilities([1.0], [2.0], 0.1)
    assert weighed.each[0] == pytest.approx(0.9 * NormalDist().cdf(0.5) + 0.05, abs=1e-12)
    assert sum(weighed.each) + weighed.hold == pytest.approx(1, abs=1e-12)


def test_nothing_to_choose_from() -> None:
    """Without alternatives hold is certain."""
    assert probabilities([], [], 0.1) == ([], 1.0)
    assert choose([], 0.0) is None


def test_the_record_is_whole_and_fits_its_schema() -> None:
    """The decision and the action go through the codec and come back, floats of features aside."""
    of = catalogue(action(treatments=[treatment("a"), treatment("b", "web")]), action("no", eligibility="false"))
    made = decided(of)
    codec = wire.codec_of("decision")
    again = codec.decode(codec.encode(made.decision))
    assert {k: v for k, v in again.items() if k != "features"} == {
        k: v for k, v in made.decision.items() if k != "features"
    }
    assert again["features"] == pytest.approx(made.decision["features"], rel=1e-6)
    assert made.decision["scores"]["churn"] == 0.6
    assert made.decision["scores"]["intent.buy"] == 0.2
    assert made.decision["model_versions"] == {"churn": 3, "intent": 2, "propensity": 7}
    assert made.decision["catalogue_version"] == of.version
    assert made.action is not None
    sent = wire.codec_of("action")
    assert sent.decode(sent.encode(made.action)) == made.action


def test_contact_and_action_belong_to_the_decision() -> None:
    """The state's contact, the channel's action and the decision name each other."""
    made = decided(catalogue(action(value=10, goal={"kind": "session", "within": "3h"}, expiry="30m")))
    assert made.action is not None
    assert made.contact is not None
    assert made.action["id"] == made.contact.action_id == action_id(made.decision["id"])
    assert made.action["decision_id"] == made.contact.decision_id == made.decision["id"]
    assert made.action["expires_at_ms"] == NOON_MS + 30 * 60_000
    assert (made.contact.goal, made.contact.reward_due_ms) == ("session", NOON_MS + 3 * 3_600_000)
    assert made.contact.propensity == made.decision["propensity"]
    assert (made.contact.predicted, made.contact.version) == (0.5, 7)
    assert unpack_features(made.contact.features) == pytest.approx(made.decision["features"], rel=1e-6)


def test_features_are_packed_little_endian() -> None:
    """State written on one machine is read on any other."""
    assert pack_features([1.0, -2.5]) == bytes.fromhex("0000803f000020c0")
    assert unpack_features(bytes.fromhex("0000803f000020c0")) == [1.0, -2.5]


def test_ids_and_draws_are_derived() -> None:
    """The same cause gives the same id and draw; any other cause another; draws are spread over [0, 1)."""
    assert decision_id(NODE, "s1", "added") == decision_id(NODE, "s1", "added")
    causes = [(NODE, "s1", "added"), (b"x" * 16, "s1", "added"), (NODE, "s2", "added"), (NODE, "s1", "other")]
    assert len({decision_id(*cause) for cause in causes}) == len({draw_of(*cause) for cause in causes}) == 4
    draws = [draw_of(NODE, f"s{n}", "added") for n in range(4000)]
    assert min(draws) >= 0.0
    assert max(draws) < 1.0
    tenths = [sum(d * 10 // 1 == tenth for d in draws) for tenth in range(10)]
    assert all(300 < count < 500 for count in tenths)


def test_the_triggers_condition_comes_first() -> None:
    """A trigger whose condition does not hold leads to no decision at all, not to a hold."""

    def with_condition(when: str) -> Any:
        return considered(
            catalogue(triggers={"added": {"kinds": ["behaviour"], "names": ["product_added"], "when": when}})
        )

    assert with_condition("scores.churn > 0.9") is None
    assert with_condition("record.traits.city == 'x'") is None
    assert with_condition("scores.churn > 0.5") is not None


def test_control_group() -> None:
    """The control group goes through the same choice, gets nothing, and its reward is awaited all the same."""
    held = catalogue(action(), policy={"control": {"share": 0.5, "salt": "x"}})
    open_to_all = catalogue(action())
    seen = set()
    for number in range(40):
        customer = root()
        customer.node = bytes([number]) * 16
        made, same = decided(held, customer), decided(open_to_all, customer)
        control = in_control(customer.node, 0.5, "x")
        seen.add(control)
        assert made.decision["control"] == control
        assert made.contact is not None
        assert same.contact is not None
        assert made.contact.control == control
        assert made.contact.reward_due_ms == same.contact.reward_due_ms
        for part in ("action", "treatment", "channel", "propensity", "candidates", "id"):
            assert made.decision[part] == same.decision[part]
        assert made.decision["hold"] == ("control-group" if control else None)
        assert (made.action is None) == control
        assert (made.contact.features == b"") == control
    assert seen == {True, False}


def test_control_share_and_salt() -> None:
    """The share is met; another salt draws another group; no share, no group."""
    nodes = [number.to_bytes(16) for number in range(20_000)]
    first = {node for node in nodes if in_control(node, 0.1, "2026-1")}
    second = {node for node in nodes if in_control(node, 0.1, "2026-2")}
    assert 0.09 < len(first) / len(nodes) < 0.11
    assert 0.005 < len(first & second) / len(nodes) < 0.015
    assert not any(in_control(node, 0.0, "2026-1") for node in nodes)


TEXTS = {
    "en": {"subject": "Hello", "body": "Hello"},
    "fa": {"subject": "سلام", "body": "سلام"},
    "ar-EG": {"subject": "أهلا", "body": "أهلا"},
}


@pytest.mark.parametrize(
    ("traits", "locale", "expected"),
    [
        ({}, None, "en"),
        ({"language": "fa"}, None, "fa"),
        ({"language": "fa-IR"}, None, "fa"),
        ({"locale": "FA_ir"}, None, "fa"),
        ({}, "fa-IR", "fa"),
        ({"language": "ar-EG"}, "fa-IR", "ar-EG"),
        ({"language": "de"}, None, "en"),
        ({"language": "de"}, "fa", "fa"),
        ({"language": "\n" * 50}, None, "en"),
    ],
)
def test_language(traits: dict[str, str], locale: str | None, expected: str) -> None:
    """What the customer stated, then the browser's word, then the catalogue's default."""
    of = catalogue(action(treatments=[treatment(languages=TEXTS)]))
    sent = decided(of, root(traits=traits), upon=signal(context={"locale": locale})).action
    assert sent is not None
    assert sent["language"] == expected
    assert sent["subject"] == TEXTS[expected]["subject"]


def test_a_language_that_is_not_the_default() -> None:
    """A treatment in one language only is sent in that language."""
    of = catalogue(action(treatments=[treatment(languages={"fa": TEXTS["fa"]})]))
    sent = decided(of).action
    assert sent is not None
    assert sent["language"] == "fa"


def test_params() -> None:
    """Values come from traits, the record and the signal, bounded and without control characters."""
    params = {
        "name": {"trait": "first_name", "default": "friend"},
        "city": {"trait": "city", "default": "town"},
        "evil": {"trait": "evil"},
        "long": {"trait": "long"},
        "orders": {"record": "value.orders"},
        "spent": {"money": "value.spent_minor"},
        "what": {"signal": "category", "default": "things"},
        "fixed": {"text": "SAVE10"},
    }
    customer = root(traits={"first_name": "نیم\u200cفاصله", "evil": "a\r\nBcc: x\u202e\0", "long": "x" * 5000})
    customer.facets[NODE].first_ms = NOON_MS - DAY_MS
    sent = decided(catalogue(action(params=params)), customer, upon=signal(category="shoes")).action
    assert sent is not None
    assert sent["params"] == {
        "name": "نیم\u200cفاصله",
        "city": "town",
        "evil": "a  Bcc: x",
        "long": "x" * 200,
        "orders": "0",
        "spent": "0.00 EUR",
        "what": "shoes",
        "fixed": "SAVE10",
    }


def test_deciding_changes_nothing() -> None:
    """The record and the customer are as before: a batch that is aborted leaves no trace."""
    customer = root(traits={"city": "Rey"}, contacts=[contact("old")])
    from streams.core.state import encode

    before = encode(customer)
    decided(catalogue(), customer)
    assert encode(customer) == before
