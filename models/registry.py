"""The table of models.

Adding one: a learner class that satisfies ``base.Learner``, a function that puts its snapshot into a scorer set, a row.

A learner's module is imported when the first learner is made: River brings SciPy, pandas and scikit-learn, which cost
seconds of CPU, and a worker that only scores needs none of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from models.base import CHURNED, Learner
from models.plain import arms_of, linear_of
from models.scorers import Arms, LinearScorer, ScorerSet, require_finite
from models.snapshot import SnapshotError, unseal
from schemas.features import FEATURE_NAMES, INTENTS
from schemas.views import SnapshotView

# Takes the set in use, the version and what the snapshot held; returns the set to use from now on.
Install = Callable[[ScorerSet, int, Any], ScorerSet]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model.

    Parameters
    ----------
    name : in examples, snapshots, metrics
    learner : makes one that has learned nothing
    install : puts its snapshot into a scorer set
    doc : what it answers
    """

    name: str
    learner: Callable[[], Learner]
    install: Install
    doc: str


def _churn() -> Learner:
    from models.churn import ChurnLearner  # noqa: PLC0415 - imports River

    return ChurnLearner()


def _intent() -> Learner:
    from models.intent import IntentLearner  # noqa: PLC0415 - imports River

    return IntentLearner()


def _propensity() -> Learner:
    from models.propensity import PropensityLearner  # noqa: PLC0415 - imports River

    return PropensityLearner()


def _install_churn(scorers: ScorerSet, version: int, loaded: Any) -> ScorerSet:
    scorer = LinearScorer(*linear_of(loaded, (CHURNED,), len(FEATURE_NAMES)))
    require_finite("churn", scorer.weights, scorer.intercepts)
    return scorers.with_linear("churn", version, scorer)


def _install_intent(scorers: ScorerSet, version: int, loaded: Any) -> ScorerSet:
    scorer = LinearScorer(*linear_of(loaded, INTENTS, len(FEATURE_NAMES)))
    require_finite("intent", scorer.weights, scorer.intercepts)
    return scorers.with_linear("intent", version, scorer)


def _install_propensity(scorers: ScorerSet, version: int, loaded: Any) -> ScorerSet:
    names, means, covariances = arms_of(loaded)
    arms = Arms({name: row for row, name in enumerate(names)}, means, covariances)
    require_finite("propensity", arms.means, arms.covariances)
    return scorers.with_arms("propensity", version, arms)


MODELS: Mapping[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec("churn", _churn, _install_churn, "Will the customer do nothing within the horizon?"),
        ModelSpec("intent", _intent, _install_intent, "What will the customer do next?"),
        ModelSpec("propensity", _propensity, _install_propensity, "What reward will this action earn now?"),
    )
}


def preload() -> None:
    """Import what learners are made of, ahead of the first example: seconds of CPU, best spent in a thread."""
    for spec in MODELS.values():
        spec.learner()


def load(scorers: ScorerSet, view: SnapshotView, key: bytes) -> ScorerSet:
    """Return the scorer set with a snapshot put in; the given set is left as it is.

    Raises
    ------
    SnapshotError
        when the snapshot is not to be loaded: see ``models.snapshot``
    """
    spec = MODELS.get(view["model"])
    if spec is None:
        raise SnapshotError("unknown-model", f"no model is called {view['model']!r}; there are {', '.join(MODELS)}")
    loaded = unseal(view, key, newer_than=scorers.versions.get(spec.name, 0))
    try:
        return spec.install(scorers, view["version"], loaded)
    except SnapshotError:
        raise
    except Exception as exc:
        reason = f"{type(exc).__name__}: {exc}"
        raise SnapshotError("bad-model", f"{spec.name!r} version {view['version']}: {reason}") from exc
