"""Scaling that a rare feature cannot blow up, and its fold into a linear model's weights."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from river import preprocessing

# 0.05: the features are logarithms, ratios and flags, so a deviation below this is a feature that has hardly
# varied yet. Without the floor the first order after 10,000 visits would be 100 deviations away and wreck the weights.
MIN_SD = 0.05


class FlooredScaler(preprocessing.StandardScaler):  # type: ignore[misc]  # River has no type stubs
    """River's running standard scaler, with a deviation of at least ``MIN_SD``."""

    def transform_one(self, x: Mapping[str, float]) -> dict[str, float]:
        """Return the features with zero mean and at most unit deviation."""
        means, variances = self.means, self.vars
        return {name: (value - means[name]) / max(variances[name] ** 0.5, MIN_SD) for name, value in x.items()}


def fold(
    scaler: FlooredScaler, weights: Mapping[str, float], intercept: float, names: Sequence[str]
) -> tuple[npt.NDArray[np.float64], float]:
    """Fold a scaler into a linear model: what it says of scaled features, for features as they are.

    Parameters
    ----------
    weights : of the scaled features; a name left out weighs 0
    names : order of the result

    Returns
    -------
    weights of the unscaled features, shape (len(names),), and the intercept
    """
    folded = np.array([weights.get(name, 0.0) / max(scaler.vars.get(name, 0.0) ** 0.5, MIN_SD) for name in names])
    means = np.array([scaler.means.get(name, 0.0) for name in names])
    return folded, float(intercept - folded @ means)
