"""Propensity: the reward that an action's treatment earns from this customer now. A contextual bandit on River.

One Bayesian linear regression per arm "action/treatment" on a few context features. Thompson sampling draws a mean
reward from each arm's posterior and takes the largest: what is uncertain is tried on purpose, and less and less.

References
----------
Agrawal and Goyal, Thompson Sampling for Contextual Bandits with Linear Payoffs, ICML 2013.
Bishop, Pattern Recognition and Machine Learning, 2006, section 3.3.
"""

import pickle
from collections.abc import Sequence

from river import linear_model

from models.base import REWARD, ExampleError
from models.checks import check_features, check_reward
from models.metrics import BinaryMetrics
from schemas.features import FEATURE_SET, INDEX
from schemas.views import ExampleView

# What an arm sees, and the value at which a feature counts as 1: seven and a bias make eight, which is the size that
# River allocates, and keeps an arm at 1.6 kB. Is the customer away, off rhythm, loyal, about to buy, cross, pestered,
# responsive?
CONTEXT: tuple[tuple[str, float], ...] = (
    ("idle_days", 3.0),
    ("gap_ratio", 3.0),
    ("orders", 3.0),
    ("cart_items", 2.0),
    ("mood", 1.0),
    ("contacts_7d", 2.0),
    ("responses_30d", 2.0),
)
# Scaled context is clipped here, so that no single customer has much leverage on an arm.
MAX_CONTEXT = 2.0

# An arm never tried: one contact in ten is answered, give or take two; a context feature may shift that by one in ten.
PRIOR_MEAN = 0.1
PRIOR_BIAS_SD = 0.2
PRIOR_WEIGHT_SD = 0.1
# Deviation of a reward around its mean: that of a yes or no with probability 0.15.
NOISE_SD = 0.35

# Arms kept: ten actions with twenty treatments each. The one that learned longest ago goes; it starts from the prior
# again should it come back. Bounds a learner's state at 350 kB.
MAX_ARMS = 200
# Two names of the catalogue, 60 characters each, and what stands between them.
MAX_ARM_LENGTH = 128

_POSITIONS = tuple((INDEX[name], PRIOR_WEIGHT_SD / scale) for name, scale in CONTEXT)
_LIMIT = MAX_CONTEXT * PRIOR_WEIGHT_SD
# Names of the regression's inputs, in the order in which River lays them out.
INPUTS: tuple[str, ...] = ("bias", *(name for name, _ in CONTEXT))


def context_of(vector: Sequence[float]) -> list[float]:
    """Return an arm's inputs: bias and context, in units of the prior's deviation, shape (8,).

    In these units the prior over the weights is a unit normal, which is the one River's regression starts from.
    """
    return [PRIOR_BIAS_SD, *(min(max(vector[at] * scale, -_LIMIT), _LIMIT) for at, scale in _POSITIONS)]


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
        """Return the arms, pickled."""
        return pickle.dumps(self.arms, protocol=5)

    def metrics(self) -> dict[str, float]:
        """Return the prequential metrics; ``base_rate`` is the mean reward."""
        return {"n": float(self.learned), "arms": float(len(self.arms)), **self.measured.values()}
