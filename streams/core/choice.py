"""The choice among alternatives whose worth is uncertain: Thompson sampling with exact propensities.

Thompson sampling draws a score for every alternative from what is believed of it and takes the best: an alternative
is chosen with the probability that it *is* the best. Here these probabilities are computed, by integration over
independent Gaussians with *hold* (score 0, certain) competing, mixed with a floor, and the choice is then one draw
from them. In distribution that is the same policy. It has two advantages: the logged propensity is the probability
with which the choice was made, exactly and whatever the integration's error, so that off-policy estimates are
unbiased; and one number, the draw, replays the choice.

References
----------
Thompson 1933, Biometrika 25, "On the likelihood that one unknown probability exceeds another"
Agrawal and Goyal 2013, "Thompson sampling for contextual bandits with linear payoffs", ICML
"""

from collections.abc import Sequence
from itertools import accumulate
from math import erfc, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr  # type: ignore[import-untyped]  # no stubs; the CDF of the standard normal

# Points of each alternative's own scale at which all are compared, in standard deviations; denser where its mass
# lies, fewer where many alternatives bring theirs. With these the probabilities differed from the exact integral by
# at most 0.004 in 2,000 random fields of 1 to 12.
_NODES = np.array([-4.5, -3.0, -2.25, -1.65, -1.2, -0.8, -0.4, 0.0, 0.4, 0.8, 1.2, 1.65, 2.25, 3.0, 4.5])
_SPARSE_NODES = np.array([-4.0, -2.4, -1.5, -0.7, 0.0, 0.7, 1.5, 2.4, 4.0])
_SPARSE_FROM = 7

# Beliefs are never so sharp that equal alternatives could not be told apart: a thousandth of the largest mean.
_RELATIVE_SHARPNESS = 1e-3
_SHARPEST = 1e-9
# Keeps the division by one alternative's own probability finite; whatever is rarer has no weight.
_LEAST = 1e-150
SQRT_2 = sqrt(2.0)


class Probabilities(NamedTuple):
    """Probability of each alternative and of hold; together exactly what the draw is compared with."""

    each: list[float]
    hold: float


def probabilities(means: Sequence[float], deviations: Sequence[float], exploration: float) -> Probabilities:
    """Return the probability with which each alternative is chosen.

    Parameters
    ----------
    means, deviations : belief about each score, currency units; hold scores 0 for certain
    exploration : share of choices spread evenly over all alternatives and hold, in (0, 1)

    Returns
    -------
    Probabilities, each at least exploration / (k + 1); with hold they sum to 1

    Notes
    -----
    P(i best) is the integral over x > 0 of phi_i(x) times the product of the others' Phi_j(x). On the merged grid of
    all alternatives' nodes it is a sum over intervals of the exact mass of i there times the mean of the others'
    product at both ends; the sum is scaled to 1 - P(hold), which is exact. O(k^2), about 35 us for 10.
    """
    count = len(means)
    floor = exploration / (count + 1)
    if count == 0:
        return Probabilities([], 1.0)
    keep = 1.0 - exploration
    best, hold = _best(means, deviations)
    each = [keep * p + floor for p in best]
    return Probabilities(each, keep * hold + floor)


def _best(means: Sequence[float], deviations: Sequence[float]) -> tuple[list[float], float]:
    """Return the probability that each is the best and above 0, and that none is above 0."""
    sharpest = max(_SHARPEST, _RELATIVE_SHARPNESS * max(map(abs, means)))
    if len(means) == 1:
        above = 0.5 * erfc(-means[0] / max(deviations[0], sharpest) / SQRT_2)
        return [above], 1.0 - above
    middle = np.array(means)[:, None]
    spread = np.maximum(deviations, sharpest)[:, None]
    # Below 0 hold wins: those nodes collapse on 0, where the grid begins, and carry no mass.
    nodes = _NODES if len(means) < _SPARSE_FROM else _SPARSE_NODES
    grid = np.zeros(len(means) * nodes.size + 1)
    np.maximum((middle + spread * nodes).ravel(), 0.0, out=grid[1:])
    grid.sort()
    below: NDArray[np.float64] = np.maximum(ndtr((grid - middle) / spread), _LEAST)
    all_below = below.prod(axis=0)
    others = all_below / below
    mass = below[:, 1:] - below[:, :-1]
    mass[:, -1] += 1.0 - below[:, -1]  # what lies beyond the last node
    best = (mass * (others[:, 1:] + others[:, :-1])).sum(axis=1)
    hold = float(all_below[0])
    total = float(best.sum())
    if total <= 0.0:
        return [0.0] * len(means), 1.0
    return (best * ((1.0 - hold) / total)).tolist(), hold


def choose(each: Sequence[float], draw: float) -> int | None:
    """Return which alternative a draw chooses; None is hold.

    Parameters
    ----------
    each : probability of each alternative, in order; hold has what is left
    draw : in [0, 1)

    Examples
    --------
    >>> choose([0.5, 0.25], 0.3), choose([0.5, 0.25], 0.74), choose([0.5, 0.25], 0.75)
    (0, 1, None)
    """
    for index, upto in enumerate(accumulate(each)):
        if draw < upto:
            return index
    return None
