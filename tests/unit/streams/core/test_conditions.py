"""Conditions: what they can read, what is refused and why, and that none ever stops a batch."""

import time
from typing import Any

import pytest

from streams.core.conditions import ConditionError, compile_condition
from streams.core.facet_state import CartLine
from streams.core.features import vector
from streams.core.golden_record import merge
from streams.core.moment import Moment
from tests.unit.streams.core.deciding import NODE, NOON_MS, SCORES, root, signal


def holds(source: str, *, upon: Any = None, **traits: str) -> bool | None:
    """Evaluate a condition on a real customer with two lines in the cart."""
    customer = root(traits=traits)
    customer.facets[NODE].cart = {"a": CartLine(2, 1500, NOON_MS), "b": CartLine(0, 900, NOON_MS)}
    record = merge(customer, NOON_MS)
    upon = upon or signal()
    return compile_condition(source).holds(Moment(record, vector(record, upon), SCORES, upon))


@pytest.mark.parametrize(
    "source",
    [
        "true",
        "record.known",
        "scores.churn > 0.55 && scores.churn < 0.65",
        "scores.intent.buy == 0.2",
        'record.traits.city == "Tehran"',
        'record.traits["city"] in ["Tehran", "Shiraz"]',
        "has(record.traits.city) && !has(record.traits.shoe_size)",
        "!has(record.traits.shoe_size) || record.traits.shoe_size == '38'",
        "record.activity.cart_lines == 1 && record.activity.cart_minor == 1500",
        "record.counts.orders == 0",
        'record.channels["call-centre"] == 0',
        "record.decayed.orders_30d == 0.0",
        'signal.kind == "behaviour" && signal.name.startsWith("product_")',
        "f.known == 1.0 && f['orders'] < 1.0",
        "now_ms > 0 && record.age_ms > 86400000",
        "size(signal.name) > 3",
        "!has(signal.reason)",
        "record.value.mean_order_minor == 0.0 ? true : false",
    ],
)
def test_holds(source: str) -> None:
    """Every kind of name can be read, with the value that the record has."""
    assert holds(source, city="Tehran") is True


def test_payload_of_the_signal() -> None:
    """What a condition needs of each kind of payload is there under one name."""
    resolved = signal("service", "ticket_resolved", "crm", event="resolved", reason="delivery")
    assert holds('signal.event == "resolved" && signal.reason == "delivery"', upon=resolved) is True
    survey = signal("survey", "survey_answered", "survey", survey="csat", score=2.0, scale_max=5.0)
    assert holds("signal.share == 0.4 && signal.score == 2.0", upon=survey) is True


@pytest.mark.parametrize(
    "source",
    ['record.traits.city == "Tehran"', "signal.reason == 'x'", "1 / record.counts.orders > 0", "signal.share > 0.5"],
)
def test_what_cannot_be_told_is_none(source: str) -> None:
    """A missing trait, a missing payload and a division by zero are no answer, and no exception."""
    assert holds(source) is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("f.cart_item > 0", "did you mean f.cart_items?"),
        ("record.counts.order > 0", "did you mean record.counts.orders?"),
        ("customer.age > 3", "'customer.age' is not known here; there are f, now_ms, record, scores, signal"),
        ("f > 1", "f is not a single value"),
        ("record.traits == 'x'", "record.traits is not a single value: write record.traits.name"),
        ("f.orders", "yields float, not true or false"),
        ("f.orders + 1 > 2", "float + int"),
        ("f[signal.name] > 1.0", 'takes a name in quotes, like f["name"]'),
        ("[1, 2].exists(x, x > 1)", "the function exists() is not taken"),
        ("signal.name.matches('(a+)+$')", "the function matches() is not taken"),
        ("f.orders >", "is not CEL"),
        ("f.orders > 1 2", "is not CEL"),
        ("(f.orders > 1.0", "is not CEL"),
        ("has(f)", "f is not a single value"),
        ("has(1)", "has() takes one name"),
        ("has(", "has() takes one name"),
        ("record.known.x", "record.known.x does not exist"),
        ("(record.known).x", ".x stands where no field can be read"),
        ("r'x' == 'x'", "'r' is not known here"),
        ("`f` > 1", "cannot read"),
        ("true // comment", "'comment' is not known here"),
        ("(" * 17 + "true" + ")" * 17, "nests brackets deeper than 16"),
        ("!" * 33 + "true", "has more than 32 of !, - and ?"),
        (" || ".join(["f.orders > 1.0"] * 80), "has 1436 characters; at most 1000"),
        ("record.known == 99999999999999999999", "is not CEL"),
        ("'\\x' == 'a'", "is not CEL"),
    ],
)
def test_refused(source: str, message: str) -> None:
    """What a condition may not be is said in words, with what to write instead."""
    with pytest.raises(ConditionError, match=r"(?s).*") as caught:
        compile_condition(source)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "unit",
    [
        "((((((((true)))))))) && ",
        "!!!true || ",
        "true ? true : ",
        "[[[[[[[1]]]]]]] == [] || ",
        "'aaaa' + 'b' == 'c' || ",
    ],
)
def test_the_worst_that_is_taken_is_cheap(unit: str) -> None:
    """The longest condition of every shape compiles and runs in far less than a batch takes."""
    source = (unit * 100)[:900]
    source = source[: source.rfind(unit) + len(unit)] + "false" if unit in source else "true"
    started = time.process_time()
    try:
        compile_condition(source)
    except ConditionError as exc:
        assert "more than 32" in str(exc)  # noqa: PT017 - refusing it is as good
    assert time.process_time() - started < 1.0
