import math

import pytest

from schemas.features import FEATURE_NAMES, FEATURES
from schemas.views import Signal
from streams.core.facet_state import Facet
from streams.core.features import named, vector
from streams.core.golden_record import merge
from streams.core.state import Root
from tests.unit.streams.core.making import DAY, HOUR, T, cart, customer, folded, look, message, order, service


def _features(
    facet: Facet, signal: Signal | None = None, now_ms: int = T, kind: str = "anonymous_id"
) -> dict[str, float]:
    return named(vector(merge(customer(facet, kind=kind), now_ms), signal))


def test_the_vector_has_the_order_of_the_contract() -> None:
    numbers = vector(merge(Root(b"n", T), T))
    assert len(numbers) == len(FEATURES)
    assert list(named(numbers)) == list(FEATURE_NAMES)
    assert all(math.isfinite(number) for number in numbers)
    with pytest.raises(ValueError, match="shorter"):
        named(numbers[:-1])


def test_rhythm_of_orders() -> None:
    facet = folded(order(at=T, lines=3), order(at=T + 10 * DAY, lines=2), order(at=T + 14 * DAY, lines=5))
    got = _features(facet, now_ms=T + 28 * DAY)
    assert got["age_days"] == pytest.approx(math.log1p(28))
    assert got["since_order_days"] == pytest.approx(math.log1p(14))
    assert got["mean_gap_days"] == pytest.approx(math.log1p(7))
    assert got["last_gap_days"] == pytest.approx(math.log1p(4))
    assert got["gap_ratio"] == pytest.approx(2.0)
    assert got["orders"] == pytest.approx(math.log1p(3))
    assert got["orders_30d"] == pytest.approx(math.log1p(2 ** (-28 / 30) + 2 ** (-18 / 30) + 2 ** (-14 / 30)))
    assert got["order_value"] == pytest.approx(math.log1p(10))
    assert got["last_order_items"] == pytest.approx(math.log1p(5))
    assert _features(facet, now_ms=T + 999 * DAY)["gap_ratio"] == 10.0


def test_without_orders_time_counts_from_the_first_signal() -> None:
    got = _features(folded(look("a")), now_ms=T + 3 * DAY)
    assert got["since_order_days"] == pytest.approx(math.log1p(3))
    assert got["gap_ratio"] == got["orders"] == got["mean_gap_days"] == got["last_gap_days"] == 0.0


def test_idle_is_the_pause_before_this_signal_or_before_now_at_a_timer() -> None:
    now = look("b", at=T + 5 * DAY)
    facet = folded(look("a"), now)
    assert _features(facet, now, T + 5 * DAY)["idle_days"] == pytest.approx(math.log1p(5))
    assert _features(facet, None, T + 7 * DAY)["idle_days"] == pytest.approx(math.log1p(2))
    mailing = message("offer", at=T + 7 * DAY, direction="outbound")
    assert _features(facet, mailing, T + 7 * DAY)["idle_days"] == pytest.approx(math.log1p(2))


def test_returns_per_order_is_at_most_one() -> None:
    assert _features(folded(order(), order(at=T + 1), order(at=T + 2, type="return")))["returns_rate"] == 0.5
    assert _features(folded(order(type="return")))["returns_rate"] == 1.0
    assert _features(folded(look("a")))["returns_rate"] == 0.0


def test_cart_session_tickets_and_channels() -> None:
    facet = folded(
        cart("product_added", "a", quantity=2, price=500),
        cart("product_added", "b", at=T + 1, price=1000),
        service("opened", at=T + 2, ticket_id="t"),
    )
    got = _features(facet, now_ms=T + 3)
    assert got["cart_items"] == pytest.approx(math.log1p(2))
    assert got["cart_value"] == pytest.approx(math.log1p(20))
    assert got["session_signals"] == pytest.approx(math.log1p(3))
    assert got["open_tickets"] == 1.0
    assert got["channels"] == 2.0
    assert _features(facet, now_ms=T + HOUR)["session_signals"] == 0.0


def test_shares_of_channels() -> None:
    facet = folded(look("a"), message("x", channel="email"), order(channel="pos"), order(at=T + 1, channel="pos"))
    got = _features(facet)
    assert (got["email_share"], got["store_share"]) == (0.25, 0.5)


@pytest.mark.parametrize(("kind", "known"), [("anonymous_id", 0.0), ("device_id", 0.0), ("email", 1.0), ("phone", 1.0)])
def test_known_is_a_person_not_a_browser(kind: str, known: float) -> None:
    assert _features(folded(look("a")), kind=kind)["known"] == known


def test_the_signal_itself_and_its_hour() -> None:
    facet = folded(look("a"))
    assert _features(facet, order())["is_order"] == 1.0
    assert _features(facet, order(type="return"))["is_order"] == 0.0
    assert _features(facet, service("opened"))["is_service"] == 1.0
    six = T - T % DAY + 6 * HOUR
    got = _features(facet, look("a"), six)
    assert got["hour_sin"] == pytest.approx(1.0)
    assert got["hour_cos"] == pytest.approx(0.0)
    # T is a Tuesday: Friday, Saturday, Sunday, Monday.
    assert [_features(facet, None, T + n * DAY)["weekend"] for n in (3, 4, 5, 6)] == [0.0, 1.0, 1.0, 0.0]
