"""What was not sealed by us, for us, for now, is not loaded; and nothing of it is read, still less unpickled."""

import json
import os
import pickle
import random
from collections.abc import Callable
from typing import cast

import pytest

from models import snapshot
from models.churn import ChurnLearner
from models.intent import IntentLearner
from models.propensity import PropensityLearner
from models.registry import load
from models.scorers import ScorerSet
from models.snapshot import MAX_MODEL_BYTES, Purpose, SnapshotError, seal, unseal
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


def refused(view: SnapshotView, key: bytes = KEY, newer_than: int = 0, purpose: Purpose = "snapshot") -> str:
    with pytest.raises(SnapshotError) as caught:
        unseal(view, key, newer_than=newer_than, purpose=purpose)
    return caught.value.code


def test_a_sealed_snapshot_opens() -> None:
    held = unseal(sealed(), KEY)
    assert (held["classes"], held["intercepts"]) == (["1"], [0.0])


def test_a_snapshot_of_an_older_release_is_refused_by_name_and_never_unpickled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "_load", lambda raw, name: pytest.fail("unpickled"))
    learner = ChurnLearner()
    assert refused(sealed(model_bytes=pickle.dumps((learner.scaler, learner.model), protocol=5))) == "old-form"


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, b"nonsense"])
def test_what_is_no_json_is_an_error_of_ours(raw: bytes) -> None:
    assert refused(sealed(model_bytes=raw)) == "bad-json"


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test in which anything gets as far as a reader."""
    for reader in ("_load", "_read"):
        monkeypatch.setattr(snapshot, reader, lambda raw, name: pytest.fail("read"))


@pytest.mark.usefixtures("unread")
@pytest.mark.parametrize("purpose", ["snapshot", "state"])
def test_every_bit_counts(purpose: Purpose) -> None:
    """No flipped bit of the model or of the code gets as far as a reader."""
    view = sealed(model_bytes=b"x" * 40, purpose=purpose)
    for field, whole in (("model_bytes", view["model_bytes"]), ("mac", view["mac"])):
        for bit in range(len(whole) * 8):
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            changed = cast("SnapshotView", view | {field: bytes(flipped)})
            assert refused(changed, purpose=purpose) == "bad-mac"


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
@pytest.mark.usefixtures("unread")
def test_every_field_counts(swapped: dict[str, object]) -> None:
    assert refused({**sealed(), **swapped}) == "bad-mac"  # type: ignore[typeddict-item]


@pytest.mark.usefixtures("unread")
def test_another_key_does_not_open_it() -> None:
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
    assert refused(sealed(model_bytes=GADGETS[gadget](), purpose="state"), purpose="state") == "forbidden-name"


@pytest.mark.parametrize("raw", [b"", b"\x80\x05", b"nonsense", pickle.dumps(1)[:-1], b"\x80\x05h\x07."])
def test_a_broken_pickle_is_an_error_of_ours(raw: bytes) -> None:
    assert refused(sealed(model_bytes=raw, purpose="state"), purpose="state") == "bad-pickle"


def test_what_is_no_model_is_not_installed() -> None:
    held: object
    linear = json.loads(ChurnLearner().snapshot_bytes())
    arms = json.loads(PropensityLearner().snapshot_bytes())
    bad_arms = [{**arms, "arms": names} for names in (["a"], ["a", "a"], [1], "ab", None)]
    bad_arms += [{**arms, "inputs": arms["inputs"][1:]}, {**arms, "arms": ["a"], "means": [[0.0] * 8]}]
    bad_linear = [
        {**linear, "classes": ["0"]},
        {**linear, "weights": [linear["weights"][0][1:]]},
        {**linear, "weights": [[None] * 34]},
        {**linear, "weights": "x"},
        {**linear, "intercepts": [[0.0]]},
        {**linear, "more": 1},
    ]
    given = [("churn", held) for held in (1, [1, 2], {}, "churn", None, *bad_linear)]
    given += [("propensity", held) for held in (1, linear, *bad_arms)]
    for model, held in given:
        with pytest.raises(SnapshotError) as caught:
            load(ScorerSet(), sealed(model=model, model_bytes=json.dumps(held).encode()), KEY)
        assert caught.value.code == "bad-model", held


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
