"""Quiet hours, in the customer's own time zone."""

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from streams.core.catalogue import QuietHours

# The longest IANA name has 32 characters.
_MAX_ZONE = 40
# Just before the year 9999, where datetime ends: a wild clock must not stop a batch.
_MAX_MS = 253_370_000_000_000


@lru_cache(maxsize=1024)  # there are about 600 zones; hostile names push out only each other
def zone(name: str) -> ZoneInfo | None:
    """Return a time zone by its IANA name, None when there is none: sources write what they like.

    Examples
    --------
    >>> zone("Asia/Tehran"), zone("../../etc/passwd"), zone("Mars/Olympus")
    (zoneinfo.ZoneInfo(key='Asia/Tehran'), None, None)
    """
    if not name or len(name) > _MAX_ZONE or not name.isascii() or not name.isprintable():
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        # ValueError: not a plain name, or a file that is no zone; OSError: a directory (America); KeyError: not found.
        return None


def minute_of_day(now_ms: int, time_zone: str, default: str) -> int:
    """Return the local minute of the day, [0, 1440), by the customer's zone, else by the default, else UTC."""
    where = zone(time_zone) or zone(default) or ZoneInfo("UTC")
    local = datetime.fromtimestamp(min(max(now_ms, 0), _MAX_MS) / 1000, where)
    return local.hour * 60 + local.minute


def is_quiet(hours: QuietHours, minute: int) -> bool:
    """Return whether a local minute lies in quiet hours; the same time twice means the whole day.

    Examples
    --------
    >>> night = QuietHours(21 * 60, 8 * 60)
    >>> [is_quiet(night, h * 60) for h in (20, 21, 0, 7, 8)]
    [False, True, True, True, False]
    """
    start, end = hours.from_minute, hours.to_minute
    if start < end:
        return start <= minute < end
    return minute >= start or minute < end
