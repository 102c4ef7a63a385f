"""The learners' stage without Kafka: what a batch comes to, and what is kept of it."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from models.registry import MODELS
from models.scorers import ScorerSet
from models.snapshot import seal
from schemas.features import FEATURE_NAMES, FEATURE_SET, INTENTS
from schemas.wire import codec_of
from streams.agents import learners
from streams.agents.learners import (
    LearnerState,
    PublishRules,
    decode_state,
    encode_state,
    learn,
    learners_stage,
)
from streams.core.attribution import on_time
from streams.core.facet import new_facet, remember_contact
from streams.core.facet_state import Contact
from streams.core.labels import LabelRules, close_by_time, open_labels, pack
from streams.core.state import Root
from streams.lane.errors import StoreError
from streams.lane.job import Batch, Failure, Output, Record, Result

KEY = bytes(range(32))
RULES = PublishRules(first_examples=20, every_examples=50, every_ms=1_000)
DRAW = random.Random(3)


def example(model: str = "churn", **fields: object) -> dict[str, Any]:
    label = {"churn": "1", "intent": INTENTS[0]}.get(model, "")
    made: dict[str, Any] = {
        "id": "e",
        "model": model,
        "arm": "a/b" if model == "propensity" else "",
        "feature_set": FEATURE_SET,
        "features": [DRAW.gauss(0, 1) for _ in FEATURE_NAMES],
        "label": label,
        "predicted": {},
        "predicted_version": 0,
        "scored_at_ms": 1,
        "labelled_at_ms": 2,
    }
    return made | fields


def batch(examples: list[dict[str, Any]], first: int = 0) -> Batch:
    codec = codec_of("example")
    records = [
        Record("examples", 0, first + at, 0, each["model"].encode(), codec.encode(each))
        for at, each in enumerate(examples)
    ]
    return Batch(0, records, (), 0)


def run(state: dict[bytes, LearnerState], work: Batch, rules: PublishRules = RULES) -> Result[LearnerState]:
    result = learn(state, work, key=KEY, models_topic="models", rules=rules)
    state.update({name: value for name, value in result.changes.items() if value is not None})
    return result


def test_each_model_learns_its_own() -> None:
    state: dict[bytes, LearnerState] = {}
    names = ["churn", "intent", "propensity", "churn"]
    assert run(state, batch([example(name) for name in names], first=10)).failures == []
    assert {name.decode(): kept.learner.learned for name, kept in state.items()} == {
        "churn": 2,
        "intent": 1,
        "propensity": 1,
    }
    assert state[b"churn"].position == 14


def test_one_batch_or_many_make_no_difference() -> None:
    examples = [example("churn", label=DRAW.choice("01"), labelled_at_ms=at) for at in range(60)]
    whole: dict[bytes, LearnerState] = {}
    parts: dict[bytes, LearnerState] = {}
    run(whole, batch(examples))
    for at in range(0, 60, 7):
        run(parts, batch(examples[at : at + 7], first=at))
        parts = {name: decode_state(encode_state(kept, KEY), KEY) for name, kept in parts.items()}
    one, other = whole[b"churn"], parts[b"churn"]
    assert one.learner.learned == other.learner.learned == 60
    assert (one.position, one.stream_ms) == (other.position, other.stream_ms)
    probe = [0.3] * len(FEATURE_NAMES)
    assert one.learner.predict(probe) == other.learner.predict(probe)  # type: ignore[attr-defined]  # churn has it


POISON: list[tuple[dict[str, Any], str]] = [
    ({"features": [0.0] * 3}, "wrong-feature-count"),
    ({"features": [float("nan")] * len(FEATURE_NAMES)}, "bad-feature"),
    ({"feature_set": "customer-0"}, "wrong-feature-set"),
    ({"label": "2"}, "bad-label"),
    ({"model": "sentiment"}, "unknown-model"),
    ({"predicted": {"1": 7.0}}, "bad-prediction"),
]


@pytest.mark.parametrize(("fields", "code"), POISON)
def test_a_poison_example_costs_no_other(fields: dict[str, Any], code: str) -> None:
    state: dict[bytes, LearnerState] = {}
    result = run(state, batch([example(), example(**fields), example()]))
    assert [failure.code for failure in result.failures] == [code]
    assert result.failures[0].record.offset == 1
    assert state[b"churn"].learner.learned == 2


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        (b"churn", None, "empty-record"),
        (b"churn", b"garbage", "bad-frame"),
        (b"churn", codec_of("example").header + b"\xff", "bad-avro"),
        (b"intent", codec_of("example").encode(example()), "wrong-key"),
        (None, codec_of("example").encode(example()), "wrong-key"),
    ],
)
def test_what_is_no_example_is_a_failure(key: bytes | None, value: bytes | None, code: str) -> None:
    result = run({}, Batch(0, [Record("examples", 0, 5, 0, key, value)], (), 0))
    assert [failure.code for failure in result.failures] == [code]
    assert result.changes == {}


def published(result: Result[LearnerState]) -> list[dict[str, Any]]:
    return [codec_of("model_snapshot").decode(output.value or b"") for output in result.outputs]


def test_snapshots_come_after_so_many_examples_or_so_much_time() -> None:
    state: dict[bytes, LearnerState] = {}
    assert run(state, batch([example() for _ in range(19)])).outputs == []
    first = run(state, batch([example()], first=19))
    assert [(view["version"], view["learned"], view["position"]) for view in published(first)] == [(1, 20, 20)]
    assert first.outputs[0].key == b"churn"
    assert first.outputs[0].topic == "models"
    assert run(state, batch([example() for _ in range(49)])).outputs == []
    assert [view["version"] for view in published(run(state, batch([example()])))] == [2]
    assert run(state, batch([example(labelled_at_ms=1_001)])).outputs == []
    assert [view["version"] for view in published(run(state, batch([example(labelled_at_ms=1_002)])))] == [3]


def test_a_large_batch_publishes_once() -> None:
    assert len(run({}, batch([example() for _ in range(300)])).outputs) == 1


@pytest.mark.parametrize("wrong", [{"first_examples": 0}, {"every_examples": 0}, {"every_ms": 0}])
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        PublishRules(**wrong)


@pytest.mark.parametrize("model", list(MODELS))
def test_state_survives_the_changelog(model: str) -> None:
    state: dict[bytes, LearnerState] = {}
    run(state, batch([example(model) for _ in range(30)]))
    kept = state[model.encode()]
    back = decode_state(encode_state(kept, KEY), KEY)
    assert (back.position, back.version, back.stream_ms) == (kept.position, kept.version, kept.stream_ms)
    assert (back.published_learned, back.published_ms) == (kept.published_learned, kept.published_ms)
    assert back.learner.metrics() == kept.learner.metrics()
    assert back.learner.snapshot_bytes() == kept.learner.snapshot_bytes()


def test_a_state_that_we_did_not_seal_ends_the_process() -> None:
    """A pickle that somebody else put into the changelog is never loaded, nor does learning begin anew in silence."""
    raw = encode_state(LearnerState(MODELS["churn"].learner()), KEY)
    for bad in (raw[:-1] + bytes([raw[-1] ^ 1]), b"garbage"):
        with pytest.raises(StoreError, match="SADA_SNAPSHOT_KEY"):
            decode_state(bad, KEY)
    with pytest.raises(StoreError, match="bad-mac"):
        decode_state(raw, bytes(32))


def test_a_published_snapshot_does_not_pass_for_a_state() -> None:
    view = seal(
        KEY,
        model="churn",
        version=1,
        learned=1,
        position=1,
        metrics={},
        created_at_ms=1,
        model_bytes=MODELS["churn"].learner().snapshot_bytes(),
    )
    with pytest.raises(StoreError, match="bad-mac"):
        decode_state(codec_of("model_snapshot").encode(view), KEY)


def test_a_new_feature_set_learns_anew_and_counts_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions go on rising, so that no scorer takes the new model for an old one."""
    monkeypatch.setattr("models.snapshot.FEATURE_SET", "customer-0")
    raw = encode_state(LearnerState(MODELS["churn"].learner(), position=70, version=9), KEY)
    monkeypatch.undo()
    state = decode_state(raw, KEY)
    assert (state.learner.learned, state.version, state.position) == (0, 9, 70)


