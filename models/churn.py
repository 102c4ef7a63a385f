"""Churn: the probability that the customer does nothing within the horizon. Online logistic regression on River."""

from collections.abc import Sequence

from river import linear_model, optim

from models.base import CHURNED, STAYED
from models.checks import check_features, check_label, check_probabilities
from models.metrics import BinaryMetrics
from models.plain import linear_bytes
from models.scaling import FlooredScaler, fold
from models.steps import SettlingStep
from schemas.features import FEATURE_NAMES, FEATURE_SET, INDEX
from schemas.views import ExampleView

# Ridge: keeps weights of features that say nothing near zero, costs nothing measurable on those that do.
L2 = 1e-4


class ChurnLearner:
    """Learns churn; label 1 is churned, 0 stayed.

    Notes
    -----
    The trivial rule beside it in the metrics (``rule_auc``): the longer the mean gap between orders, the likelier
    churn; without two orders the time since the last signal stands in.
    """

    name = "churn"
    feature_set = FEATURE_SET

    def __init__(self) -> None:
        self.learned = 0
        self.scaler = FlooredScaler()
        self.model = linear_model.LogisticRegression(optim.SGD(SettlingStep()), l2=L2, intercept_lr=SettlingStep())
        self.measured = BinaryMetrics()

    def check(self, example: ExampleView) -> None:
        """Raise ExampleError when the example cannot be learned from."""
        check_features(example)
        check_label(example, (CHURNED, STAYED))
        check_probabilities(example)

    def learn_many(self, examples: Sequence[ExampleView]) -> None:
        """Measure, then learn, one by one in order."""
        for example in examples:
            churned = example.get("label") == CHURNED
            features = example["features"]
            if example["predicted_version"] > 0 and CHURNED in example["predicted"]:
                self.measured.add(example["predicted"][CHURNED], float(churned), rule_of(features))
            x = dict(zip(FEATURE_NAMES, features, strict=True))
            self.scaler.learn_one(x)
            self.model.learn_one(self.scaler.transform_one(x), churned)
            self.learned += 1

    def predict(self, features: Sequence[float]) -> float:
        """Return River's own p_churn: the reference for the scorer, and for offline evaluation."""
        x = dict(zip(FEATURE_NAMES, features, strict=True))
        p: float = self.model.predict_proba_one(self.scaler.transform_one(x))[True]
        return p

    def snapshot_bytes(self) -> bytes:
        """Return the model with its scaler folded in, as plain numbers."""
        weights, intercept = fold(self.scaler, self.model.weights, self.model.intercept, FEATURE_NAMES)
        return linear_bytes((CHURNED,), [weights], [intercept])

    def metrics(self) -> dict[str, float]:
        """Return the prequential metrics."""
        return {"n": float(self.learned), **self.measured.values()}


def rule_of(features: Sequence[float]) -> float:
    """Return the trivial rule's score in [0, 1): the mean gap, or the idle time of whom has none."""
    gap = features[INDEX["mean_gap_days"]] or features[INDEX["idle_days"]]
    return max(gap, 0.0) / (1.0 + max(gap, 0.0))
