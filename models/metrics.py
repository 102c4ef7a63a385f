"""Prequential metrics: how good were the predictions that were really served, measured before learning from them.

Everything fades with a half-life counted in examples, so a metric tells of the present and drift shows; and
everything is a handful of counters, so a learner's state stays small.
"""

import math
from collections.abc import Mapping, Sequence

# 5,000 examples: the standard error of an AUC of 0.8 over so many is about 0.01; a day's traffic of a mid-size shop.
HALF_LIFE_EXAMPLES = 5_000.0
# 200 score bins: ties inside a bin move an AUC by at most a few thousandths (tested against the exact one).
AUC_BINS = 200
# 10 equal-width bins, as in Guo et al.
CALIBRATION_BINS = 10
# Probabilities are clipped so far from 0 and 1 in the log loss: one certain error costs 13.8, not infinity.
CLIP = 1e-6
# Weights grow by 1/decay per example instead of all counters shrinking; renormalised before they lose precision.
MAX_WEIGHT = 1e12


class Fading:
    """The weight of the next example, growing so that old ones count for less: half after ``half_life`` examples."""

    def __init__(self, half_life: float = HALF_LIFE_EXAMPLES) -> None:
        self.growth = 2.0 ** (1.0 / half_life)
        self.weight = 1.0

    def next(self) -> float:
        """Return the weight of this example."""
        self.weight *= self.growth
        return self.weight

    def overflow(self) -> float:
        """Return what to multiply every counter by: 1, or less when the weights have grown too large."""
        if self.weight < MAX_WEIGHT:
            return 1.0
        shrink = 1.0 / self.weight
        self.weight = 1.0
        return shrink


class RankBins:
    """AUC from weighted counts of positives and negatives per score bin; ties in a bin count half.

    Parameters
    ----------
    bins : equal-width bins of [0, 1]

    References
    ----------
    Fawcett, An introduction to ROC analysis, 2006, section 7.
    """

    def __init__(self, bins: int = AUC_BINS) -> None:
        self.positive = [0.0] * bins
        self.negative = [0.0] * bins

    def add(self, score: float, target: float, weight: float) -> None:
        """Count one score in [0, 1] with its target in [0, 1]; a fraction counts on both sides."""
        at = min(int(score * len(self.positive)), len(self.positive) - 1)
        self.positive[at] += weight * target
        self.negative[at] += weight * (1.0 - target)

    def scale(self, factor: float) -> None:
        """Multiply every count."""
        self.positive = [count * factor for count in self.positive]
        self.negative = [count * factor for count in self.negative]

    def auc(self) -> float | None:
        """Return the area under the ROC curve, or None before both classes were seen."""
        positives, negatives = sum(self.positive), sum(self.negative)
        if positives <= 0.0 or negatives <= 0.0:
            return None
        below = area = 0.0
        for positive, negative in zip(self.positive, self.negative, strict=True):
            area += positive * (below + negative / 2.0)
            below += negative
        return area / (positives * negatives)


class CalibrationBins:
    """Expected calibration error: how far confidence and frequency are apart, per bin, weighted.

    References
    ----------
    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.
    """

    def __init__(self) -> None:
        self.weight = [0.0] * CALIBRATION_BINS
        self.gap = [0.0] * CALIBRATION_BINS

    def add(self, p: float, target: float, weight: float) -> None:
        """Count one probability with its target."""
        at = min(int(p * CALIBRATION_BINS), CALIBRATION_BINS - 1)
        self.weight[at] += weight
        self.gap[at] += weight * (target - p)

    def scale(self, factor: float) -> None:
        """Multiply every count."""
        self.weight = [value * factor for value in self.weight]
        self.gap = [value * factor for value in self.gap]

    def ece(self) -> float | None:
        """Return the error in [0, 1], or None before any example."""
        total = sum(self.weight)
        return sum(abs(gap) for gap in self.gap) / total if total > 0.0 else None


