"""Propensity: the reward that an action's treatment earns from this customer now. A contextual bandit on River.

One Bayesian linear regression per arm "action/treatment" on a few context features. Thompson sampling draws a mean
reward from each arm's posterior and takes the largest: what is uncertain is tried on purpose, and less and less.

References
----------
Agrawal and Goyal, Thompson Sampling for Contextual Bandits with Linear Payoffs, ICML 2013.
Bishop, Pattern Recognition and Machine Learning, 2006, section 3.3.
"""

from collections.abc import Sequence

import numpy as np
from river import linear_model

from models.base import REWARD, ExampleError
from models.checks import check_features, check_reward
from models.metrics import BinaryMetrics
from models.plain import arms_bytes
from models.priors import INPUTS, PRIOR_MEAN, context_of
from schemas.features import FEATURE_SET
from schemas.views import ExampleView

# Deviation of a reward around its mean: that of a yes or no with probability 0.15.
NOISE_SD = 0.35

# Arms kept: ten actions with twenty treatments each. The one that learned longest ago goes; it starts from the prior
# again should it come back. Bounds a learner's state at 350 kB.
MAX_ARMS = 200
# Two names of the catalogue, 60 characters each, and what stands between them.
MAX_ARM_LENGTH = 128


class PropensityLearner:
    """Learns every arm's mean reward by context."""

    name = "propensity"
    feature_set = FEATURE_SET

    def __init__(self) -> None:
        self.learned = 0
        # Least recently learned first.
        self.arms: dict[str, linear_model.BayesianLinearRegression] = {}
        self.measured = BinaryMetrics()

    def check(self, example: ExampleView) -> None:
        """Raise ExampleError when the example cannot be learned from."""
        check_features(example)
        check_reward(example)
        arm = example.get("arm", "")
        if not 0 < len(arm) <= MAX_ARM_LENGTH:
            raise ExampleError("bad-arm", f"an arm's name has 1 to {MAX_ARM_LENGTH} characters, this one {len(arm)}")

    def learn_many(self, examples: Sequence[ExampleView]) -> None:
        """Measure, then learn, one by one in order."""
        for example in examples:
            reward = example.get("reward", 0.0)
            if example["predicted_version"] > 0 and REWARD in example["predicted"]:
                self.measured.add(min(max(example["predicted"][REWARD], 0.0), 1.0), reward)
            inputs = dict(zip(INPUTS, context_of(example["features"]), strict=True))
            self._arm(example["arm"]).learn_one(inputs, reward - PRIOR_MEAN)
            self.learned += 1

    def _arm(self, name: str) -> linear_model.BayesianLinearRegression:
        """Return an arm's regression, as the most recently learned one."""
        arm = self.arms.pop(name, None)
        if arm is None:
            if len(self.arms) >= MAX_ARMS:
                del self.arms[next(iter(self.arms))]
            arm = linear_model.BayesianLinearRegression(alpha=1.0, beta=1.0 / NOISE_SD**2)
        self.arms[name] = arm
        return arm

    def snapshot_bytes(self) -> bytes:
        """Return every arm's posterior, as plain numbers.

        Notes
        -----
        From the precision, which River adds up exactly, rather than from the covariance that it updates step by step.
        """
        means, covariances = [], []
        for model in self.arms.values():
            order = [model._idx[given] for given in INPUTS]  # noqa: SLF001 - River has no public posterior
            covariance = np.linalg.inv(model._ss_arr)[np.ix_(order, order)]  # noqa: SLF001
            covariances.append(covariance.tolist())
            means.append((covariance @ model._eta_arr[order]).tolist())  # noqa: SLF001
        return arms_bytes(list(self.arms), means, covariances)

    def metrics(self) -> dict[str, float]:
        """Return the prequential metrics; ``base_rate`` is the mean reward."""
        return {"n": float(self.learned), "arms": float(len(self.arms)), **self.measured.values()}
