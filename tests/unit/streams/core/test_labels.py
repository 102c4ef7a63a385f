"""Delayed labels: what the customer does next, or that time ran out."""

from typing import cast

import pytest

from schemas.features import FEATURE_NAMES, FEATURE_SET, INTENTS
from schemas.views import Signal
from streams.core.facet import fold, new_facet
from streams.core.facet_state import PendingLabel
from streams.core.labels import (
    CHURN,
    DAY_MS,
    HOUR_MS,
    INSTACART,
    INTENT,
    LabelRules,
    close_by_signal,
    close_by_time,
    complains,
    draw_of,
    intent_of,
    open_labels,
    pack,
    unpack,
)
from streams.core.state import Root

NODE, OTHER = b"n" * 16, b"o" * 16
RULES = LabelRules(intent_rate=1.0)
VECTOR = [0.5 * at for at in range(len(FEATURE_NAMES))]
START = 1_700_000_000_000
HORIZON = RULES.churn_horizon_ms


def signal(kind: str = "behaviour", name: str = "page_viewed", signal_id: str = "s1", **payload: object) -> Signal:
    made = {
        "id": signal_id,
        "kind": kind,
        "name": name,
        "channel": "web",
        "source": "shop",
        "identifiers": [],
        "occurred_at_ms": START,
        "received_at_ms": START,
        "context": {},
        kind: payload or {},
    }
    return cast("Signal", made)


def order(signal_id: str = "o1") -> Signal:
    return signal(
        "transaction",
        "order_completed",
        signal_id,
        type="order",
        order_id="1",
        amount_minor=100,
        currency="EUR",
        items=[],
    )


def customer(*nodes: bytes) -> Root:
    return Root(nodes[0], START, facets={node: new_facet(node) for node in nodes})


def observe(
    root: Root, seen: Signal, at_ms: int, rules: LabelRules = RULES, node: bytes = NODE
) -> list[tuple[str, str]]:
    """Take a signal as the customers agent does; return (model, label) of what it closed."""
    fold(root.facets[node], seen, at_ms)
    closed = close_by_time(root, at_ms, rules) + close_by_signal(root, seen, at_ms, rules)
    predicted = {CHURN: {"1": 0.3, "0": 0.7}, INTENT: {"buy": 1.0}}
    open_labels(root, node, seen, VECTOR, predicted=predicted, versions={CHURN: 4, INTENT: 2}, at_ms=at_ms, rules=rules)
    return [(example["model"], example["label"]) for example in closed]


def waiting(root: Root) -> list[PendingLabel]:
    return [pending for facet in root.facets.values() for pending in facet.pending]


def test_an_example_holds_what_was_scored_and_what_came() -> None:
    root = customer(NODE)
    observe(root, order(), START)
    examples = close_by_signal(root, order("o2"), START + DAY_MS, RULES)
    churn = next(example for example in examples if example["model"] == CHURN)
    assert churn["features"] == pytest.approx(VECTOR)
    assert churn["feature_set"] == FEATURE_SET
    assert churn["predicted"] == {"1": 0.3, "0": 0.7}
    assert churn["predicted_version"] == 4
    assert (churn["label"], churn["scored_at_ms"], churn["labelled_at_ms"]) == ("0", START, START + DAY_MS)
    assert len({example["id"] for example in examples}) == 2


@pytest.mark.parametrize(
    ("after_ms", "label"),
    [
        (RULES.churn_gap_ms, "0"),
        (HORIZON, "0"),  # exactly at the horizon: in time
        (HORIZON + 1, "1"),
        (10 * HORIZON, "1"),
    ],
)
def test_churn_is_no_activity_within_the_horizon(after_ms: int, label: str) -> None:
    root = customer(NODE)
    observe(root, signal(), START)
    assert (CHURN, label) in observe(root, signal(signal_id="s2"), START + after_ms)


@pytest.mark.parametrize("after_ms", [1, HOUR_MS, RULES.churn_gap_ms - 1])
def test_the_same_visit_is_no_return(after_ms: int) -> None:
    root = customer(NODE)
    observe(root, signal(), START)
    assert CHURN not in dict(observe(root, signal(signal_id="s2"), START + after_ms))
    assert [pending.scored_at_ms for pending in waiting(root) if pending.model == CHURN] == [START]


def test_the_timer_and_a_signal_that_comes_too_late_give_the_same_example() -> None:
    by_time, by_signal = customer(NODE), customer(NODE)
    for root in (by_time, by_signal):
        observe(root, signal(), START)
    late = START + 2 * HORIZON
    assert close_by_time(by_time, START + HORIZON, RULES)[0]["label"] == "leave"
    assert [e["label"] for e in close_by_time(by_time, START + HORIZON + 1, RULES)] == ["1"]
    examples = close_by_signal(by_signal, signal(signal_id="s2"), late, RULES)
    assert [(e["label"], e["labelled_at_ms"]) for e in examples] == [
        ("1", START + HORIZON + 1),
        ("leave", START + RULES.intent_horizon_ms + 1),
    ]


