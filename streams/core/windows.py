"""Rolling windows of 1, 7, 30 and 90 days: exact, whatever order signals arrive in, after merges and splits alike.

A facet holds sparse buckets: whole hours for the newest eight days (UTC) in which it saw something, whole days before
them. They are sums per bucket, so windows of several facets add up, and facets that part take theirs along.

The edge: a window holds all that lies within it, and of the bucket that its far edge cuts also what lies just before:
up to one hour more for 1 and 7 days, up to one day more for 30 and 90. It ends at the newest time that the customer's
record knows: a late signal counts where it occurred, it does not turn the record back.

Lateness: a signal up to 90 days behind its facet's newest is counted exactly. One that is later lies in no window any
more: it counts in the lifetime counts, and as too late in the metrics (``is_too_late``).
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import NamedTuple

from schemas.topics import CHANNELS, DAY_MS
from streams.core.facet_state import Facet, Windows

HOUR_MS = 3_600_000
HOURS_PER_DAY = 24

# Counts that have windows, as in Facet.counts.
COUNTED: tuple[str, ...] = ("orders", "returns", "calls", "messages", "complaints")
# A bucket's slots are ``hour of the day * 32 + code``. Codes stand in states: names are only ever added at the end.
# Channels in the order in which they came to be, so that a change of topics.CHANNELS moves none.
_CHANNELS: tuple[str, ...] = (
    "web", "app", "email", "sms", "whatsapp", "call-centre", "pos", "crm", "social", "survey", "file", "outcome",
)  # fmt: skip
_BITS = 5
_MASK = (1 << _BITS) - 1
CODES: Mapping[str, int] = MappingProxyType({name: code for code, name in enumerate((*COUNTED, *_CHANNELS))})
_FIRST_CHANNEL = len(COUNTED)
_NAMES = tuple(CODES)

# Days of history in hours: the 7-day window's far edge lies on the seventh day before the newest.
_IN_HOURS = 7
_MONTH = 30
KEPT_DAYS = 90
_WEEK_HOURS = 7 * HOURS_PER_DAY


class Window(NamedTuple):
    """What each window holds."""

    days_1: int
    days_7: int
    days_30: int
    days_90: int


SPANS: tuple[str, ...] = Window._fields
EMPTY = Window(0, 0, 0, 0)


class Rolled(NamedTuple):
    """All windows of a customer at one moment; what is empty in all of them is left out."""

    counts: Mapping[str, Window]  # of COUNTED, and signals
    per_channel: Mapping[str, Window]  # signals
    spent_minor: Mapping[str, Window]  # orders, by currency


def note(facet: Facet, code: int, at_ms: int) -> None:
    """Count one more of a code (``CODES``) at a time.

    Notes
    -----
    About 0.5 us; 2 more when a facet's newest day ends, and 0.1 for each sum of money that it keeps.
    """
    day, ms = divmod(at_ms, DAY_MS)
    windows = facet.windows
    if windows is None:
        windows = facet.windows = Windows(day)
    behind = windows.newest_day - day
    if behind < 0:
        _turn(windows, day)
    elif behind > _IN_HOURS:
        if behind > KEPT_DAYS:
            return
        ms = 0
    slots = windows.days.get(day)
    if slots is None:
        slots = windows.days[day] = {}
    slot = (ms // HOUR_MS << _BITS) + code
    slots[slot] = slots.get(slot, 0) + 1


def spend(facet: Facet, currency: str, amount_minor: int, at_ms: int) -> None:
    """Count money spent. ``note`` has run for the same signal."""
    windows = facet.windows
    day, ms = divmod(at_ms, DAY_MS)
    behind = windows.newest_day - day if windows is not None else 0
    if windows is None or behind > KEPT_DAYS:
        return
    hour = day * HOURS_PER_DAY + (ms // HOUR_MS if behind <= _IN_HOURS else 0)
    purse = windows.spent.setdefault(currency, {})
    purse[hour] = purse.get(hour, 0) + amount_minor


def forget_currency(facet: Facet, currency: str) -> None:
    """Drop a currency's windows: its purse was dropped."""
    if facet.windows is not None:
        facet.windows.spent.pop(currency, None)


def is_too_late(facet: Facet, at_ms: int) -> bool:
    """Say whether a signal lay before all windows of its facet when it came."""
    windows = facet.windows
    return windows is not None and windows.newest_day - at_ms // DAY_MS > KEPT_DAYS