class BinaryMetrics:
    """AUC, log loss, calibration and base rate of probabilities against targets in [0, 1].

    Parameters
    ----------
    half_life : examples after which one counts half

    Examples
    --------
    >>> metrics = BinaryMetrics()
    >>> for p, y in [(0.9, 1.0), (0.2, 0.0)]:
    ...     metrics.add(p, y)
    >>> metrics.values()["auc"]
    1.0
    """

    def __init__(self, half_life: float = HALF_LIFE_EXAMPLES) -> None:
        self.scored = 0
        self.fading = Fading(half_life)
        self.ranks = RankBins()
        self.calibration = CalibrationBins()
        self.rule = RankBins()
        self.weight = self.loss = self.targets = 0.0

    def add(self, p: float, target: float, rule: float | None = None) -> None:
        """Count a served probability with its target; ``rule`` in [0, 1] is what a trivial rule would have said."""
        weight = self.fading.next()
        clipped = min(max(p, CLIP), 1.0 - CLIP)
        self.scored += 1
        self.weight += weight
        self.targets += weight * target
        self.loss -= weight * (target * math.log(clipped) + (1.0 - target) * math.log(1.0 - clipped))
        self.ranks.add(p, target, weight)
        self.calibration.add(p, target, weight)
        if rule is not None:
            self.rule.add(rule, target, weight)
        shrink = self.fading.overflow()
        if shrink != 1.0:
            self._scale(shrink)

    def _scale(self, factor: float) -> None:
        self.weight *= factor
        self.targets *= factor
        self.loss *= factor
        self.calibration.scale(factor)
        for ranks in (self.ranks, self.rule):
            ranks.scale(factor)

    def values(self) -> dict[str, float]:
        """Return what can be said: scored, base_rate, log_loss, ece, auc and rule_auc."""
        said: dict[str, float | None] = {"scored": float(self.scored)}
        if self.weight > 0.0:
            said |= {"base_rate": self.targets / self.weight, "log_loss": self.loss / self.weight}
        said |= {"ece": self.calibration.ece(), "auc": self.ranks.auc(), "rule_auc": self.rule.auc()}
        return {name: value for name, value in said.items() if value is not None}


class ClassMetrics:
    """Metrics of a distribution over classes: AUC of each class against the rest, weighted by how often it came.

    Parameters
    ----------
    classes : in order
    half_life : examples after which one counts half
    """

    def __init__(self, classes: Sequence[str], half_life: float = HALF_LIFE_EXAMPLES) -> None:
        self.scored = 0
        self.fading = Fading(half_life)
        self.ranks = {name: RankBins(AUC_BINS // 2) for name in classes}
        self.calibration = CalibrationBins()
        self.weight = self.loss = self.right = 0.0

    def add(self, predicted: Mapping[str, float], label: str) -> None:
        """Count a served distribution with the class that came; a class left out had probability 0."""
        weight = self.fading.next()
        best = max(self.ranks, key=lambda name: predicted.get(name, 0.0))
        self.scored += 1
        self.weight += weight
        self.right += weight * (best == label)
        self.loss -= weight * math.log(max(predicted.get(label, 0.0), CLIP))
        self.calibration.add(predicted.get(best, 0.0), float(best == label), weight)
        for name, ranks in self.ranks.items():
            ranks.add(predicted.get(name, 0.0), float(name == label), weight)
        shrink = self.fading.overflow()
        if shrink != 1.0:
            self._scale(shrink)

    def _scale(self, factor: float) -> None:
        self.weight *= factor
        self.right *= factor
        self.loss *= factor
        self.calibration.scale(factor)
        for ranks in self.ranks.values():
            ranks.scale(factor)

    def values(self) -> dict[str, float]:
        """Return what can be said: scored, accuracy, log_loss, ece (of the likeliest class) and auc."""
        said = {"scored": float(self.scored)}
        if self.weight > 0.0:
            said |= {"accuracy": self.right / self.weight, "log_loss": self.loss / self.weight}
            said["ece"] = self.calibration.ece() or 0.0
        areas = [(auc, sum(ranks.positive)) for ranks in self.ranks.values() if (auc := ranks.auc()) is not None]
        if areas:
            said["auc"] = sum(auc * share for auc, share in areas) / sum(share for _, share in areas)
        return said
