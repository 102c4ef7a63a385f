"""The demo's figures: worked out from evidence whose answer is known."""

from random import Random

import pytest

from deploy.demo.evidence import Choice, Evidence, Goal, Lesson, Seen, goals_in, goals_of, node_of
from deploy.demo.figures import churn_scores, intent_aucs, matching, rewards, uplift
from deploy.demo.people import populate
from deploy.demo.score import score
from deploy.demo.settings import CATALOGUE
from schemas.identifiers import Hasher, normalise

HASHER = Hasher(b"k" * 32)
GOALS = {"offer": Goal("order", 100), "care": Goal("calm", 100), "news": Goal("click", 100)}
ANN, BOB = b"a" * 16, b"b" * 16


def choice(customer: bytes = ANN, at_ms: int = 1_000, action: str = "offer", **fields: object) -> Choice:
    found = Choice(customer, at_ms, action, "t", "email", "", control=False, p=0.5, action_id="x")
    return found._replace(**fields)  # type: ignore[arg-type]  # fields are the choice's own


def seen(goal: str, at_ms: int, customer: bytes = ANN) -> Seen:
    return Seen(customer, at_ms, "web", frozenset({goal}))


@pytest.mark.parametrize(
    ("action", "signals", "refused", "reward"),
    [
        ("offer", [], None, 0.0),
        ("offer", [("order", 1_050)], None, 1.0),
        ("offer", [("order", 1_000)], None, 0.0),  # at the moment itself: no consequence
        ("offer", [("order", 1_100)], None, 1.0),  # the window's end is in it
        ("offer", [("order", 1_101)], None, 0.0),
        ("offer", [("order", 1_050)], 1_020, 0.0),  # unsubscribed first
        ("offer", [("order", 1_050)], 1_060, 1.0),
        ("care", [], None, 1.0),
        ("care", [("complaint", 1_050)], None, 0.0),
        ("care", [], 1_020, 0.0),
    ],
)
def test_a_reward_is_whether_the_goal_followed(
    action: str, signals: list[tuple[str, int]], refused: int | None, reward: float
) -> None:
    evidence = Evidence(seen=[seen(*each) for each in signals], choices=[choice(action=action)])
    if refused is not None:
        evidence.refusals["x"] = refused
    assert [each.reward for each in rewards(evidence, GOALS, 2_000)] == [reward]


def test_a_click_counts_for_its_own_action_only() -> None:
    evidence = Evidence(choices=[choice(action="news"), choice(action="news", action_id="y")], clicked={"x": 1_050})
    assert [each.reward for each in rewards(evidence, GOALS, 2_000)] == [1.0, 0.0]


def test_only_decisions_to_act_whose_window_is_over_are_rewarded() -> None:
    evidence = Evidence(
        choices=[choice(), choice(at_ms=1_950), choice(hold="capped"), choice(action="", hold="no-consent")]
    )
    assert len(rewards(evidence, GOALS, 2_000)) == 1


def world(effect: float, customers: int = 400) -> Evidence:
    """Customers with rates of their own, ten decisions each; every third is in the control group."""
    rng, evidence = Random(5), Evidence()
    for number in range(customers):
        customer, rate, control = number.to_bytes(16, "big"), rng.uniform(0.05, 0.5), number % 3 == 0
        for turn in range(10):
            at_ms = 1_000 + 200 * turn
            hold = "control-group" if control else ""
            evidence.choices.append(choice(customer, at_ms, control=control, hold=hold))
            if rng.random() < rate + (0 if control else effect):
                evidence.seen.append(seen("order", at_ms + 50, customer))
    return evidence


def test_uplift_finds_an_effect_and_none_where_there_is_none() -> None:
    found = uplift(rewards(world(0.15), GOALS, 10_000), seed=1)
    assert found.low < 0.15 < found.high
    assert found.low > 0
    nothing = uplift(rewards(world(0.0), GOALS, 10_000), seed=1)
    assert nothing.low < 0 < nothing.high


