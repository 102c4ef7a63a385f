"""The learners: one stage of the lane that learns every model from ``examples`` and publishes its snapshots.

A model's examples have its name as key, so they lie on one partition and are learned in order by one worker. The
learner's whole state is a value of the changelog, so learning is exactly once, like everything in the lane.
"""

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import Gauge

from models.base import ExampleError, Learner
from models.registry import MODELS
from models.snapshot import SnapshotError, seal, unseal
from schemas.topics import EXAMPLES, LEARNERS_CHANGELOG
from schemas.topics import MODELS as MODELS_TOPIC
from schemas.views import ExampleView, SnapshotView
from schemas.wire import Codec, WireError, codec_of
from streams.lane.errors import StoreError
from streams.lane.job import Batch, Failure, Output, Record, Result, Stage, State

NAME = "learners"

# 500 ms: every batch writes a model whole into the changelog, some 10 kB and a transaction, and nobody waits for it.
LINGER_MS = 500

METRICS = {
    name: Gauge(f"sada_model_{name}", text, ["model"])
    for name, text in {
        "auc": "Prequential AUC of the scores that were served, fading.",
        "rule_auc": "AUC of the trivial rule on the same examples.",
        "log_loss": "Prequential log loss, fading.",
        "ece": "Expected calibration error, 10 bins, fading.",
        "accuracy": "Share of examples whose likeliest class came, fading.",
        "base_rate": "Mean label or reward, fading.",
        "scored": "Examples whose served score was measured.",
        "arms": "Arms of the bandit.",
    }.items()
}
EXAMPLES_LEARNED = Gauge("sada_model_examples", "Examples learned.", ["model"])
VERSION = Gauge("sada_model_version", "Newest snapshot published.", ["model"])


@dataclass(frozen=True, slots=True)
class PublishRules:
    """When a snapshot is published: enough was learned, or enough stream time went by, since the last one.

    Raises
    ------
    ValueError
        when a number is not positive
    """

    # 200 examples before the first: a model of fewer is worse than the prior.
    first_examples: int = 200
    # 1,000 examples: some 60 ms of learning for a snapshot of 4 kB that costs every worker 1 ms to load.
    every_examples: int = 1_000
    # 6 hours of stream time: a quiet shop's models are never older; four months in two minutes are 4 snapshots/s.
    every_ms: int = 6 * 3_600_000

    def __post_init__(self) -> None:
        if min(self.first_examples, self.every_examples, self.every_ms) < 1:
            raise ValueError("first_examples, every_examples and every_ms are at least 1")


@dataclass(slots=True)
class LearnerState:
    """A learner and what it has published.

    Parameters
    ----------
    position : next offset of the examples partition
    version : of the newest snapshot; 0 before the first
    stream_ms : newest ``labelled_at_ms`` learned
    published_learned, published_ms : what ``learned`` and ``stream_ms`` were at the newest snapshot
    """

    learner: Learner
    position: int = 0
    version: int = 0
    stream_ms: int = 0
    published_learned: int = 0
    published_ms: int = 0

    def is_due(self, rules: PublishRules) -> bool:
        """Say whether a snapshot is to be published now."""
        if self.version == 0:
            return self.learner.learned >= rules.first_examples
        fresh = self.learner.learned - self.published_learned
        return fresh >= rules.every_examples or (fresh > 0 and self.stream_ms - self.published_ms >= rules.every_ms)


def encode_state(state: LearnerState, key: bytes) -> bytes:
    """Return a learner's bytes in the changelog, sealed: whoever can write to Kafka must not run code here."""
    view = seal(
        key,
        model=state.learner.name,
        version=state.version,
        learned=state.learner.learned,
        position=state.position,
        metrics={},
        created_at_ms=state.stream_ms,
        model_bytes=pickle.dumps((state.learner, state.published_learned, state.published_ms), protocol=5),
        purpose="state",
    )
    return codec_of("model_snapshot").encode(view)


def decode_state(raw: bytes, key: bytes) -> LearnerState:
    """Return the learner that the bytes hold; of an older feature set only its version, with a new learner.

    Raises
    ------
    StoreError
        when they were not sealed with this key or cannot be read: an operator must act, learning must not begin
        anew unnoticed
    """
    try:
        view: Any = codec_of("model_snapshot").decode(raw)
        learner, published_learned, published_ms = unseal(view, key, newer_than=-1, purpose="state")
    except (SnapshotError, WireError) as exc:
        if exc.code == "wrong-feature-set":  # sealed by us, so its version can be believed
            return LearnerState(MODELS[view["model"]].learner(), view["position"], view["version"])
        raise StoreError(
            f"the learner's state in {LEARNERS_CHANGELOG} cannot be used ({exc.code}): {exc}. Set SADA_SNAPSHOT_KEY to "
            f"the key that it was sealed with, or delete and create {LEARNERS_CHANGELOG} to learn from the start."
        ) from exc
    return LearnerState(
        learner, view["position"], view["version"], view["created_at_ms"], published_learned, published_ms
    )


