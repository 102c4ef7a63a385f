"""Sealing and opening what a learner publishes or keeps: nothing of it is read before its code was found right.

The order is: size, HMAC-SHA256, version, feature set, and only then the bytes. A snapshot, which every worker reads, is
plain numbers; the state, which only the learner's own worker reads, is a pickle. Unpickling runs whatever the bytes
say, so its unpickler knows the few names that River's models need, each by its exact name.
"""

import hashlib
import hmac
import io
import json
import pickle
import struct
from collections.abc import Mapping
from typing import Any, Literal

from schemas.features import FEATURE_SET
from schemas.views import SnapshotView

# Below the largest record that the codec takes (1 MB), with room for the rest of the record.
MAX_MODEL_BYTES = 900_000
# 64-bit, little-endian, signed: lengths and numbers under the code.
_NUMBER = struct.Struct("<q")

# How pickles of protocol 2 and higher begin; JSON never does.
_PICKLED = b"\x80"

# A snapshot is for everybody's scorers; a state is a learner's own. The one never passes for the other.
Purpose = Literal["snapshot", "state"]

_ALLOWED: frozenset[tuple[str, str]] = frozenset(
    {
        ("builtins", "float"),
        ("collections", "Counter"),
        ("collections", "defaultdict"),
        ("copy", "deepcopy"),
        ("functools", "partial"),
        ("models.churn", "ChurnLearner"),
        ("models.intent", "IntentLearner"),
        ("models.metrics", "BinaryMetrics"),
        ("models.metrics", "CalibrationBins"),
        ("models.metrics", "ClassMetrics"),
        ("models.metrics", "Fading"),
        ("models.metrics", "RankBins"),
        ("models.propensity", "PropensityLearner"),
        ("models.scaling", "FlooredScaler"),
        ("models.steps", "SettlingStep"),
        ("numpy", "dtype"),
        ("numpy._core.numeric", "_frombuffer"),
        ("river._river_rust.vectordict", "VectorDict"),
        ("river.linear_model.bayesian_lin_reg", "BayesianLinearRegression"),
        ("river.linear_model.log_reg", "LogisticRegression"),
        ("river.linear_model.softmax", "SoftmaxRegression"),
        ("river.optim.initializers", "Zeros"),
        ("river.optim.losses", "CrossEntropy"),
        ("river.optim.losses", "Log"),
        ("river.optim.schedulers", "Constant"),
        ("river.optim.sgd", "SGD"),
    }
)


class SnapshotError(ValueError):
    """A snapshot that is not loaded; ``code`` is stable, the message says what is wrong with which.

    Codes: too-large, bad-mac, old-version, wrong-feature-set, unknown-model, old-form, bad-json, bad-model; of a state
    also forbidden-name and bad-pickle.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def seal(
    key: bytes,
    *,
    model: str,
    version: int,
    learned: int,
    position: int,
    metrics: Mapping[str, float],
    created_at_ms: int,
    model_bytes: bytes,
    purpose: Purpose = "snapshot",
) -> SnapshotView:
    """Return a snapshot of this feature set with its code.

    Parameters
    ----------
    key : at least 32 bytes (``Settings.secret("snapshot_key")``)
    position : next offset of the examples partition
    model_bytes : of a snapshot what ``models.plain`` writes, of a state a pickle of our own

    Raises
    ------
    SnapshotError
        too-large, when nobody would load it
    """
    if len(model_bytes) > MAX_MODEL_BYTES:
        raise SnapshotError("too-large", f"{model} has {len(model_bytes)} bytes; at most {MAX_MODEL_BYTES} travel")
    view: SnapshotView = {
        "model": model,
        "version": version,
        "feature_set": FEATURE_SET,
        "learned": learned,
        "position": position,
        "metrics": dict(metrics),
        "created_at_ms": created_at_ms,
        "model_bytes": model_bytes,
        "mac": b"",
    }
    view["mac"] = _mac(view, key, purpose)
    return view


def unseal(view: SnapshotView, key: bytes, *, newer_than: int = 0, purpose: Purpose = "snapshot") -> Any:
    """Check a snapshot or a state and return what it holds: JSON's values, or the object that was pickled.

    Parameters
    ----------
    newer_than : version that is loaded now; only a higher one is taken

    Raises
    ------
    SnapshotError
        with its code; nothing was read, still less unpickled, unless the code was right
    """
    name = f"{view['model']!r} version {view['version']}"
    if len(view["model_bytes"]) > MAX_MODEL_BYTES:
        raise SnapshotError("too-large", f"{name} has {len(view['model_bytes'])} bytes; at most {MAX_MODEL_BYTES}")
    if not hmac.compare_digest(_mac(view, key, purpose), view["mac"]):
        raise SnapshotError("bad-mac", f"{name} was not sealed with our key, or was changed since")
    if view["version"] <= newer_than:
        raise SnapshotError("old-version", f"{name} is not newer than version {newer_than}, which is loaded")
    if view["feature_set"] != FEATURE_SET:
        raise SnapshotError("wrong-feature-set", f"{name} is of {view['feature_set']!r}; this is {FEATURE_SET!r}")
    return (_load if purpose == "state" else _read)(view["model_bytes"], name)


def _mac(view: SnapshotView, key: bytes, purpose: Purpose) -> bytes:
    """Return the code over every field, each with its length, so that no two records read the same."""
    code = hmac.new(key, digestmod=hashlib.sha256)
    metrics = "\n".join(f"{name}={value.hex()}" for name, value in sorted(view["metrics"].items()))
    for part in (
        f"sada-{purpose}-1".encode(),
        view["model"].encode(),
        _NUMBER.pack(view["version"]),
        view["feature_set"].encode(),
        _NUMBER.pack(view["learned"]),
        _NUMBER.pack(view["position"]),
        metrics.encode(),
        _NUMBER.pack(view["created_at_ms"]),
        view["model_bytes"],
    ):
        code.update(_NUMBER.pack(len(part)))
        code.update(part)
    return code.digest()


class _Unpickler(pickle.Unpickler):
    """Knows the names of ``_ALLOWED``, exactly, and no other."""

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) not in _ALLOWED:
            raise SnapshotError("forbidden-name", f"asks for {module}.{name}, which no model of ours needs")
        return super().find_class(module, name)


def _read(raw: bytes, name: str) -> Any:
    if raw.startswith(_PICKLED):
        raise SnapshotError("old-form", f"{name} is a pickle, as older releases sealed them; the next one will be read")
    try:
        return json.loads(raw.decode())
    except (ValueError, RecursionError) as exc:
        raise SnapshotError("bad-json", f"{name} cannot be read: {type(exc).__name__}: {exc}") from exc


def _load(raw: bytes, name: str) -> Any:
    try:
        return _Unpickler(io.BytesIO(raw)).load()
    except SnapshotError as exc:
        raise SnapshotError(exc.code, f"{name} {exc}") from None
    except Exception as exc:  # a pickle may raise anything at all
        raise SnapshotError("bad-pickle", f"{name} cannot be unpickled: {type(exc).__name__}: {exc}") from exc
