"""Plain conditions: whatever CEL answers, missing values and not-a-number included, the Python function answers."""

from math import inf, nan
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deploy.local.running import ROOT
from streams.core.catalogue_check import read_catalogue
from streams.core.conditions import ConditionError, compile_condition
from streams.core.features import vector
from streams.core.golden_record import merge
from streams.core.moment import Moment, Scores
from tests.unit.streams.core.deciding import NOON_MS, root, signal

# What conditions are made of: names of each type, those that may be missing, and constants of each kind.
FLOATS = ("scores.churn", "record.flags.mood", "signal.score", "signal.share", "scores.intent.buy")
WHOLE = ("record.value.spent_minor", "record.value.orders", "signal.value_minor", "record.value.since_order_ms")
TEXTS = ("record.traits.city", "signal.name", "signal.reason", "signal.item_id", "record.value.currency")
TRUTHS = ("record.flags.vip", "record.known", "true", "false", "has(signal.reason)", "has(record.traits.city)")
NUMBERS = ("0", "1", "-1", "2", "9007199254740992", "9007199254740993", "0.0", "0.5", "-0.5", "1e3", "2.0")
WORDS = ("''", '"a"', "'b c'", '"é"', "'it\\'s'")

number = st.sampled_from([*FLOATS, *WHOLE, *NUMBERS])
text = st.sampled_from([*TEXTS, *WORDS])
truth = st.sampled_from(TRUTHS)
orders = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
equals = st.sampled_from(["==", "!="])


def lists(of: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Return lists as a condition writes them."""
    return st.lists(st.sampled_from(of), max_size=3).map(lambda items: f"[{', '.join(items)}]")


relations = st.one_of(
    truth,
    st.builds("{} {} {}".format, number, orders, number),
    st.builds("{} {} {}".format, text, orders, text),
    st.builds("{} {} {}".format, truth, equals, truth),
    st.builds("{} {} {}".format, number, orders, text),
    st.builds("{} in {}".format, number, lists(NUMBERS)),
    st.builds("{} in {}".format, text, lists(WORDS)),
    st.builds("{} + {} > {}".format, number, number, number),
)
conditions = st.recursive(
    relations,
    lambda inner: st.one_of(
        st.builds("{} && {}".format, inner, inner),
        st.builds("{} || {}".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("({})".format, inner),
        st.builds("!{} == {}".format, truth, truth),
        st.builds("({}) ? {} : {}".format, inner, inner, inner),
    ),
    max_leaves=6,
)
doubles = st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, 1000.0, 2.0**53, inf, -inf, nan]) | st.floats()
longs = st.sampled_from([0, 1, 2, -1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1]) | st.integers(-(2**63), 2**63 - 1)
words = st.sampled_from(["", "a", "b c", "é", "e\u0301", "it's"])
maybe_double, maybe_long, maybe_word = (st.none() | some for some in (doubles, longs, words))


@st.composite
def moments(draw: st.DrawFn) -> Moment:
    """Return a customer of whom anything is known, at a signal that says anything."""
    record = merge(root(traits=draw(st.dictionaries(st.just("city"), words))), NOON_MS)
    features = vector(record)
    record.flags.mood, record.flags.vip = draw(doubles), draw(st.booleans())
    record.value.spent_minor, record.value.orders = draw(longs), draw(longs)
    record.value.currency = draw(words)
    record.value.order_times_ms = draw(st.lists(st.integers(0, NOON_MS), max_size=1))
    upon: Any = signal("survey", draw(words), score=draw(maybe_double), scale_max=draw(st.sampled_from([5.0, 0.0])))
    upon["service"] = {"event": "opened", "reason": draw(maybe_word)}
    upon["behaviour"] = {"item_id": draw(maybe_word), "value_minor": draw(maybe_long)}
    scores = Scores(draw(doubles), {"buy": draw(doubles)}, {})
    return Moment(record, features, scores, upon)


@given(conditions, moments())
@settings(max_examples=600, deadline=None)
def test_plain_says_what_cel_says(source: str, moment: Moment) -> None:
    """True, false or cannot-be-told: the same, whatever the condition and the customer."""
    try:
        condition = compile_condition(source)
    except ConditionError:
        return  # CEL refuses it: there is nothing to be equal to
    assert condition.holds(moment) is condition.by_cel(moment)


@given(orders, number, number, moments())
@settings(max_examples=300, deadline=None)
@example("<", "scores.churn", "0.5", None)
def test_numbers_compare_as_in_cel(order: str, left: str, right: str, moment: Moment | None) -> None:
    """Whole numbers and doubles of any size, not-a-number included."""
    if moment is None:
        moment = not_a_number()
    condition = compile_condition(f"{left} {order} {right}")
    assert condition.holds(moment) is condition.by_cel(moment)


def not_a_number() -> Moment:
    """Return a moment at which a model has gone wrong."""
    record = merge(root(), NOON_MS)
    return Moment(record, vector(record, signal()), Scores(nan, {}, {}), signal())


def test_not_a_number_cannot_be_told() -> None:
    """A model gone wrong makes no customer eligible, nor ineligible by the condition: it is an error that is seen."""
    assert compile_condition("scores.churn < 0.5").holds(not_a_number()) is None


@pytest.mark.parametrize(
    "source",
    [
        "f.orders + 1.0 > 2.0",
        "size(signal.name) > 3",
        "record.known ? true : false",
        "record.value.spent_minor > 9007199254740993",
        "signal.name < 'b'",
        "signal.name == 'it\\'s'",
        "record.value.orders == record.value.mean_order_minor",
        "signal.name in ['a', signal.reason]",
        "(1 < 2) == true == true",
    ],
)
def test_what_is_not_plain_is_cels(source: str) -> None:
    """Arithmetic, functions, the order of texts, escapes, and comparisons between kinds."""
    assert compile_condition(source).plain is None


def test_the_example_catalogue_is_plain() -> None:
    """Every condition of the example shop is asked in Python: the figures of the bench rest on it."""
    path = ROOT / "deploy" / "local" / "catalogue.yaml"
    of = read_catalogue(path.read_text(encoding="utf-8"), str(path))
    asked = [condition for action in of.actions.values() for _, condition in action.conditions]
    asked += [trigger.when for trigger in of.triggers.values() if trigger.when]
    asked += [context.when for context in of.contexts]
    asked += [lever.when for lever in (a.lever for a in of.actions.values()) if lever and lever.when]
    assert [condition.source for condition in asked if condition.plain is None] == []
