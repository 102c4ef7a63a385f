"""Scorers: plain numbers taken out of River's models once, so that scoring a customer costs microseconds.

Scaler and linear model are folded into one weight per feature and an intercept, and churn and intent into one
matrix: one product scores both.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from models.base import Posterior, Scores, Vector
from models.priors import INPUTS, PRIOR_INTENTS, PRIOR_MEAN, PRIOR_P_CHURN, context_of
from models.snapshot import SnapshotError
from schemas.features import FEATURE_NAMES, INTENTS

Array = npt.NDArray[np.float64]

_WIDTH = len(FEATURE_NAMES)
# Beyond these River answers 0 and 1 (river.utils.math.sigmoid); so do we.
_SATURATED = 30.0


@dataclass(frozen=True, slots=True)
class LinearScorer:
    """One row of weights and an intercept per class: a linear model with its scaler folded in.

    Parameters
    ----------
    weights : shape (classes, features)
    intercepts : shape (classes,)
    """

    weights: Array
    intercepts: Array


@dataclass(frozen=True, slots=True)
class Arms:
    """Every arm's posterior over the weights, stacked.

    Parameters
    ----------
    rows : arm to its row
    means : shape (arms, 8)
    covariances : shape (arms, 8, 8)
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    means: Array = field(default_factory=lambda: np.zeros((0, len(INPUTS))))
    covariances: Array = field(default_factory=lambda: np.zeros((0, len(INPUTS), len(INPUTS))))


def _prior_linear() -> dict[str, LinearScorer]:
    """Return scorers that answer the priors whatever the features."""
    logit = math.log(PRIOR_P_CHURN / (1.0 - PRIOR_P_CHURN))
    logs = np.array([math.log(PRIOR_INTENTS[intent]) for intent in INTENTS])
    return {
        "churn": LinearScorer(np.zeros((1, _WIDTH)), np.array([logit])),
        "intent": LinearScorer(np.zeros((len(INTENTS), _WIDTH)), logs),
    }


@dataclass(frozen=True, slots=True)
class ScorerSet:
    """All models' scorers at one moment; never changed, only replaced whole.

    Parameters
    ----------
    versions : model to the version loaded; 0, the documented prior, before any
    linear : churn and intent
    arms : the bandit's

    Examples
    --------
    >>> scorers = ScorerSet()
    >>> round(scorers.churn([0.0] * 34), 6), scorers.versions["churn"]
    (0.2, 0)
    """

    versions: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType({"churn": 0, "intent": 0, "propensity": 0})
    )
    linear: Mapping[str, LinearScorer] = field(default_factory=_prior_linear)
    arms: Arms = field(default_factory=Arms)
    # Rows: churn, then the intents. Derived from ``linear``.
    _weights: Array = field(init=False, repr=False)
    _intercepts: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        parts = (self.linear["churn"], self.linear["intent"])
        object.__setattr__(self, "_weights", np.ascontiguousarray(np.concatenate([part.weights for part in parts])))
        object.__setattr__(self, "_intercepts", np.concatenate([part.intercepts for part in parts]))

    def churn(self, vector: Vector) -> float:
        """Return p_churn in [0, 1]; ``vector`` is in the order of the feature set, unscaled."""
        return _sigmoid(float(self._weights[0].dot(vector)) + float(self._intercepts[0]))

    def intent(self, vector: Vector) -> dict[str, float]:
        """Return the probability of each intent; they sum to 1."""
        return self.score(vector).intent

    def score(self, vector: Vector) -> Scores:
        """Return churn and intent together, in one matrix product."""
        # ndarray.dot takes half the time of the @ operator on so few numbers.
        churn, *intents = (self._weights.dot(np.array(vector, np.float64)) + self._intercepts).tolist()
        return Scores(_sigmoid(churn), _softmax(intents))

    def score_many(self, vectors: Sequence[Vector]) -> list[Scores]:
        """Return churn and intent of several vectors; equal to ``score`` of each."""
        if not vectors:
            return []
        rows = (np.asarray(vectors, np.float64) @ self._weights.T + self._intercepts).tolist()
        return [Scores(_sigmoid(row[0]), _softmax(row[1:])) for row in rows]

    def arm(self, arm: str, vector: Vector) -> Posterior:
        """Return what is believed of an arm's mean reward for this customer; the prior for an arm never tried."""
        context = np.array(context_of(vector))
        row = self.arms.rows.get(arm)
        if row is None:
            return _prior_at(context)
        return _posterior(self.arms.means[row].dot(context), self.arms.covariances[row].dot(context).dot(context))

    def arms_at(self, names: Sequence[str], vector: Vector) -> list[Posterior]:
        """Return the posteriors of several arms for one customer: ``arm`` of each, in two products for all."""
        context = np.array(context_of(vector))
        prior = _prior_at(context)
        rows = [self.arms.rows.get(name, -1) for name in names]
        if max(rows, default=-1) < 0:
            return [prior] * len(rows)
        means = self.arms.means.dot(context).tolist()
        spreads = self.arms.covariances.dot(context).dot(context).tolist()
        return [prior if row < 0 else _posterior(means[row], spreads[row]) for row in rows]

    def with_linear(self, name: str, version: int, scorer: LinearScorer) -> "ScorerSet":
        """Return a set in which one linear model is another."""
        return replace(self, versions=self._bumped(name, version), linear={**self.linear, name: scorer})

    def with_arms(self, name: str, version: int, arms: Arms) -> "ScorerSet":
        """Return a set with the bandit's arms replaced."""
        return replace(self, versions=self._bumped(name, version), arms=arms)

    def _bumped(self, name: str, version: int) -> Mapping[str, int]:
        return MappingProxyType({**self.versions, name: version})


def require_finite(name: str, *arrays: Array) -> None:
    """Refuse numbers that would poison every score.

    Raises
    ------
    SnapshotError
        bad-model
    """
    if not all(np.isfinite(array).all() for array in arrays):
        raise SnapshotError("bad-model", f"{name!r} has weights that are not finite")


def _prior_at(context: Array) -> Posterior:
    return Posterior(PRIOR_MEAN, math.sqrt(float(context.dot(context))))


def _posterior(mean: float, variance: float) -> Posterior:
    return Posterior(PRIOR_MEAN + float(mean), math.sqrt(max(float(variance), 0.0)))


def _sigmoid(logit: float) -> float:
    if logit < -_SATURATED:
        return 0.0
    if logit > _SATURATED:
        return 1.0
    return 1.0 / (1.0 + exp(-logit))


def _softmax(logits: Sequence[float]) -> dict[str, float]:
    largest = max(logits)
    if not -_SATURATED < largest < _SATURATED:  # keep exp within range; rare, so the usual case goes without
        logits = [logit - largest for logit in logits]
    exps = list(map(exp, logits))
    total: float = sum(exps, 0.0)
    # x / total for each x, without a Python frame per class: half the time of a comprehension.
    return dict(zip(INTENTS, map(total.__rtruediv__, exps), strict=True))