def _turn(windows: Windows, newest_day: int) -> None:
    """Begin a day: hours become days when they leave the week, days go when they leave all windows."""
    before, days = windows.newest_day, windows.days
    windows.newest_day = newest_day
    oldest, in_hours = newest_day - KEPT_DAYS, newest_day - _IN_HOURS
    if newest_day - before > KEPT_DAYS:
        days.clear()
    else:  # only the days that pass an edge are looked at, not all that are kept
        for day in range(before - KEPT_DAYS, oldest):
            days.pop(day, None)
        for day in range(before - _IN_HOURS, min(in_hours, before + 1)):
            if day in days:
                days[day] = _whole_day(days[day])
    for currency, purse in list(windows.spent.items()):
        kept: dict[int, int] = {}
        for hour, amount in purse.items():
            day = hour // HOURS_PER_DAY
            if day >= oldest:
                at = hour if day >= in_hours else day * HOURS_PER_DAY
                kept[at] = kept.get(at, 0) + amount
        if kept:
            windows.spent[currency] = kept
        else:
            del windows.spent[currency]


def _whole_day(slots: dict[int, int]) -> dict[int, int]:
    whole: dict[int, int] = {}
    for slot, count in slots.items():
        code = slot & _MASK
        whole[code] = whole.get(code, 0) + count
    return whole


def roll(parts: Sequence[Windows], end_ms: int) -> Rolled:
    """Return what the windows that end at ``end_ms`` hold, over all facets.

    Parameters
    ----------
    parts : of each facet, any order
    end_ms : now, or the newest time that the record knows when that is later

    Notes
    -----
    About 0.3 us for each bucket's slot: 10 us for a customer of 30 signals.
    """
    end_hour = end_ms // HOUR_MS
    end_day = end_hour // HOURS_PER_DAY
    # Each bucket is added to the smallest window that it lies in; the larger ones hold the smaller.
    rings: tuple[dict[int, int], ...] = ({}, {}, {}, {})
    spent: dict[str, list[int]] = {}
    for part in parts:
        for day, slots in part.days.items():
            behind = end_day - day
            if behind > _IN_HOURS:
                if behind > KEPT_DAYS:
                    continue
                ring = rings[2] if behind <= _MONTH else rings[3]
                for slot, count in slots.items():
                    code = slot & _MASK
                    ring[code] = ring.get(code, 0) + count
            else:
                _add_hours(rings, slots, end_hour - day * HOURS_PER_DAY)
        for currency, purse in part.spent.items():
            for hour, amount in purse.items():
                held = spent.setdefault(currency, [0, 0, 0, 0])
                which = _ring(hour, end_hour)
                if which is not None:
                    held[which] += amount
    return _rolled(rings, {currency: Window(*accumulate(held)) for currency, held in spent.items()})


def _add_hours(rings: Sequence[dict[int, int]], slots: dict[int, int], behind: int) -> None:
    """Add a day of the newest week; ``behind``: hours from its first to the end."""
    for slot, count in slots.items():
        hours = behind - (slot >> _BITS)
        ring = rings[0 if hours <= HOURS_PER_DAY else 1 if hours <= _WEEK_HOURS else 2]
        code = slot & _MASK
        ring[code] = ring.get(code, 0) + count


def _ring(hour: int, end_hour: int) -> int | None:
    """Return the smallest window that an hour lies in. A whole day stands at its first hour: it is in days anyway."""
    behind = end_hour - hour
    if behind <= HOURS_PER_DAY:
        return 0
    if behind <= _WEEK_HOURS:
        return 1
    days = end_hour // HOURS_PER_DAY - hour // HOURS_PER_DAY
    return 2 if days <= _MONTH else 3 if days <= KEPT_DAYS else None


def _rolled(rings: Sequence[dict[int, int]], spent: dict[str, Window]) -> Rolled:
    counts: dict[str, Window] = {}
    channels: dict[str, Window] = {}
    one, week, month, quarter = rings
    signals = [0, 0, 0, 0]
    for code in sorted({*one, *week, *month, *quarter}):
        a = one.get(code, 0)
        b = a + week.get(code, 0)
        c = b + month.get(code, 0)
        d = c + quarter.get(code, 0)
        if code < _FIRST_CHANNEL:
            counts[_NAMES[code]] = Window(a, b, c, d)
        else:
            channels[_NAMES[code]] = Window(a, b, c, d)
            signals[0] += a
            signals[1] += b
            signals[2] += c
            signals[3] += d
    if channels:
        counts["signals"] = Window(*signals)
    return Rolled(counts, channels, {currency: window for currency, window in spent.items() if window.days_90})


_UNKNOWN = [name for name in CHANNELS if name not in CODES]
if _UNKNOWN:  # a channel was added to the topics' table: it needs a code of its own
    raise RuntimeError(f"windows: channels without a code: {', '.join(_UNKNOWN)}; add them at the end of _CHANNELS")
