"""Learners learn what is there to learn, and scorers say exactly what River says."""

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.base import ExampleError, Learner
from models.churn import ChurnLearner
from models.intent import IntentLearner
from models.priors import INPUTS, PRIOR_INTENTS, PRIOR_MEAN, PRIOR_P_CHURN, context_of
from models.propensity import MAX_ARM_LENGTH, MAX_ARMS, NOISE_SD, PropensityLearner
from models.registry import MODELS, load
from models.scorers import ScorerSet
from models.snapshot import seal
from schemas.features import FEATURE_NAMES, FEATURE_SET, FEATURES, INDEX, INTENTS
from schemas.views import ExampleView

MakeExample = Callable[..., ExampleView]

KEY = bytes(range(32))
ZEROS = [0.0] * len(FEATURES)


def installed(learner: Learner, scorers: ScorerSet | None = None, version: int = 1) -> ScorerSet:
    view = seal(
        KEY,
        model=learner.name,
        version=version,
        learned=learner.learned,
        position=0,
        metrics={},
        created_at_ms=0,
        model_bytes=learner.snapshot_bytes(),
    )
    return load(scorers or ScorerSet(), view, KEY)


def vectors(count: int, seed: int = 3) -> list[list[float]]:
    draw = random.Random(seed)
    return [[draw.gauss(0.5, 2.0) for _ in FEATURE_NAMES] for _ in range(count)]


def test_before_any_snapshot_the_priors_are_served_as_version_0() -> None:
    scorers = ScorerSet()
    assert scorers.churn(ZEROS) == pytest.approx(PRIOR_P_CHURN)
    assert scorers.intent(ZEROS) == pytest.approx(PRIOR_INTENTS)
    assert scorers.arm("save/mail", ZEROS).mean == PRIOR_MEAN
    assert scorers.versions == {"churn": 0, "intent": 0, "propensity": 0}


