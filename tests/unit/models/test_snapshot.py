"""A snapshot that was not sealed by us, for us, for now, is not loaded; and nothing of it is unpickled."""

import os
import pickle
import random
from collections.abc import Callable
from typing import cast

import pytest

from models import snapshot
from models.churn import ChurnLearner
from models.intent import IntentLearner
from models.registry import load
from models.scorers import ScorerSet
from models.snapshot import MAX_MODEL_BYTES, SnapshotError, seal, unseal
from schemas.views import SnapshotView

KEY = bytes(range(32))


def sealed(model_bytes: bytes | None = None, **fields: object) -> SnapshotView:
    learner = ChurnLearner()
    given: dict[str, object] = {
        "model": "churn",
        "version": 5,
        "learned": 7,
        "position": 9,
        "metrics": {"auc": 0.7},
        "created_at_ms": 11,
        "model_bytes": learner.snapshot_bytes() if model_bytes is None else model_bytes,
    }
    return seal(KEY, **(given | fields))  # type: ignore[arg-type]  # the table above has the right types


def refused(view: SnapshotView, key: bytes = KEY, newer_than: int = 0) -> str:
    with pytest.raises(SnapshotError) as caught:
        unseal(view, key, newer_than=newer_than)
    return caught.value.code


def test_a_sealed_snapshot_opens() -> None:
    scaler, model = unseal(sealed(), KEY)
    assert type(scaler).__name__ == "FlooredScaler"
    assert model.intercept == 0.0


def test_every_bit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No flipped bit of the model or of the code gets as far as the unpickler."""
    monkeypatch.setattr(snapshot, "_load", lambda raw, name: pytest.fail("unpickled"))
    view = sealed(model_bytes=b"x" * 40)
    for field, whole in (("model_bytes", view["model_bytes"]), ("mac", view["mac"])):
        for bit in range(len(whole) * 8):
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            changed = cast("SnapshotView", view | {field: bytes(flipped)})
            assert refused(changed) == "bad-mac"


@pytest.mark.parametrize(
    "swapped",
    [
        {"model": "intent"},
        {"version": 6},
        {"feature_set": "customer-2"},
        {"position": 10},
        {"learned": 8},
        {"created_at_ms": 12},
        {"metrics": {"auc": 0.9}},
        {"metrics": {}},
        {"mac": b""},
        {"mac": bytes(32)},
    ],
)
def test_every_field_counts(monkeypatch: pytest.MonkeyPatch, swapped: dict[str, object]) -> None:
    monkeypatch.setattr(snapshot, "_load", lambda raw, name: pytest.fail("unpickled"))
    assert refused({**sealed(), **swapped}) == "bad-mac"  # type: ignore[typeddict-item]


def test_another_key_does_not_open_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "_load", lambda raw, name: pytest.fail("unpickled"))
    assert refused(sealed(), key=bytes(32)) == "bad-mac"


def test_a_learner_s_state_does_not_pass_for_a_snapshot() -> None:
    assert refused(sealed(purpose="state")) == "bad-mac"
    with pytest.raises(SnapshotError):
        unseal(sealed(), KEY, purpose="state")


@pytest.mark.parametrize("loaded", [5, 6, 1000])
def test_no_way_back_to_an_older_version(loaded: int) -> None:
    assert refused(sealed(), newer_than=loaded) == "old-version"


def test_a_snapshot_of_another_feature_set_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "FEATURE_SET", "customer-2")
    other = sealed()
    monkeypatch.undo()
    assert refused(other) == "wrong-feature-set"


def test_size_is_capped_on_both_sides() -> None:
    with pytest.raises(SnapshotError, match="at most"):
        sealed(model_bytes=bytes(MAX_MODEL_BYTES + 1))
    view = sealed(model_bytes=b"")
    view["model_bytes"] = bytes(MAX_MODEL_BYTES + 1)
    assert refused(view) == "too-large"


class Gadget:
    """Runs a function when it is unpickled."""

    def __init__(self, call: object, *args: object) -> None:
        self.reduced = (call, args)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.reduced


GADGETS: dict[str, Callable[[], bytes]] = {
    "os.system": lambda: pickle.dumps(Gadget(os.system, "exit 1")),
    "eval": lambda: pickle.dumps(Gadget(eval, "1")),
    "getattr": lambda: pickle.dumps(Gadget(getattr, "", "join")),
    "import": lambda: pickle.dumps(Gadget(__import__, "os")),
    "protocol 0": lambda: b"cos\nsystem\n(S'exit 1'\ntR.",
    "a dotted name": lambda: b"\x80\x04\x8c\x0bcollections\x8c\x14defaultdict.__init__\x93.",
    "a neighbour of an allowed name": lambda: pickle.dumps(random.Random),
    "a class of River that we do not use": lambda: b"criver.compose.pipeline\nPipeline\n.",
}


@pytest.mark.parametrize("gadget", GADGETS)
def test_even_sealed_by_us_no_gadget_is_loaded(gadget: str) -> None:
    assert refused(sealed(model_bytes=GADGETS[gadget]())) == "forbidden-name"


@pytest.mark.parametrize("raw", [b"", b"\x80\x05", b"nonsense", pickle.dumps(1)[:-1], b"\x80\x05h\x07."])
def test_a_broken_pickle_is_an_error_of_ours(raw: bytes) -> None:
    assert refused(sealed(model_bytes=raw)) == "bad-pickle"


def test_what_is_no_model_is_not_installed() -> None:
    held: object
    for held in (1, (1, 2), {}, "churn"):
        with pytest.raises(SnapshotError) as caught:
            load(ScorerSet(), sealed(model_bytes=pickle.dumps(held)), KEY)
        assert caught.value.code == "bad-model"


def test_weights_that_are_not_finite_are_not_installed() -> None:
    learner = ChurnLearner()
    learner.model.intercept = float("nan")
    with pytest.raises(SnapshotError, match="not finite"):
        load(ScorerSet(), sealed(model_bytes=learner.snapshot_bytes()), KEY)


def test_one_model_does_not_pass_for_another() -> None:
    """Sealed by us under the wrong name, it still cannot be installed."""
    with pytest.raises(SnapshotError) as caught:
        load(ScorerSet(), sealed(model_bytes=IntentLearner().snapshot_bytes()), KEY)
    assert caught.value.code == "bad-model"


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(SnapshotError) as caught:
        load(ScorerSet(), sealed(model="sentiment"), KEY)
    assert caught.value.code == "unknown-model"
