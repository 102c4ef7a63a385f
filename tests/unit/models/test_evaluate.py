"""Exact metrics against scikit-learn's."""

import random

import pytest
from sklearn.metrics import log_loss, roc_auc_score

from models.evaluate import exact_auc, exact_log_loss


def test_they_equal_scikit_learn_s_with_ties_too() -> None:
    draw = random.Random(8)
    scores = [round(draw.random(), 2) for _ in range(2000)]  # many ties
    targets = [draw.random() < score for score in scores]
    assert exact_auc(scores, targets) == pytest.approx(roc_auc_score(targets, scores), abs=1e-12)
    inside = [min(max(score, 1e-6), 1 - 1e-6) for score in scores]
    assert exact_log_loss(scores, targets) == pytest.approx(log_loss(targets, inside), abs=1e-9)


def test_what_has_no_answer_is_an_error() -> None:
    with pytest.raises(ValueError, match="both classes"):
        exact_auc([0.1, 0.2], [True, True])
    with pytest.raises(ValueError, match="nothing"):
        exact_log_loss([], [])
