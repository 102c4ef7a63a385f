"""The table of models.

Adding one: a learner class that satisfies ``base.Learner``, a function that puts its snapshot into a scorer set, a row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from models.base import Learner
from models.churn import ChurnLearner
from models.intent import IntentLearner
from models.propensity import PropensityLearner
from models.scorers import ScorerSet, arms_of, linear_of_churn, linear_of_intent, require_finite
from models.snapshot import SnapshotError, unseal
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


def _install_churn(scorers: ScorerSet, version: int, loaded: Any) -> ScorerSet:
    scorer = linear_of_churn(loaded)
    require_finite("churn", scorer.weights, scorer.intercepts)
    return scorers.with_linear("churn", version, scorer)


def _install_intent(scorers: ScorerSet, version: int, loaded: Any) -> ScorerSet:
    scorer = linear_of_intent(loaded)
    require_finite("intent", scorer.weights, scorer.intercepts)
    return scorers.with_linear("intent", version, scorer)


def _install_propensity(scorers: ScorerSet, version: int, loaded: Any) -> ScorerSet:
    arms = arms_of(loaded)
    require_finite("propensity", arms.means, arms.covariances)
    return scorers.with_arms("propensity", version, arms)


MODELS: Mapping[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec("churn", ChurnLearner, _install_churn, "Will the customer do nothing within the horizon?"),
        ModelSpec("intent", IntentLearner, _install_intent, "What will the customer do next?"),
        ModelSpec("propensity", PropensityLearner, _install_propensity, "What reward will this action earn now?"),
    )
}


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