def dead_letter(failure: Failure) -> Output:
    return Output("dead-letters", failure.record.key, failure.code.encode())


def test_the_stage_reads_examples_and_shows_what_it_learned() -> None:
    prefixed: Callable[[str], str] = "p-".__add__
    stage = learners_stage(KEY, topic=prefixed, dead_letter=dead_letter, rules=RULES)
    assert (stage.name, stage.sources, stage.changelog) == ("learners", ("p-examples",), "p-learners-changelog")
    result = stage.job({}, batch([example(predicted={"1": 0.9}, predicted_version=1) for _ in range(25)]))
    assert [output.topic for output in result.outputs] == ["p-models"]
    gauge = learners.METRICS["log_loss"].labels("churn")
    assert gauge._value.get() == pytest.approx(0.105, abs=0.001)
    assert learners.VERSION.labels("churn")._value.get() == 1


def test_what_the_core_sends_is_what_the_learners_take() -> None:
    """Rewards as attribution settles them, labels as they are closed: none is refused, each served score counts."""
    node = b"n" * 16
    root = Root(node, 1, facets={node: new_facet(node)})
    contact = Contact(
        action_id="a1",
        decision_id="d1",
        action="save",
        treatment="mail",
        channel="email",
        purpose="marketing",
        at_ms=10,
        control=False,
        outcome="",
        outcome_at_ms=0,
        reward_due_ms=20,
        goal="order",
        features=pack([0.0] * len(FEATURE_NAMES)),
        propensity=0.5,
        predicted=0.3,
        version=4,
    )
    remember_contact(root.facets[node], contact)
    seen: Any = {"id": "s", "kind": "behaviour", "name": "page_viewed"}
    scores = ScorerSet().score([0.0] * len(FEATURE_NAMES))
    open_labels(
        root,
        node,
        seen,
        [0.0] * len(FEATURE_NAMES),
        predicted={"churn": {"1": scores.p_churn, "0": 1 - scores.p_churn}, "intent": scores.intent},
        versions={"churn": 2, "intent": 2},
        at_ms=10,
        rules=LabelRules(intent_rate=1.0),
    )
    examples: list[Any] = [*on_time(root, 10**12).examples, *close_by_time(root, 10**12, LabelRules())]
    state: dict[bytes, LearnerState] = {}
    assert run(state, batch(examples)).failures == []
    assert {name: kept.learner.metrics()["scored"] for name, kept in state.items()} == {
        b"propensity": 1.0,
        b"churn": 1.0,
        b"intent": 1.0,
    }
