"""Intent: what the customer does next. Online softmax regression on River."""

from collections import defaultdict
from collections.abc import Sequence

from river import linear_model, optim

from models.checks import check_features, check_label, check_probabilities
from models.metrics import ClassMetrics
from models.plain import linear_bytes
from models.scaling import FlooredScaler, fold
from models.steps import SettlingStep
from schemas.features import FEATURE_NAMES, FEATURE_SET, INTENTS
from schemas.views import ExampleView

# River's softmax has no intercept of its own: a feature that is always 1.
BIAS = "bias"


class IntentLearner:
    """Learns the next intent; the label is one of ``schemas.features.INTENTS``."""

    name = "intent"
    feature_set = FEATURE_SET

    def __init__(self) -> None:
        self.learned = 0
        self.scaler = FlooredScaler()
        self.model = linear_model.SoftmaxRegression(optim.SGD(SettlingStep()))
        for intent in INTENTS:  # known from the start, so that a class not seen yet has a probability too
            self.model.weights[intent] = defaultdict(float)
        self.measured = ClassMetrics(INTENTS)

    def check(self, example: ExampleView) -> None:
        """Raise ExampleError when the example cannot be learned from."""
        check_features(example)
        check_label(example, INTENTS)
        check_probabilities(example)

    def learn_many(self, examples: Sequence[ExampleView]) -> None:
        """Measure, then learn, one by one in order."""
        for example in examples:
            label = example["label"]
            if example["predicted_version"] > 0 and example["predicted"]:
                self.measured.add(example["predicted"], label)
            x = dict(zip(FEATURE_NAMES, example["features"], strict=True))
            self.scaler.learn_one(x)
            self.model.learn_one({**self.scaler.transform_one(x), BIAS: 1.0}, label)
            self.learned += 1

    def predict(self, features: Sequence[float]) -> dict[str, float]:
        """Return River's own distribution over the intents."""
        x = dict(zip(FEATURE_NAMES, features, strict=True))
        predicted: dict[str, float] = self.model.predict_proba_one({**self.scaler.transform_one(x), BIAS: 1.0})
        return predicted

    def snapshot_bytes(self) -> bytes:
        """Return the model with its scaler folded in, as plain numbers."""
        each = [self.model.weights[intent] for intent in INTENTS]
        rows = [fold(self.scaler, weights, weights.get(BIAS, 0.0), FEATURE_NAMES) for weights in each]
        return linear_bytes(INTENTS, [weights for weights, _ in rows], [intercept for _, intercept in rows])

    def metrics(self) -> dict[str, float]:
        """Return the prequential metrics."""
        return {"n": float(self.learned), **self.measured.values()}
