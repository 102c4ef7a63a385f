"""What a learner is, and what a scorer is: the two halves of a model.

A learner owns a model: it alone learns, on one partition. Scorers are made of its snapshots, in every worker; they
are immutable and scoring never waits for learning.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from schemas.views import ExampleView

# Keys of ``ExampleView.predicted``: the class of churn; the mean of a bandit's arm. Intent uses its class names.
CHURNED = "1"
STAYED = "0"
REWARD = "p"

Vector = Sequence[float]


class ExampleError(ValueError):
    """An example that nothing can be learned from; ``code`` is stable, the message says what is wrong."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Posterior(NamedTuple):
    """What is believed of an arm's mean reward: a normal distribution."""

    mean: float
    sd: float


class Scores(NamedTuple):
    """One customer's scores: p_churn in [0, 1]; probability per intent, summing to 1."""

    p_churn: float
    intent: dict[str, float]


@runtime_checkable
class Learner(Protocol):
    """Learns one model from examples, in order, and keeps its prequential metrics."""

    name: str
    feature_set: str
    learned: int

    def check(self, example: ExampleView) -> None:
        """Raise ExampleError when the example cannot be learned from; learns nothing."""
        ...

    def learn_many(self, examples: Sequence[ExampleView]) -> None:
        """Measure the predictions that came with the examples, then learn them, in order; all were checked."""
        ...

    def snapshot_bytes(self) -> bytes:
        """Return what a scorer needs, as plain numbers: to be sealed before it leaves the process."""
        ...

    def metrics(self) -> Mapping[str, float]:
        """Return the prequential metrics: n, auc, log_loss, ece, and the model's own."""
        ...
