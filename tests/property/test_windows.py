"""Rolling windows equal a recount of all signals: in any order, over any split into facets, at any late moment."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.views import Signal
from streams.core.facet import fold, new_facet
from streams.core.facet_state import Facet
from streams.core.golden_record import merge
from streams.core.state import Root, decode, encode
from streams.core.windows import HOUR_MS, KEPT_DAYS, Window
from tests.unit.streams.core.making import DAY, HOUR, MINUTE, T, look, message, order, service

IN_ANY_ORDER = settings(max_examples=200, deadline=None)
SPANS = (("hours", 24), ("hours", 168), ("days", 30), ("days", 90))

# Hours before and after, at and beside the edges of hours and days; the whole spread is longer than all windows.
MOMENTS = st.builds(
    lambda day, hour, minute: T + day * DAY + hour * HOUR + minute * MINUTE,
    st.integers(0, 110),
    st.integers(-2, 2) | st.integers(0, 23),
    st.sampled_from([0, 46, 47, 59]),
)
MADE = st.tuples(st.integers(0, 5), MOMENTS)


def _signal(number: int, kind: int, at: int) -> Signal:
    makers: tuple[Callable[[], Signal], ...] = (
        lambda: look("a", at, channel="app"),
        lambda: order(at, amount=number + 1),
        lambda: order(at, type="return", amount=7),
        lambda: message("this is terrible", at, channel="email"),
        lambda: service("call_started", at),
        lambda: order(at, amount=number + 1, currency="IRR"),
    )
    return makers[kind]() | {"id": f"s{number}"}


SIGNALS = st.lists(MADE, min_size=1, max_size=40).map(
    lambda made: [_signal(number, *each) for number, each in enumerate(made)]
)


def _names(signal: Signal) -> list[tuple[str, int]]:
    """Return what a signal adds, by the plain meaning of the words."""
    found = [("signals", 1), (signal["channel"], 1)]
    transaction, text = signal.get("transaction"), signal.get("message")
    if transaction is not None:
        found.append(({"order": "orders", "return": "returns"}[transaction["type"]], 1))
        if transaction["type"] == "order":
            found.append((transaction["currency"], transaction["amount_minor"]))
    if text is not None:
        found += [("messages", 1), ("complaints", 1)]
    if signal.get("service") is not None:
        found.append(("calls", 1))
    return found


def _recounted(signals: list[Signal], end_ms: int) -> dict[str, Window]:
    """Return the windows that end at a moment, counted anew from all signals."""
    sums: dict[str, Counter[int]] = {}
    for signal in signals:
        at = signal["occurred_at_ms"]
        for which, (unit, length) in enumerate(SPANS):
            unit_ms = HOUR_MS if unit == "hours" else DAY
            if end_ms // unit_ms - at // unit_ms <= length:
                for name, amount in _names(signal):
                    sums.setdefault(name, Counter())[which] += amount
    return {name: Window(*(held[which] for which in range(4))) for name, held in sums.items() if held}


def _fold_all(arrived: list[Signal], node: bytes = b"n" * 16) -> Facet:
    facet = new_facet(node)
    for signal in arrived:
        fold(facet, signal, signal["occurred_at_ms"])
    return facet


def _windows(facets: list[Facet], now_ms: int) -> dict[str, Window]:
    rolled = merge(Root(b"r" * 16, T, {}, {facet.node: facet for facet in facets}), now_ms).history.rolled()
    return {**rolled.counts, **rolled.per_channel, **rolled.spent_minor}


@IN_ANY_ORDER
@given(SIGNALS, st.integers(0, 100 * 24), st.randoms(use_true_random=False))
def test_windows_equal_a_recount_in_any_order_and_over_any_facets(
    signals: list[Signal], later_h: int, rnd: Any
) -> None:
    """Whatever arrives late within 90 days counts in every window it lies in, on whichever facet it came."""
    newest = max(signal["occurred_at_ms"] for signal in signals)
    now = newest + later_h * HOUR
    expected = _recounted(signals, now)
    shuffled = list(signals)
    rnd.shuffle(shuffled)
    assert _windows([_fold_all(shuffled)], now) == expected
    split = [[s for s in shuffled if int(s["id"][1:]) % 3 == part] for part in range(3)]
    facets = [_fold_all(group, bytes([part]) * 16) for part, group in enumerate(split)]
    assert _windows(facets, now) == expected
    assert _windows(facets[::-1], now) == expected


@IN_ANY_ORDER
@given(SIGNALS, SIGNALS)
def test_merge_then_unmerge_gives_back_both_customers_windows(mine: list[Signal], theirs: list[Signal]) -> None:
    """Windows add on a merge; facets that go back take exactly theirs along, through the stored bytes."""
    theirs = [signal | {"id": f"t{n}"} for n, signal in enumerate(theirs)]
    ours, other = _fold_all(mine, b"a" * 16), _fold_all(theirs, b"b" * 16)
    now = max(signal["occurred_at_ms"] for signal in (*mine, *theirs))
    stored = decode(encode(Root(b"r" * 16, T, {}, {ours.node: ours, other.node: other})))
    assert isinstance(stored, Root)
    assert _windows(list(stored.facets.values()), now) == _recounted([*mine, *theirs], now)
    assert _windows([stored.facets[ours.node]], now) == _recounted(mine, now)
    assert _windows([stored.facets[other.node]], now) == _recounted(theirs, now)


@IN_ANY_ORDER
@given(SIGNALS, st.integers(0, 60))
def test_a_late_question_does_not_turn_windows_back(signals: list[Signal], back_days: int) -> None:
    """Asked for a moment before the newest signal, as a late signal does, windows end at the newest."""
    facet = _fold_all(signals)
    newest = max(signal["occurred_at_ms"] for signal in signals)
    assert _windows([facet], newest - back_days * DAY) == _windows([facet], newest)


def test_what_is_later_than_all_windows_counts_in_a_lifetime_only() -> None:
    """A signal 91 days behind touches no bucket: buckets stay bounded, and the lifetime count has it."""
    facet = _fold_all([look("a", T), look("b", T - (KEPT_DAYS + 1) * DAY)])
    assert _windows([facet], T)["signals"] == (1, 1, 1, 1)
    assert facet.signals == 2
    assert facet.windows is not None
    assert len(facet.windows.days) == 1


def test_buckets_are_bounded() -> None:
    """An order each hour for 200 days leaves 91 days, eight of them in hours, and as many sums of money."""
    facet = _fold_all([order(T + hour * HOUR, id=f"o{hour}") for hour in range(200 * 24)])
    assert facet.windows is not None
    assert len(facet.windows.days) == KEPT_DAYS + 1
    assert sum(len(slots) > 2 for slots in facet.windows.days.values()) == 8
    assert len(facet.windows.spent["EUR"]) <= (KEPT_DAYS + 1 - 8) + 8 * 24
