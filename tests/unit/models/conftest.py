"""Examples to learn from."""

import random
from collections.abc import Callable

import pytest

from schemas.features import FEATURE_NAMES, FEATURE_SET
from schemas.views import ExampleView

MakeExample = Callable[..., ExampleView]


@pytest.fixture
def make_example() -> MakeExample:
    """Return a maker of examples; the features are drawn unless given."""
    draw = random.Random(7)

    def make(model: str, **fields: object) -> ExampleView:
        example: dict[str, object] = {
            "id": "e",
            "model": model,
            "arm": "",
            "feature_set": FEATURE_SET,
            "features": [draw.gauss(1.0, 1.0) for _ in FEATURE_NAMES],
            "label": "",
            "reward": 0.0,
            "propensity": 1.0,
            "predicted": {},
            "predicted_version": 0,
            "scored_at_ms": 0,
            "labelled_at_ms": 1,
        }
        return example | fields  # type: ignore[return-value]  # a typed dict built from keywords

    return make
