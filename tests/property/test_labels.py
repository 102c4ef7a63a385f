"""Properties of delayed labels, whatever a customer does and whenever the timers fire."""

from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from schemas.views import ExampleView, Signal
from streams.core.facet import fold, new_facet
from streams.core.labels import INTENT, LabelRules, close_by_signal, close_by_time, open_labels
from streams.core.state import Root

RULES = LabelRules(churn_horizon_ms=100, churn_gap_ms=5, intent_horizon_ms=20, intent_rate=1.0)
NODES = (b"a" * 16, b"b" * 16)

KINDS: tuple[dict[str, object], ...] = (
    {"kind": "behaviour", "behaviour": {}},
    {"kind": "transaction", "transaction": {"type": "order", "amount_minor": 1, "currency": "EUR", "items": []}},
    {"kind": "outcome", "outcome": {"action_id": "x", "event": "delivered"}},
    {"kind": "outcome", "outcome": {"action_id": "x", "event": "opened"}},
)
# (steps forward or back in time, what, through which node)
STEPS = st.lists(
    st.tuples(st.integers(-30, 60), st.integers(0, len(KINDS) - 1), st.integers(0, 1)), min_size=1, max_size=40
)


def signal(number: int, what: int) -> Signal:
    made = {"id": f"s{number}", "name": "something", "channel": "web", "source": "t", "identifiers": [], "context": {}}
    return cast("Signal", made | KINDS[what])


def live(steps: list[tuple[int, int, int]], timers: list[int]) -> tuple[set[str], list[ExampleView], Root]:
    """Run a customer's life; ``timers``: before which steps the partition's own timer fires first."""
    root = Root(NODES[0], 1, facets={node: new_facet(node) for node in NODES})
    now, opened, closed = 10_000, set[str](), list[ExampleView]()
    newest = now
    for number, (step, what, by) in enumerate(steps):
        now = max(1, now + step)
        newest = max(newest, now)
        seen = signal(number, what)
        if number in timers:
            closed += close_by_time(root, newest, RULES)
        closed += close_by_time(root, now, RULES)
        closed += close_by_signal(root, seen, now, RULES)
        fold(root.facets[NODES[by]], seen, now)
        before = {pending.id for facet in root.facets.values() for pending in facet.pending}
        open_labels(root, NODES[by], seen, [0.0], predicted={}, versions={}, at_ms=now, rules=RULES)
        opened |= {pending.id for facet in root.facets.values() for pending in facet.pending} - before
    return opened, closed, root


@given(STEPS, st.lists(st.integers(0, 40)))
def test_every_label_opened_is_closed_exactly_once(steps: list[tuple[int, int, int]], timers: list[int]) -> None:
    opened, closed, root = live(steps, timers)
    closed += close_by_time(root, 10**9, RULES)
    assert sorted(example["id"] for example in closed) == sorted(opened)
    assert not any(facet.pending for facet in root.facets.values())


@given(STEPS, st.lists(st.integers(0, 40)))
def test_no_label_is_closed_by_a_late_signal_or_after_its_time(
    steps: list[tuple[int, int, int]], timers: list[int]
) -> None:
    for example in live(steps, timers)[1]:
        waited = example["labelled_at_ms"] - example["scored_at_ms"]
        horizon = RULES.intent_horizon_ms if example["model"] == INTENT else RULES.churn_horizon_ms
        if example["label"] in ("1", "leave"):
            assert waited == horizon + 1
        else:
            assert 0 < waited <= horizon


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3), st.integers(0, 1)), max_size=40), st.data())
def test_timers_may_fire_at_any_time(steps: list[tuple[int, int, int]], data: st.DataObject) -> None:
    """As long as signals come in order it makes no difference when the timers fire: examples are the same."""
    timers = data.draw(st.lists(st.integers(0, 40)))
    bare, timed = live(steps, []), live(steps, timers)
    assert bare[0] == timed[0]
    assert sorted(bare[1], key=lambda e: e["id"]) == sorted(timed[1], key=lambda e: e["id"])


@given(STEPS)
def test_at_most_one_label_of_a_model_waits(steps: list[tuple[int, int, int]]) -> None:
    root = live(steps, [])[2]
    models = [pending.model for facet in root.facets.values() for pending in facet.pending]
    assert len(models) == len(set(models))
