"""Sums that fade: recency-weighted counts in constant space, the same whatever order their additions come in.

Forward decay: an addition of weight w at time t counts w * 2 ** -((at - t) / half_life) at time ``at``. The sums of a
facet share one clock, ``Faded.at_ms``, the newest time seen; a newer time fades all of them, an older addition is
faded before it is added. So additions commute up to rounding.

References
----------
Cormode, Shkapenyuk, Srivastava, Xu 2009, "Forward decay: a practical time decay model for streaming systems", ICDE
"""

from collections.abc import Mapping
from math import exp2
from types import MappingProxyType
from typing import NamedTuple

from streams.core.facet_state import Facet, Faded

DAY_MS = 86_400_000

# Half-lives in days, by name and in the order of Faded.sums; new ones are only ever added at the end. A day for the
# present mood of a visit, a week for interest, a month for habits and for how much a customer has been contacted.
_HALF_LIVES: tuple[tuple[str, int], ...] = (
    ("signals_1d", 1),
    ("signals_7d", 7),
    ("views_7d", 7),
    ("searches_7d", 7),
    ("contacts_7d", 7),
    ("signals_30d", 30),
    ("orders_30d", 30),
    ("complaints_30d", 30),
    ("contacts_30d", 30),
    ("responses_30d", 30),
    ("mood_30d", 30),
    ("mood_weight_30d", 30),
)
HALF_LIVES: Mapping[str, int] = MappingProxyType(dict(_HALF_LIVES))
NAMES: tuple[str, ...] = tuple(HALF_LIVES)

(
    SIGNALS_1D,
    SIGNALS_7D,
    VIEWS_7D,
    SEARCHES_7D,
    CONTACTS_7D,
    SIGNALS_30D,
    ORDERS_30D,
    COMPLAINTS_30D,
    CONTACTS_30D,
    RESPONSES_30D,
    MOOD_30D,
    MOOD_WEIGHT_30D,
) = range(len(NAMES))

_PER_DAY = 1.0 / DAY_MS
_PER_7D = _PER_DAY / 7
_PER_30D = _PER_DAY / 30


class Weights(NamedTuple):
    """What an addition of 1 counts in sums of each half-life."""

    w1: float
    w7: float
    w30: float


_NOW = Weights(1.0, 1.0, 1.0)


def advance(facet: Facet, at_ms: int) -> Weights:
    """Bring a facet's sums to ``at_ms`` if that is newer; return the weights of an addition at ``at_ms``.

    Examples
    --------
    >>> facet = Facet(b"node", 0)
    >>> _ = advance(facet, 10 * DAY_MS)
    >>> advance(facet, 9 * DAY_MS).w1  # a day late
    0.5
    """
    faded = facet.faded
    if faded is None:
        facet.faded = Faded([0.0] * len(NAMES), at_ms)
        return _NOW
    behind = faded.at_ms - at_ms
    if behind == 0:
        return _NOW
    if behind > 0:
        return Weights(exp2(-behind * _PER_DAY), exp2(-behind * _PER_7D), exp2(-behind * _PER_30D))
    faded.sums = faded_by(faded.sums, -behind)
    faded.at_ms = at_ms
    return _NOW


def faded_by(sums: list[float], elapsed_ms: int) -> list[float]:
    """Return sums as they are ``elapsed_ms`` later; a negative time leaves them: nothing grows back."""
    if elapsed_ms <= 0:
        return sums
    one, week, month = exp2(-elapsed_ms * _PER_DAY), exp2(-elapsed_ms * _PER_7D), exp2(-elapsed_ms * _PER_30D)
    a, b, c, d, e, f, g, h, i, j, k, m = sums
    return [
        a * one, b * week, c * week, d * week, e * week, f * month, g * month, h * month, i * month, j * month,
        k * month, m * month,
    ]  # fmt: skip