def test_the_interval_knows_that_a_customers_decisions_go_together() -> None:
    clustered = uplift(rewards(world(0.0), GOALS, 10_000), seed=1)
    apart = [
        each._replace(choice=each.choice._replace(customer=number.to_bytes(16, "big")))
        for number, each in enumerate(rewards(world(0.0), GOALS, 10_000))
    ]
    independent = uplift(apart, seed=1)
    assert clustered.high - clustered.low > 1.2 * (independent.high - independent.low)


def test_scores_of_no_model_are_left_out() -> None:
    lessons = [
        Lesson("churn", "", "1", 0.0, {"1": 0.9}, version=1, scored_at_ms=2),
        Lesson("churn", "", "0", 0.0, {"1": 0.2}, version=0, scored_at_ms=1),
        Lesson("churn", "", "0", 0.0, {"1": 0.3}, version=2, scored_at_ms=1),
    ]
    assert churn_scores(lessons) == ([0.3, 0.9], [False, True])


def test_intents_are_measured_one_against_the_rest() -> None:
    def lesson(label: str, buy: float) -> Lesson:
        rest = (1 - buy) / 4
        predicted = {"browse": rest, "buy": buy, "return": rest, "complain": rest, "leave": rest}
        return Lesson("intent", "", label, 0.0, predicted, version=1, scored_at_ms=0)

    aucs = intent_aucs([lesson("buy", 0.9), lesson("buy", 0.6), lesson("leave", 0.2)])
    assert aucs["buy"] == 1.0
    assert set(aucs) == {"buy", "leave"}


def test_matching_counts_pairs() -> None:
    people = populate(2, Random(1), start_ms=0, days=30)
    nodes = {name: HASHER.node(normalise(*name)) for person in people for name in person.identifiers}
    one = dict.fromkeys(nodes.values(), ANN)
    assert matching(people, one, HASHER).recall == 1.0
    assert matching(people, one, HASHER).precision < 0.7
    apart = {node: node for node in nodes.values()}
    assert matching(people, apart, HASHER) == (1.0, 0.0)
    right = {nodes[name]: bytes([person.number]) * 16 for person in people for name in person.identifiers}
    assert matching(people, right, HASHER) == (1.0, 1.0)


def test_a_signals_node_is_its_strongest_identifiers() -> None:
    named = [{"kind": "anonymous_id", "value": "b-1"}, {"kind": "user_id", "value": " u-1 "}]
    assert node_of(named, HASHER) == HASHER.node(normalise("user_id", "u-1"))
    assert node_of([{"kind": "customer_id", "value": ANN.hex()}], HASHER) == ANN
    assert node_of([{"kind": "phone", "value": "x"}], HASHER) == b""


def test_goals_are_those_of_the_catalogue() -> None:
    assert {goal.kind for goal in goals_in(CATALOGUE).values()} <= {"order", "session", "survey", "calm", "click"}
    assert goals_in(CATALOGUE)["cart-reminder"] == Goal("order", 2 * 86_400_000)
    assert goals_of({"kind": "transaction", "transaction": {"type": "return"}}) == frozenset()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"accepted": 10, "folded": 9}, "1 lost"),
        ({"accepted": 10, "folded": 11}, "1 doubled"),
        ({"accepted": 9, "folded": 9}, "10 signals, but 9 are in the topics"),
        ({"accepted": 10, "folded": 10, "repeated_actions": 2}, "2 decisions led to more than one action"),
    ],
)
def test_what_is_lost_or_doubled_is_said(fields: dict[str, int], words: str) -> None:
    evidence = Evidence(**fields)  # type: ignore[arg-type]  # fields are the evidence's own
    results = score(evidence, [], HASHER, GOALS, end_ms=2_000, sent=10)
    assert [words in sentence for sentence in results.wrong] == [True]


def test_a_good_run_has_nothing_wrong() -> None:
    evidence = Evidence(accepted=12, by_sada=2, folded=11)
    evidence.dead["customers: bad-clock"] = 1
    assert score(evidence, [], HASHER, GOALS, end_ms=2_000, sent=10).wrong == []
