"""What every learner asks of an example before it learns from it."""

import math
from collections.abc import Collection

from models.base import ExampleError
from schemas.features import FEATURE_NAMES, FEATURE_SET
from schemas.views import ExampleView

# Features are logarithms, ratios, flags and small counts; anything beyond is not one of ours.
MAX_FEATURE = 1e4
# As many as the classes of the largest model, and some.
MAX_PREDICTED = 32


def check_features(example: ExampleView) -> None:
    """Check feature set, count and range.

    Raises
    ------
    ExampleError
        wrong-feature-set, wrong-feature-count or bad-feature
    """
    if example["feature_set"] != FEATURE_SET:
        raise ExampleError("wrong-feature-set", f"features of set {example['feature_set']!r}; this is {FEATURE_SET!r}")
    features = example["features"]
    if len(features) != len(FEATURE_NAMES):
        raise ExampleError("wrong-feature-count", f"{len(features)} features; {FEATURE_SET} has {len(FEATURE_NAMES)}")
    for name, value in zip(FEATURE_NAMES, features, strict=True):
        if not -MAX_FEATURE <= value <= MAX_FEATURE:  # false for NaN as well
            raise ExampleError("bad-feature", f"{name} is {value}; it lies within ±{MAX_FEATURE:g}")


def check_probabilities(example: ExampleView) -> None:
    """Check that what was predicted is probabilities.

    Raises
    ------
    ExampleError
        bad-prediction
    """
    predicted = example["predicted"]
    if len(predicted) > MAX_PREDICTED:
        raise ExampleError("bad-prediction", f"{len(predicted)} classes predicted; at most {MAX_PREDICTED}")
    for name, p in predicted.items():
        if not 0.0 <= p <= 1.0:
            raise ExampleError("bad-prediction", f"probability of {name!r} is {p}")


def check_label(example: ExampleView, labels: Collection[str]) -> None:
    """Check that the label is one of the model's.

    Raises
    ------
    ExampleError
        bad-label
    """
    label = example.get("label", "")
    if label not in labels:
        raise ExampleError("bad-label", f"{example['model']} has no label {label!r}; it has {', '.join(labels)}")


def check_reward(example: ExampleView) -> None:
    """Check that the reward is in [0, 1] and what was predicted is finite.

    Raises
    ------
    ExampleError
        bad-reward or bad-prediction
    """
    reward = example.get("reward", 0.0)
    if not 0.0 <= reward <= 1.0:
        raise ExampleError("bad-reward", f"reward {reward}; it lies in [0, 1]")
    for name, value in example["predicted"].items():
        if not math.isfinite(value):
            raise ExampleError("bad-prediction", f"predicted {name!r} is {value}")