def test_a_late_signal_neither_closes_nor_opens() -> None:
    root = customer(NODE)
    observe(root, signal(), START)
    before = waiting(root)
    assert observe(root, order(), START - DAY_MS) == []
    assert observe(root, order("o3"), START) == []  # not after the score either
    assert waiting(root) == before


@pytest.mark.parametrize("event", ["delivered", "failed", "bounced", "expired"])
def test_a_delivery_is_no_sign_of_life(event: str) -> None:
    root = customer(NODE)
    observe(root, signal(), START)
    delivery = signal("outcome", "action_outcome", "s2", action_id="a", event=event)
    assert observe(root, delivery, START + DAY_MS) == [(INTENT, "leave")]  # by its timer
    assert observe(root, delivery | {"id": "s3"}, START + HORIZON + 1) == [(CHURN, "1")]
    assert waiting(root) == []


@pytest.mark.parametrize("event", ["opened", "clicked", "replied"])
def test_an_answer_to_an_action_is_activity(event: str) -> None:
    root = customer(NODE)
    observe(root, signal(), START)
    answer = signal("outcome", "action_outcome", "s2", action_id="a", event=event)
    assert (CHURN, "0") in observe(root, answer, START + DAY_MS)


def test_with_orders_as_anchor_only_orders_count() -> None:
    root = customer(NODE)
    observe(root, signal(), START, INSTACART)
    assert CHURN not in [pending.model for pending in waiting(root)]
    observe(root, order(), START + 1, INSTACART)
    assert CHURN not in dict(observe(root, signal(signal_id="s2"), START + DAY_MS, INSTACART))
    assert (CHURN, "0") in observe(root, order("o2"), START + 14 * DAY_MS, INSTACART)
    assert (CHURN, "1") in observe(root, order("o3"), START + 29 * DAY_MS, INSTACART)


def test_intent_is_sampled_by_the_signal_s_id() -> None:
    rules = LabelRules(intent_rate=0.25)
    sampled = []
    for number in range(2000):
        root = customer(NODE)
        observe(root, signal(signal_id=f"id-{number}"), START, rules)
        opened = INTENT in [pending.model for pending in waiting(root)]
        assert opened == (draw_of(f"id-{number}") < 0.25)
        sampled.append(opened)
    assert 400 < sum(sampled) < 600


def test_after_a_merge_each_label_is_closed_once() -> None:
    """Both customers' labels lie in one root: one signal answers both; only one new question is opened."""
    root = customer(NODE)
    observe(root, signal(), START)
    other = customer(OTHER)
    observe(other, signal(signal_id="x1"), START + 5, node=OTHER)
    root.facets[OTHER] = other.facets[OTHER]
    assert sorted(observe(root, order(), START + DAY_MS)) == [
        (CHURN, "0"),
        (CHURN, "0"),
        (INTENT, "leave"),
        (INTENT, "leave"),
    ]
    assert sorted(pending.model for pending in waiting(root)) == [CHURN, INTENT]


INTENT_TABLE: list[tuple[Signal, str | None]] = [
    (signal(), "browse"),
    (signal(name="complaint_submitted"), "complain"),
    (order(), "buy"),
    (signal("transaction", type="return"), "return"),
    (signal("transaction", type="payment"), None),
    (signal("transaction", type="refund"), None),
    (signal("message", direction="inbound", text="thank you, great"), "browse"),
    (signal("message", direction="inbound", text="terrible, awful, broken"), "complain"),
    (signal("message", direction="outbound", text="terrible"), None),
    (signal("service", event="opened", reason="damaged"), "complain"),
    (signal("service", event="opened", reason="opening hours"), "browse"),
    (signal("service", event="resolved", reason="damaged"), None),
    (signal("survey", survey="nps", score=2.0), "complain"),
    (signal("survey", survey="nps", score=9.0), "browse"),
    (signal("outcome", action_id="a", event="complained"), "complain"),
    (signal("outcome", action_id="a", event="clicked"), "browse"),
    (signal("outcome", action_id="a", event="bounced"), None),
    (signal("consent", purpose="*", channel="*", granted=False), None),
    (signal("traits", values={}), None),
]


@pytest.mark.parametrize(("seen", "intent"), INTENT_TABLE)
def test_what_the_customer_does(seen: Signal, intent: str | None) -> None:
    assert intent_of(seen) == intent
    assert intent is None or intent in INTENTS


@pytest.mark.parametrize("seen", [seen for seen, intent in INTENT_TABLE if intent is not None])
def test_a_complaint_is_what_the_golden_record_counts_as_one(seen: Signal) -> None:
    if seen["kind"] == "transaction":
        return
    facet = new_facet(NODE)
    fold(facet, seen, START)
    assert complains(seen) == (facet.counts.get("complaints", 0) == 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"churn_horizon_ms": 0},
        {"intent_horizon_ms": 0},
        {"intent_rate": 1.5},
        {"intent_rate": -0.1},
        {"churn_gap_ms": -1},
        {"churn_gap_ms": 14 * DAY_MS},
    ],
)
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"horizon|rate|gap"):
        LabelRules(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_features_are_packed_as_float32() -> None:
    assert unpack(pack([0.1, -2.5])) == pytest.approx([0.1, -2.5], rel=1e-7)
    assert pack([1.0]) == b"\x00\x00\x80\x3f"
