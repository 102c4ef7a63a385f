"""Exact metrics of a finished stream, for reports; live ones fade (``models.metrics``)."""

import math
from collections.abc import Sequence

from models.metrics import CLIP


def exact_auc(scores: Sequence[float], targets: Sequence[bool]) -> float:
    """Return the area under the ROC curve; ties count half.

    Raises
    ------
    ValueError
        when one class is missing: then there is no such area

    References
    ----------
    Mann and Whitney, 1947: the share of pairs in which the positive scores higher.

    Examples
    --------
    >>> exact_auc([0.1, 0.4, 0.35, 0.8], [False, False, True, True])
    0.75
    """
    order = sorted(range(len(scores)), key=scores.__getitem__)
    positives = sum(map(bool, targets))
    negatives = len(targets) - positives
    if not positives or not negatives:
        raise ValueError(f"AUC needs both classes; there are {positives} positives and {negatives} negatives")
    ranks = 0.0
    first = 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and scores[order[last + 1]] == scores[order[first]]:
            last += 1
        mean_rank = (first + last) / 2.0 + 1.0
        ranks += mean_rank * sum(bool(targets[at]) for at in order[first : last + 1])
        first = last + 1
    return (ranks - positives * (positives + 1) / 2.0) / (positives * negatives)


def exact_log_loss(scores: Sequence[float], targets: Sequence[bool]) -> float:
    """Return the mean log loss of probabilities, clipped as the live one.

    Raises
    ------
    ValueError
        when there are none
    """
    if not scores:
        raise ValueError("log loss of nothing")
    clipped = (min(max(p, CLIP), 1.0 - CLIP) for p in scores)
    return -sum(math.log(p if y else 1.0 - p) for p, y in zip(clipped, targets, strict=True)) / len(scores)