def read_example(record: Record, codec: Codec) -> ExampleView:
    """Return the example of a record.

    Raises
    ------
    WireError, ExampleError
        when it is none, or of no model of ours, or under another key than its model's name
    """
    if record.value is None:
        raise ExampleError("empty-record", "an example without a value")
    example: Any = codec.decode(record.value)
    if example["model"] not in MODELS:
        raise ExampleError(
            "unknown-model", f"no model is called {example['model'][:100]!r}; there are {', '.join(MODELS)}"
        )
    if record.key != example["model"].encode():
        raise ExampleError(
            "wrong-key", f"an example of {example['model']!r} comes under another key than its model's name"
        )
    read: ExampleView = example
    return read


def learn(
    state: State[LearnerState], batch: Batch, *, key: bytes, models_topic: str, rules: PublishRules
) -> Result[LearnerState]:
    """Learn a batch: each model's examples in order, then publish what is due.

    Notes
    -----
    Deterministic in (state, batch). One example that cannot be learned from costs no other.
    """
    codec = codec_of("example")
    learners: dict[bytes, LearnerState] = {}
    examples: dict[bytes, list[ExampleView]] = {}
    failures: list[Failure] = []
    for record in batch.records:
        try:
            example = read_example(record, codec)
            name = example["model"].encode()
            if name not in learners:
                learners[name] = state.get(name) or LearnerState(MODELS[example["model"]].learner())
                examples[name] = []
            learners[name].learner.check(example)
        except (WireError, ExampleError) as exc:
            failures.append(Failure(record, exc.code, str(exc)))
            continue
        examples[name].append(example)
        learners[name].position = record.offset + 1
        learners[name].stream_ms = max(learners[name].stream_ms, example["labelled_at_ms"])
    changes = {name: learners[name] for name, learned in examples.items() if learned}
    outputs = []
    for name, changed in changes.items():
        changed.learner.learn_many(examples[name])
        if changed.is_due(rules):
            outputs.append(Output(models_topic, name, publish(changed, key)))
    return Result(changes, outputs, failures)


def publish(state: LearnerState, key: bytes) -> bytes:
    """Count the version up and return the snapshot's bytes."""
    state.version += 1
    state.published_learned = state.learner.learned
    state.published_ms = state.stream_ms
    view: SnapshotView = seal(
        key,
        model=state.learner.name,
        version=state.version,
        learned=state.learner.learned,
        position=state.position,
        metrics=state.learner.metrics(),
        created_at_ms=state.stream_ms,
        model_bytes=state.learner.snapshot_bytes(),
    )
    return codec_of("model_snapshot").encode(view)


def show(changes: Mapping[bytes, LearnerState | None]) -> None:
    """Set the gauges of the models that learned."""
    for state in changes.values():
        if state is None:
            continue
        name = state.learner.name
        EXAMPLES_LEARNED.labels(name).set(state.learner.learned)
        VERSION.labels(name).set(state.version)
        for metric, value in state.learner.metrics().items():
            if metric in METRICS:
                METRICS[metric].labels(name).set(value)


def learners_stage(
    key: bytes,
    *,
    topic: Callable[[str], str],
    dead_letter: Callable[[Failure], Output],
    rules: PublishRules | None = None,
) -> Stage[LearnerState]:
    """Return the learners as a stage of the lane.

    Parameters
    ----------
    key : ``Settings.secret("snapshot_key")``; seals snapshots and the changelog's values
    topic : a topic's full name from its name in the table (``Settings.topic``)
    dead_letter : how a failure is written
    rules : when snapshots are published
    """
    rules = rules or PublishRules()
    models_topic = topic(MODELS_TOPIC)

    def job(state: State[LearnerState], batch: Batch) -> Result[LearnerState]:
        result = learn(state, batch, key=key, models_topic=models_topic, rules=rules)
        show(result.changes)
        return result

    return Stage(
        name=NAME,
        sources=(topic(EXAMPLES),),
        changelog=topic(LEARNERS_CHANGELOG),
        job=job,
        encode=lambda state: encode_state(state, key),
        decode=lambda raw: decode_state(raw, key),
        dead_letter=dead_letter,
        linger_ms=LINGER_MS,
    )
