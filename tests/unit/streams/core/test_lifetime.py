import pytest

from streams.core.golden_record import merge
from streams.core.lifetime import lifetime
from streams.core.view import Value
from tests.unit.streams.core.making import DAY, T, customer, folded, order


def _value(*orders: tuple[int, int, int | None]) -> Value:
    """Return the value of orders: day, amount, margin."""
    signals = [order(T + day * DAY, amount, margin=margin) for day, amount, margin in orders]
    return merge(customer(folded(*signals)), T + 400 * DAY).value


def test_without_orders_or_a_score_there_is_no_estimate() -> None:
    assert lifetime(_value((0, 100, None)), None) is None
    assert lifetime(merge(customer(folded()), T).value, 0.5) is None


def test_it_equals_the_sum_that_it_states() -> None:
    """Orders every 28 days at a margin of 30: half an order a period, each period kept with 1 - p."""
    value = _value((0, 100, 30), (28, 100, 30), (56, 100, 30))
    estimate = lifetime(value, 0.1)
    assert estimate is not None
    assert estimate.basis == "margin"
    # 365 / 14 = 26.07 periods: between the sums of 26 and of 27.
    sums = [sum(0.9**k * 0.5 * 30 for k in range(1, n + 1)) for n in (26, 27)]
    assert sums[0] <= estimate.expected_minor <= sums[1]


def test_without_margins_it_rests_on_revenue_less_returns() -> None:
    signals = [order(T, 1000), order(T + DAY, 400, type="return")]
    estimate = lifetime(merge(customer(folded(*signals)), T + DAY).value, 0.0)
    assert estimate is not None
    assert estimate.basis == "revenue"
    assert estimate.expected_minor == pytest.approx(600)


def test_churn_lowers_it_and_a_reseller_does_not_blow_it_up() -> None:
    value = _value((0, 100, 30), (28, 100, 30))
    worths = [estimate.expected_minor for p in (0.0, 0.2, 0.9, 1.0) if (estimate := lifetime(value, p))]
    assert worths == sorted(worths, reverse=True)
    assert worths[-1] == 0
    wild = Value("EUR", 10**6, 0, 10**6, 1000, 1000, [T + 1, T], T, 1)
    estimate = lifetime(wild, 0.0)
    assert estimate is not None
    assert estimate.expected_minor <= 366 * 1000
