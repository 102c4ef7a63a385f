"""Live scorers take what is sealed and new, and keep what they have whatever else comes."""

import pickle
from typing import Any

import pytest

from models.base import Learner
from models.churn import ChurnLearner
from models.priors import PRIOR_P_CHURN
from models.registry import MODELS
from models.snapshot import seal
from schemas.features import FEATURE_NAMES, FEATURE_SET
from schemas.wire import codec_of
from streams.agents.scoring import REFUSED, LiveScorers

KEY = bytes(range(32))
ZEROS = [0.0] * len(FEATURE_NAMES)


def learned() -> ChurnLearner:
    learner = ChurnLearner()
    learner.learn_many(
        [
            {
                "id": "e",
                "model": "churn",
                "feature_set": FEATURE_SET,
                "features": ZEROS,
                "label": "1",
                "predicted": {},
                "predicted_version": 0,
                "scored_at_ms": 0,
                "labelled_at_ms": 1,
            }
        ]
        * 100
    )
    return learner


def snapshot(version: int, learner: Learner | None = None, key: bytes = KEY, **fields: Any) -> bytes:
    given: dict[str, Any] = {
        "model": "churn",
        "version": version,
        "learned": 1,
        "position": 1,
        "metrics": {},
        "created_at_ms": 1,
        "model_bytes": (learner or learned()).snapshot_bytes(),
    }
    return codec_of("model_snapshot").encode(seal(key, **(given | fields)))


def refusals(model: str, code: str) -> float:
    return float(REFUSED.labels(model, code)._value.get())


def test_a_snapshot_is_swapped_in_whole() -> None:
    live = LiveScorers(KEY)
    before = live.current
    live.on_record(b"churn", snapshot(1))
    assert before.churn(ZEROS) == pytest.approx(PRIOR_P_CHURN)
    assert live.current.churn(ZEROS) == pytest.approx(learned().predict(ZEROS))
    assert live.current.versions["churn"] == 1


@pytest.mark.parametrize(
    ("key", "value", "model", "code"),
    [
        (b"churn", b"garbage", "unknown", "bad-frame"),
        (b"churn", snapshot(9, key=bytes(32)), "churn", "bad-mac"),
        (b"churn", snapshot(1), "churn", "old-version"),
        (b"churn", snapshot(9, model_bytes=pickle.dumps(print)), "churn", "old-form"),
        (b"churn", snapshot(9, model_bytes=b"7"), "churn", "bad-model"),
        (b"intent", snapshot(9), "churn", "wrong-key"),
        (b"churn", snapshot(9, model="intent"), "intent", "wrong-key"),
        (b"mood", snapshot(9, model="mood"), "unknown", "unknown-model"),
    ],
)
def test_a_bad_snapshot_is_counted_and_the_old_one_stays(
    key: bytes, value: bytes, model: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    live = LiveScorers(KEY)
    live.on_record(b"churn", snapshot(3))
    serving, before = live.current, refusals(model, code)
    live.on_record(key, value)
    assert live.current is serving
    assert refusals(model, code) == before + 1
    assert code in caplog.text


def test_reading_the_same_snapshot_again_is_no_error() -> None:
    live = LiveScorers(KEY)
    once = snapshot(2)
    before = refusals("churn", "old-version")
    live.on_record(b"churn", once)
    live.on_record(b"churn", once)
    assert refusals("churn", "old-version") == before


def test_a_tombstone_changes_nothing() -> None:
    live = LiveScorers(KEY)
    live.on_record(b"churn", snapshot(2))
    live.on_record(b"churn", None)
    assert live.current.versions["churn"] == 2


def test_every_model_of_the_table_is_taken() -> None:
    live = LiveScorers(KEY)
    for name, spec in MODELS.items():
        live.on_record(name.encode(), snapshot(1, spec.learner(), model=name))
    assert dict(live.current.versions) == dict.fromkeys(MODELS, 1)