def test_priors_of_intent_are_a_distribution_over_the_intents() -> None:
    assert tuple(PRIOR_INTENTS) == INTENTS
    assert sum(PRIOR_INTENTS.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("count", [0, 1, 2, 700])
def test_churn_scorer_equals_river(make_example: MakeExample, count: int) -> None:
    learner = ChurnLearner()
    learner.learn_many([make_example("churn", label="01"[i % 3 == 0]) for i in range(count)])
    scorers = installed(learner)
    for vector in vectors(200):
        assert scorers.churn(vector) == pytest.approx(learner.predict(vector), abs=1e-9)


@pytest.mark.parametrize("count", [0, 1, 700])
def test_intent_scorer_equals_river(make_example: MakeExample, count: int) -> None:
    learner = IntentLearner()
    learner.learn_many([make_example("intent", label=INTENTS[i % 4]) for i in range(count)])
    scorers = installed(learner)
    for vector in vectors(200):
        assert scorers.intent(vector) == pytest.approx(learner.predict(vector), abs=1e-9)
        assert sum(scorers.intent(vector).values()) == pytest.approx(1.0)


def test_a_feature_that_never_varied_cannot_wreck_the_scores(make_example: MakeExample) -> None:
    """The first order after many visits is not a hundred deviations away."""
    learner = ChurnLearner()
    learner.learn_many([make_example("churn", label="01"[i % 2], features=ZEROS) for i in range(2000)])
    odd = list(ZEROS)
    odd[INDEX["is_order"]] = 1.0
    learner.learn_many([make_example("churn", label="1", features=odd)])
    assert abs(installed(learner).churn(odd) - installed(learner).churn(ZEROS)) < 0.9
    assert math.isfinite(learner.model.intercept)


def test_scoring_many_equals_scoring_each(make_example: MakeExample) -> None:
    churn, intent = ChurnLearner(), IntentLearner()
    churn.learn_many([make_example("churn", label="01"[i % 2]) for i in range(100)])
    intent.learn_many([make_example("intent", label=INTENTS[i % 5]) for i in range(100)])
    scorers = installed(intent, installed(churn))
    given = vectors(50)
    for one, many in zip([scorers.score(v) for v in given], scorers.score_many(given), strict=True):
        assert many.p_churn == pytest.approx(one.p_churn, abs=1e-12)
        assert many.intent == pytest.approx(one.intent, abs=1e-12)
    assert [s.p_churn for s in scorers.score_many(given)] == pytest.approx([scorers.churn(v) for v in given])
    assert scorers.score_many([]) == []


def test_extreme_logits_are_still_a_distribution(make_example: MakeExample) -> None:
    learner = IntentLearner()
    learner.learn_many([make_example("intent", label=INTENTS[i % 5]) for i in range(100)])
    scorers = installed(learner)
    for scale in (1e3, -1e3, 1e6):
        vector = [scale * value for value in vectors(1)[0]]
        assert scorers.intent(vector) == pytest.approx(learner.predict(vector), abs=1e-9)
        assert sum(scorers.intent(vector).values()) == pytest.approx(1.0)


def test_a_new_snapshot_leaves_the_old_set_as_it_was(make_example: MakeExample) -> None:
    learner = ChurnLearner()
    learner.learn_many([make_example("churn", label="1") for _ in range(50)])
    old = ScorerSet()
    new = installed(learner, old)
    assert old.churn(ZEROS) == pytest.approx(PRIOR_P_CHURN)
    assert new.churn(ZEROS) > old.churn(ZEROS)
    assert (old.versions["churn"], new.versions["churn"], new.versions["intent"]) == (0, 1, 0)


def test_churn_learns_a_truth_it_does_not_know(make_example: MakeExample) -> None:
    """On a synthetic stream the prequential AUC climbs to nearly what the truth itself would score."""
    draw = random.Random(11)
    learner = ChurnLearner()
    served: list[float] = []
    truth: list[float] = []
    labels: list[int] = []
    for vector in vectors(6000, seed=5):
        p = 1.0 / (1.0 + math.exp(-(1.2 * vector[0] - 0.8 * vector[6] + 0.5 * vector[20] - 1.0)))
        label = int(draw.random() < p)
        served.append(learner.predict(vector))
        truth.append(p)
        labels.append(label)
        predicted = {"1": served[-1]}
        learner.learn_many(
            [make_example("churn", features=vector, label=str(label), predicted=predicted, predicted_version=1)]
        )
    early = roc_auc_score(labels[:100], served[:100])
    late = roc_auc_score(labels[3000:], served[3000:])
    best = roc_auc_score(labels[3000:], truth[3000:])
    assert late > early + 0.05
    assert late > best - 0.01
    assert learner.metrics()["auc"] == pytest.approx(late, abs=0.02)


def test_intent_learns_a_truth_it_does_not_know(make_example: MakeExample) -> None:
    learner = IntentLearner()
    examples = []
    for vector in vectors(3000, seed=6):
        likeliest = max(range(5), key=lambda at, seen=vector: seen[at])  # type: ignore[misc]  # mypy: default in lambda
        examples.append(make_example("intent", features=vector, label=INTENTS[likeliest]))
    learner.learn_many(examples[:2500])
    scorers = installed(learner)
    right = 0
    for example in examples[2500:]:
        distribution = scorers.intent(example["features"])
        right += max(distribution, key=distribution.__getitem__) == example["label"]
    assert right / 500 > 0.8  # guessing: 0.2


def test_an_arm_s_posterior_equals_river_s(make_example: MakeExample) -> None:
    learner = PropensityLearner()
    draw = random.Random(2)
    learner.learn_many([make_example("propensity", arm=f"a/{i % 3}", reward=draw.random()) for i in range(900)])
    scorers = installed(learner)
    for vector in vectors(50):
        for name, arm in learner.arms.items():
            said = arm.predict_one(dict(zip(INPUTS, context_of(vector), strict=True)), with_dist=True)
            mean, sd = scorers.arm(name, vector)
            assert mean == pytest.approx(PRIOR_MEAN + said.mu, abs=1e-9)
            assert sd**2 == pytest.approx(said.sigma**2 - NOISE_SD**2, abs=1e-9)
        assert scorers.arms_at(["a/1", "new/arm", "a/0"], vector) == [
            pytest.approx(scorers.arm(name, vector)) for name in ("a/1", "new/arm", "a/0")
        ]


def test_the_bandit_finds_the_better_arm_and_grows_sure_of_it(make_example: MakeExample) -> None:
    """Thompson sampling over two arms whose rewards depend on the context ends up choosing right, both ways."""
    draw = random.Random(4)
    learner = PropensityLearner()
    scorers = ScorerSet()
    chosen_right: list[bool] = []
    spread: list[float] = []
    for step in range(3000):
        vector = list(ZEROS)
        vector[INDEX["idle_days"]] = away = draw.choice([0.0, 3.0])
        means = {"offer/mail": 0.5 if away else 0.1, "news/mail": 0.1 if away else 0.5}
        drawn = {}
        for arm in means:
            mean, sd = scorers.arm(arm, vector)
            drawn[arm] = draw.gauss(mean, sd)
            spread.append(sd)
        arm = max(drawn, key=drawn.__getitem__)
        chosen_right.append(means[arm] == 0.5)
        reward = float(draw.random() < means[arm])
        learner.learn_many([make_example("propensity", arm=arm, reward=reward, features=vector)])
        if step % 50 == 49:
            scorers = installed(learner, scorers, version=step)
    assert sum(chosen_right[-500:]) / 500 > 0.95
    assert sum(spread[-100:]) / 100 < sum(spread[:100]) / 100 / 4


def test_the_arm_that_learned_longest_ago_makes_room(make_example: MakeExample) -> None:
    learner = PropensityLearner()
    learner.learn_many([make_example("propensity", arm=f"a/{i}", reward=1.0) for i in range(MAX_ARMS)])
    learner.learn_many([make_example("propensity", arm="a/0"), make_example("propensity", arm="new/one")])
    assert len(learner.arms) == MAX_ARMS
    assert {"a/0", "new/one"} <= set(learner.arms)
    assert "a/1" not in learner.arms


def test_the_largest_bandit_there_can_be_travels(make_example: MakeExample) -> None:
    """Every arm, with the longest name, in letters that JSON writes at length, is installed number for number."""
    learner = PropensityLearner()
    names = [f"{i:03}".ljust(MAX_ARM_LENGTH, "\U0001f600") for i in range(MAX_ARMS)]
    learner.learn_many([make_example("propensity", arm=name, reward=0.3) for name in names])
    scorers = installed(learner)
    assert list(scorers.arms.rows) == names
    order = [learner.arms[names[7]]._idx[given] for given in INPUTS]
    assert (scorers.arms.covariances[7] == np.linalg.inv(learner.arms[names[7]]._ss_arr)[np.ix_(order, order)]).all()


BAD: list[tuple[str, dict[str, object], str]] = [
    ("churn", {"label": "1", "feature_set": "customer-0"}, "wrong-feature-set"),
    ("churn", {"label": "1", "features": [0.0] * 33}, "wrong-feature-count"),
    ("churn", {"label": "1", "features": [math.nan] * 34}, "bad-feature"),
    ("churn", {"label": "1", "features": [math.inf] * 34}, "bad-feature"),
    ("churn", {"label": "yes"}, "bad-label"),
    ("churn", {"label": "1", "predicted": {"1": math.nan}}, "bad-prediction"),
    ("churn", {"label": "1", "predicted": {"1": 1.5}}, "bad-prediction"),
    ("churn", {"label": "1", "predicted": {str(i): 0.0 for i in range(40)}}, "bad-prediction"),
    ("intent", {"label": "1"}, "bad-label"),
    ("intent", {"label": "buy", "predicted": {"buy": -0.1}}, "bad-prediction"),
    ("propensity", {"arm": "a/b", "reward": 1.1}, "bad-reward"),
    ("propensity", {"arm": "a/b", "reward": math.nan}, "bad-reward"),
    ("propensity", {"arm": "a/b", "predicted": {"reward": math.inf}}, "bad-prediction"),
    ("propensity", {"arm": ""}, "bad-arm"),
    ("propensity", {"arm": "x" * 129}, "bad-arm"),
]


@pytest.mark.parametrize(("model", "fields", "code"), BAD)
def test_an_example_that_would_poison_a_model_is_refused(
    make_example: MakeExample, model: str, fields: dict[str, object], code: str
) -> None:
    with pytest.raises(ExampleError) as refused:
        MODELS[model].learner().check(make_example(model, **fields))
    assert refused.value.code == code


def test_every_row_of_the_table_is_a_learner_of_that_name() -> None:
    for name, spec in MODELS.items():
        learner = spec.learner()
        assert isinstance(learner, Learner)
        assert (learner.name, learner.feature_set, learner.learned) == (name, FEATURE_SET, 0)
        assert installed(learner).versions[name] == 1


def test_only_served_scores_are_measured(make_example: MakeExample) -> None:
    """Before any model there was nothing to measure: the prior's score is no model's."""
    learner = ChurnLearner()
    learner.learn_many([make_example("churn", label="1", predicted={"1": 0.2}, predicted_version=0)])
    assert learner.metrics() == {"n": 1.0, "scored": 0.0}
    learner.learn_many([make_example("churn", label="1", predicted={"1": 0.2}, predicted_version=3)])
    assert learner.metrics()["scored"] == 1.0
    assert learner.metrics()["log_loss"] == pytest.approx(-math.log(0.2))
