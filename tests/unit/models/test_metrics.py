"""Fading metrics against exact ones."""

import math
import random

import pytest
from sklearn.metrics import log_loss, roc_auc_score

from models.metrics import MAX_WEIGHT, BinaryMetrics, ClassMetrics, Fading


def stream(count: int, seed: int = 1) -> list[tuple[float, float]]:
    draw = random.Random(seed)
    pairs = []
    for _ in range(count):
        p = draw.betavariate(1.0, 4.0)
        pairs.append((p, float(draw.random() < p)))
    return pairs


def test_auc_and_log_loss_equal_the_exact_ones() -> None:
    metrics = BinaryMetrics(half_life=1e12)  # nothing fades
    pairs = stream(4000)
    for p, y in pairs:
        metrics.add(p, y)
    said = metrics.values()
    ps, ys = [p for p, _ in pairs], [y for _, y in pairs]
    assert said["auc"] == pytest.approx(roc_auc_score(ys, ps), abs=0.003)
    assert said["log_loss"] == pytest.approx(log_loss(ys, ps), abs=1e-6)
    assert said["base_rate"] == pytest.approx(sum(ys) / len(ys))
    assert said["scored"] == 4000


def test_calibrated_scores_have_a_small_error_and_overconfident_ones_a_large_one() -> None:
    calibrated, overconfident = BinaryMetrics(), BinaryMetrics()
    for p, y in stream(4000):
        calibrated.add(p, y)
        overconfident.add(p**0.2, y)
    assert calibrated.values()["ece"] < 0.03
    assert overconfident.values()["ece"] > 0.3


def test_the_past_fades() -> None:
    """After many half-lives of good scores the bad ones of long ago are forgotten."""
    metrics = BinaryMetrics(half_life=100)
    for p, y in stream(1000):
        metrics.add(1.0 - p, y)
    assert metrics.values()["auc"] < 0.4
    for p, y in stream(2000, seed=2):
        metrics.add(p, y)
    assert metrics.values()["auc"] > 0.6


def test_weights_are_renormalised_without_a_trace() -> None:
    fast = BinaryMetrics(half_life=5)
    classes = ClassMetrics(("a", "b"), half_life=5)
    for p, y in stream(1000):
        fast.add(p, y)
        classes.add({"a": p, "b": 1.0 - p}, "a" if y else "b")
    last = stream(1000)[-400:]
    weights = [2.0 ** (i / 5) for i in range(len(last))]
    exact = -sum(w * math.log(p if y else 1.0 - p) for w, (p, y) in zip(weights, last, strict=True)) / sum(weights)
    assert fast.values()["log_loss"] == pytest.approx(exact, rel=1e-6)
    assert classes.values()["log_loss"] == pytest.approx(exact, rel=1e-6)
    assert fast.fading.weight < MAX_WEIGHT


def test_a_weight_overflows_before_it_loses_precision() -> None:
    fading = Fading(half_life=0.5)
    for _ in range(21):
        fading.next()
    assert fading.overflow() < 1e-12
    assert fading.weight == 1.0


def test_nothing_is_claimed_before_there_is_evidence() -> None:
    metrics = BinaryMetrics()
    assert metrics.values() == {"scored": 0.0}
    metrics.add(0.3, 1.0)
    assert "auc" not in metrics.values()


def test_a_certain_error_costs_a_finite_loss() -> None:
    metrics = BinaryMetrics()
    metrics.add(0.0, 1.0)
    assert metrics.values()["log_loss"] == pytest.approx(-math.log(1e-6))


def test_class_auc_is_the_weighted_mean_of_each_against_the_rest() -> None:
    draw = random.Random(9)
    metrics = ClassMetrics(("a", "b", "c"), half_life=1e12)
    rows, labels = [], []
    for _ in range(3000):
        raw = [draw.random() ** 2 for _ in range(3)]
        row = [value / sum(raw) for value in raw]
        label = draw.choices("abc", row)[0]
        metrics.add(dict(zip("abc", row, strict=True)), label)
        rows.append(row)
        labels.append(label)
    exact = roc_auc_score(labels, rows, multi_class="ovr", average="weighted")
    said = metrics.values()
    assert said["auc"] == pytest.approx(exact, abs=0.005)
    right = sum(
        max(range(3), key=row.__getitem__) == "abc".index(label) for row, label in zip(rows, labels, strict=True)
    )
    assert said["accuracy"] == pytest.approx(right / 3000, abs=1e-6)
