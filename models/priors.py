"""What is believed before anything was learned, and the inputs of an arm: shared by learners and scorers.

Kept apart from the learners because those import River, and with it SciPy, pandas and scikit-learn: seconds of CPU
that a worker without a learner does not pay.
"""

from collections.abc import Sequence

from schemas.features import INDEX

# Before any snapshot: a fifth. It decides nothing, since nothing is ranked by a score of version 0 alone.
PRIOR_P_CHURN = 0.2

# Before any snapshot: most signals are followed by another look or by nothing.
PRIOR_INTENTS: dict[str, float] = {"browse": 0.5, "buy": 0.1, "return": 0.02, "complain": 0.03, "leave": 0.35}

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

_POSITIONS = tuple((INDEX[name], PRIOR_WEIGHT_SD / scale) for name, scale in CONTEXT)
_LIMIT = MAX_CONTEXT * PRIOR_WEIGHT_SD
# Names of the regression's inputs, in the order of ``context_of``.
INPUTS: tuple[str, ...] = ("bias", *(name for name, _ in CONTEXT))


def context_of(vector: Sequence[float]) -> list[float]:
    """Return an arm's inputs: bias and context, in units of the prior's deviation, shape (8,).

    In these units the prior over the weights is a unit normal, which is the one River's regression starts from.
    """
    return [PRIOR_BIAS_SD, *(min(max(vector[at] * scale, -_LIMIT), _LIMIT) for at, scale in _POSITIONS)]
