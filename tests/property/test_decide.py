"""Properties of deciding: probabilities are probabilities, the choice is Thompson's, a record explains itself."""

import random
from math import erf, sqrt
from statistics import NormalDist
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import wire
from streams.core.choice import choose, probabilities
from streams.core.explain import WrongCatalogueError, explain
from tests.unit.streams.core.deciding import action, catalogue, decided, root, treatment

money = st.floats(-1e4, 1e4, allow_nan=False)
spreads = st.floats(0.0, 1e4, allow_nan=False)
beliefs = st.lists(st.tuples(money, spreads), max_size=15)
exploration = st.floats(0.001, 0.5)
draws = st.floats(0.0, 1.0, exclude_max=True)


@given(beliefs, exploration)
def test_probabilities_sum_to_one_and_none_vanishes(field: list[tuple[float, float]], share: float) -> None:
    """All candidates and hold: together 1, each at least its part of the exploration."""
    weighed = probabilities([m for m, _ in field], [s for _, s in field], share)
    everything = [*weighed.each, weighed.hold]
    assert sum(everything) == pytest.approx(1.0, abs=1e-9)
    assert min(everything) >= share / (len(field) + 1) * (1 - 1e-9) or not field


@given(beliefs, exploration, st.randoms())
def test_order_does_not_matter(field: list[tuple[float, float]], share: float, shuffle: random.Random) -> None:
    """A candidate's probability is its own, wherever it stands in the catalogue."""
    order = list(range(len(field)))
    shuffle.shuffle(order)
    straight = probabilities([m for m, _ in field], [s for _, s in field], share)
    mixed = probabilities([field[i][0] for i in order], [field[i][1] for i in order], share)
    assert mixed.hold == pytest.approx(straight.hold, abs=1e-9)
    assert mixed.each == pytest.approx([straight.each[i] for i in order], abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), draws)
def test_the_draw_falls_where_the_probabilities_say(raw: list[float], draw: float) -> None:
    """Cutting [0, 1) into the probabilities, in order, with hold at the end, finds the choice."""
    each = [x / (sum(raw) + 1) for x in raw]
    index = choose(each, draw)
    upto = sum(each) if index is None else sum(each[: index + 1])
    assert (draw >= upto - 1e-12) if index is None else (sum(each[:index]) - 1e-12 <= draw < upto + 1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_it_is_thompson_sampling(seed: int) -> None:
    """The probabilities are those with which sampling every score and taking the best (hold: 0) would choose.

    100,000 samples have a standard error of at most 0.0016; the integration's own error is at most 0.008.
    """
    rnd = random.Random(seed)
    count = rnd.choice([2, 3, 5, 8, 12])
    means = [rnd.gauss(0.3, 1) for _ in range(count)]
    spread = [rnd.choice([0.05, 0.3, 1.0, 3.0]) for _ in range(count)]
    wins = [0] * (count + 1)
    for _ in range(100_000):
        scores = [rnd.gauss(m, s) for m, s in zip(means, spread, strict=True)]
        best = max(range(count), key=scores.__getitem__)
        wins[best if scores[best] > 0 else count] += 1
    weighed = probabilities(means, spread, 1e-9)
    assert [*weighed.each, weighed.hold] == pytest.approx([w / 100_000 for w in wins], abs=0.012)


@given(st.tuples(money, st.floats(0.1, 1e3)), st.tuples(money, st.floats(0.1, 1e3)))
@settings(max_examples=200)
def test_two_alternatives_against_their_integral(a: tuple[float, float], b: tuple[float, float]) -> None:
    """With two, Simpson's rule on a fine grid is the reference."""
    (m, s), (n, t) = a, b
    # As the choice itself: beliefs are never sharper than a thousandth of the largest mean.
    s, t = (max(x, 1e-3 * max(abs(m), abs(n))) for x in (s, t))
    steps, total = 2_000, 0.0
    normal = NormalDist()
    low, high = max(m - 9 * s, 0.0), max(m + 9 * s, 0.0)
    for k in range(steps + 1):
        x = low + (high - low) * k / steps
        weight = 1 if k in (0, steps) else 4 if k % 2 else 2
        total += weight * normal.pdf((x - m) / s) / s * 0.5 * (1 + erf((x - n) / t / sqrt(2)))
    exact = total * (high - low) / steps / 3
    assert probabilities([m, n], [s, t], 1e-9).each[0] == pytest.approx(exact, abs=0.02)


TERMS = st.fixed_dictionaries(
    {"value": st.floats(0, 100), "cost": st.floats(0, 20)}
    | {"conditions": st.sampled_from(["true", "false", "scores.churn > 0.5", "record.traits.city == 'x'"])}
)


@given(
    st.lists(TERMS, min_size=1, max_size=5),
    st.lists(st.tuples(st.floats(-0.5, 1.5), st.floats(0, 0.5)), min_size=10, max_size=10),
    draws,
    st.sampled_from([0.0, 0.5]),
    st.binary(min_size=16, max_size=16),
)
@settings(max_examples=60, deadline=None)
def test_a_decision_explains_itself(
    terms: list[dict[str, Any]],
    arms: list[tuple[float, float]],
    draw: float,
    share: float,
    node: bytes,
) -> None:
    """From the record alone, after its way through Kafka's bytes, the same choice and propensity come out."""
    of = catalogue(
        *(
            action(
                f"a{n}",
                value=term["value"],
                cost=term["cost"],
                eligibility=term["conditions"],
                treatments=[treatment("t1"), treatment("t2", "web")],
            )
            for n, term in enumerate(terms)
        ),
        policy={"control": {"share": share, "salt": "s"}},
    )
    customer = root()
    customer.node = node
    made = decided(of, customer, arms=lambda names, _: [arms[hash(name) % 10] for name in names], draw=draw)
    codec = wire.codec_of("decision")
    record: Any = codec.decode(codec.encode(made.decision))
    told = explain(record, of)
    assert told.consistent, told.differences
    assert told.propensity == pytest.approx(record["propensity"], abs=1e-12)
    assert len(told.lines) == 1 + len(record["candidates"]) + len(record["filtered"])


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"draw": 0.999999}, "chooses hold"),
        ({"propensity": 0.1}, "propensity"),
        ({"action": "other"}, "the record says"),
        ({"candidates": "score"}, "score"),
        ({"candidates": "probability"}, "probability"),
        ({"candidates": "action"}, "is not in the catalogue"),
    ],
)
def test_a_forged_record_is_found_out(change: dict[str, Any], difference: str) -> None:
    """What does not follow from the record's own terms is named."""
    of = catalogue(action(), action("other"))
    record: Any = dict(decided(of, draw=0.1).decision)
    for name, value in change.items():
        if name == "candidates":
            forged = "x" if value == "action" else 0.123
            record["candidates"] = [record["candidates"][0] | {value: forged}, *record["candidates"][1:]]
        else:
            record[name] = value
    told = explain(record, of)
    assert not told.consistent
    assert any(difference in line for line in told.differences), told.differences


def test_another_catalogue_explains_nothing() -> None:
    """Exploration may have been another: the version must be that of the decision."""
    record = decided(catalogue()).decision
    with pytest.raises(WrongCatalogueError, match="give that version"):
        explain(record, catalogue(action(value=11)))
