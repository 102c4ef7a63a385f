"""The numbers that models see, from the golden record and the signal at hand.

Times are of the record's moment, ``now_ms``. "Decayed over 30 days" is a half-life of 30 days (fading.HALF_LIVES).
Counts and times go through log1p: the step from 1 to 2 orders says more than that from 21 to 22.
"""

from collections.abc import Sequence
from math import cos, log1p, pi, sin

from schemas.features import FEATURE_NAMES
from schemas.views import Signal
from streams.core.view import GoldenRecord
from streams.core.vocabulary import is_activity

DAY_MS = 86_400_000
# Minor units per unit of money in features: the magnitude matters, not the currency's own number of decimals.
MINOR = 100.0
# Beyond ten mean gaps a customer is gone whatever the number.
MAX_GAP_RATIO = 10.0
# Open tickets beyond ten are a broken help desk, not a feeling.
MAX_TICKETS = 10.0

_PER_DAY = 1.0 / DAY_MS
_RADIANS_PER_MS = 2.0 * pi / DAY_MS


def vector(record: GoldenRecord, signal: Signal | None = None) -> list[float]:
    """Return the features in the order of FEATURES.

    Parameters
    ----------
    record : at the moment of the signal, the signal folded in
    signal : the one that asks; None at a timer

    Returns
    -------
    list of len(FEATURES) finite floats, units as in schemas.features
    """
    now_ms, history, value, activity = record.now_ms, record.history, record.value, record.activity
    decayed = history.decayed
    orders, times = value.orders, value.order_times_ms
    since_order_ms = max(0, now_ms - (times[0] if times else history.first_ms))
    mean_gap_ms = value.mean_gap_ms
    kind = signal["kind"] if signal is not None else ""
    own = signal is not None and is_activity(signal)
    idle_since_ms = (history.before_ms if own else history.last_ms) or history.first_ms
    cart = activity.cart
    share = 1.0 / history.signals if history.signals else 0.0
    angle = (now_ms % DAY_MS) * _RADIANS_PER_MS
    return [
        log1p(max(0, now_ms - history.first_ms) * _PER_DAY),
        log1p(max(0, now_ms - idle_since_ms) * _PER_DAY),
        log1p(since_order_ms * _PER_DAY),
        log1p(mean_gap_ms * _PER_DAY),
        log1p((times[0] - times[1]) * _PER_DAY) if len(times) > 1 else 0.0,
        min(MAX_GAP_RATIO, since_order_ms / mean_gap_ms) if mean_gap_ms > 0 else 0.0,
        log1p(orders),
        log1p(decayed["orders_30d"]),
        log1p(max(0.0, value.mean_order_minor) / MINOR),
        log1p(value.last_order_items),
        value_ratio(history.counts.get("returns", 0), orders),
        log1p(decayed["signals_1d"]),
        log1p(decayed["signals_7d"]),
        log1p(decayed["signals_30d"]),
        log1p(decayed["views_7d"]),
        log1p(decayed["searches_7d"]),
        log1p(len(cart)),
        log1p(sum([line.value_minor * line.quantity for line in cart.values()]) / MINOR) if cart else 0.0,
        log1p(activity.session.signals) if activity.session is not None else 0.0,
        min(MAX_TICKETS, len(activity.open_tickets)),
        log1p(decayed["complaints_30d"]),
        record.flags.mood,
        log1p(decayed["contacts_7d"]),
        log1p(decayed["contacts_30d"]),
        log1p(decayed["responses_30d"]),
        float(len(history.per_channel)),
        1.0 if is_known(record) else 0.0,
        history.per_channel.get("email", 0) * share,
        history.per_channel.get("pos", 0) * share,
        1.0 if (now_ms // DAY_MS + 3) % 7 >= 5 else 0.0,  # 1970-01-01 was a Thursday: + 3 makes Monday 0
        sin(angle),
        cos(angle),
        1.0 if kind == "transaction" and _is_order(signal) else 0.0,
        1.0 if kind == "service" else 0.0,
    ]


def value_ratio(part: int, whole: int) -> float:
    """Return returns per order, at most 1: a file of returns without its orders says no more than "all"."""
    return min(1.0, part / whole) if whole else (1.0 if part else 0.0)


def is_known(record: GoldenRecord) -> bool:
    """Say whether a person is known, not only a browser or a device."""
    known = record.rules.known
    return any(member.kind in known for member in record.members.values())


def _is_order(signal: Signal | None) -> bool:
    transaction = signal.get("transaction") if signal is not None else None
    return transaction is not None and transaction["type"] == "order"


def named(features: Sequence[float]) -> dict[str, float]:
    """Return features by name.

    Raises
    ------
    ValueError
        when their number is not that of the feature set
    """
    return dict(zip(FEATURE_NAMES, features, strict=True))
