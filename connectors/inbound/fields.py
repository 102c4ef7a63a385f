"""Reading fields that strangers wrote: each function takes what JSON may hold and gives a value that a signal may hold.

Null is absent everywhere. What is optional and unusable is left out; what is needed and unusable is a `PayloadError`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from schemas.money import parts_of

# Longest texts, characters: an identifier-like field, a line, an address of a page, and words (the contract's bound).
SHORT, LINE, URL, WORDS = 256, 500, 2_000, 8_000

# Avro's int and long.
INT_MAX, LONG_MAX = 2**31 - 1, 2**63 - 1

# Below this a number of time is in seconds, else in milliseconds: 10^11 ms is March 1973, 10^11 s the year 5138.
_SECONDS_BELOW = 10**11

# Times before 2000 or after 2100 are a broken clock or another unit, not a customer.
EARLIEST_MS, LATEST_MS = 946_684_800_000, 4_102_444_800_000


class PayloadError(ValueError):
    """A payload that cannot become a signal; ``code`` is stable, the message says which field and why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one for anything else."""
    return value if type(value) is dict else {}


def text(value: object, limit: int = SHORT) -> str | None:
    """Return a scalar as text, cut at the limit; None for null, empty, lists and objects.

    Examples
    --------
    >>> text(12), text(" "), text(None), text(["a"])
    ('12', None, None, None)
    """
    if type(value) is str:
        found = value.strip()
        return found[:limit] or None
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int or type(value) is float:
        return str(value)
    return None


def needed(value: object, field: str, limit: int = SHORT) -> str:
    """Return a text that must be there.

    Raises
    ------
    PayloadError
        missing-field
    """
    found = text(value, limit)
    if found is None:
        raise PayloadError("missing-field", f"{field} is missing or empty")
    return found


def number(value: object, field: str) -> float | None:
    """Return a number, written as one or as text; None when absent.

    Raises
    ------
    PayloadError
        bad-number
    """
    if value is None or value == "":
        return None
    if type(value) is int or type(value) is float:
        return float(value)
    if type(value) is str and len(value) <= 40:
        try:
            found = float(value)
        except ValueError:
            pass
        else:
            if found == found and abs(found) != float("inf"):  # noqa: PLR0124 - NaN differs from itself
                return found
    raise PayloadError("bad-number", f"{field} is not a number: {str(value)[:40]!r}")


def whole(value: object, field: str) -> int | None:
    """Return a whole number that fits Avro's int; None when absent.

    Raises
    ------
    PayloadError
        bad-number
    """
    found = number(value, field)
    if found is None:
        return None
    if abs(found) > INT_MAX:
        raise PayloadError("bad-number", f"{field} is too large: {found:g}")
    return round(found)


def minor(value: object, currency: str, field: str) -> int | None:
    """Return an amount in minor units of its currency; None when absent.

    Raises
    ------
    PayloadError
        bad-number

    Examples
    --------
    >>> minor(19.99, "EUR", "price"), minor("250000", "IRR", "price")
    (1999, 250000)
    """
    found = number(value, field)
    if found is None:
        return None
    amount = found * parts_of(currency)
    # Beyond 2^53 a double no longer tells one minor unit from the next.
    if abs(amount) > 2**53:
        raise PayloadError("bad-number", f"{field} is too large: {found:g}")
    return round(amount)


def currency_of(value: object, default: str) -> str:
    """Return an ISO 4217 code, upper case.

    Raises
    ------
    PayloadError
        bad-currency
    """
    found = text(value)
    if found is None:
        return default
    if len(found) == 3 and found.isascii() and found.isalpha():
        return found.upper()
    raise PayloadError("bad-currency", f"currency {found[:10]!r} is not a code of ISO 4217, for example EUR")


def moment_ms(value: object, field: str) -> int | None:
    """Return a time as epoch ms, from ISO 8601 (UTC without a zone), epoch seconds or epoch ms; None when absent.

    Raises
    ------
    PayloadError
        bad-time

    Examples
    --------
    >>> moment_ms("2026-01-02T03:04:05.678Z", "timestamp")
    1767323045678
    """
    if value is None or value == "":
        return None
    found = -1.0
    if type(value) is str and len(value) <= 40:
        try:
            at = datetime.fromisoformat(value)
            found = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000
        except (ValueError, OverflowError):
            found = -1.0
    elif type(value) is int or type(value) is float:
        found = value * 1000 if value < _SECONDS_BELOW else value
    if EARLIEST_MS <= found <= LATEST_MS:
        return round(found)
    raise PayloadError("bad-time", f"{field} is not a time between 2000 and 2100: {str(value)[:40]!r}")


def flattened(
    value: Mapping[str, Any], *, most: int, limit: int = LINE, without: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Return the scalars of an object as texts, nested names joined by dots, two levels deep, the first ``most``."""
    found: dict[str, str] = {}
    for name, part in value.items():
        if name in without:
            continue
        if type(part) is dict:
            for inner, leaf in part.items():
                words = text(leaf, limit)
                if words is not None and len(found) < most:
                    found[f"{name[:100]}.{inner[:100]}"] = words
        else:
            words = text(part, limit)
            if words is not None and len(found) < most:
                found[name[:100]] = words
    return found
