"""What a customer may be worth in the year to come: a plain estimate, with its limits stated.

Formula: the sum over the periods k = 1..n of a year of ``(1 - p_churn) ** k * period / gap * worth``.

- ``worth`` of an order: mean margin where any margin was stated, else mean order less returns: the *basis* says which.
  On the basis of revenue it is turnover, not profit.
- ``gap``: mean time between orders; with one order only, a year: nothing is known of a rhythm.
- ``p_churn``: the churn model's, for one period (settings.churn_horizon_s; 14 days here).

Limits: a constant hazard (loyal customers are undervalued), no seasons, no discounting (a year is short), only the
currency of most orders, no acquisition or service cost. Without orders or a score there is no estimate.

References
----------
Gupta, Lehmann 2003, "Customers as assets", J. Interactive Marketing 17(1): margin times retention, summed
"""

from typing import NamedTuple

from streams.core.view import Value

DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS
PERIOD_MS = 14 * DAY_MS
# More than one order a day for a year is a reseller or a broken source; the estimate follows neither.
SHORTEST_GAP_MS = DAY_MS


class Lifetime(NamedTuple):
    """An estimate, minor units; ``basis``: margin or revenue."""

    expected_minor: float
    basis: str


def lifetime(value: Value, p_churn: float | None) -> Lifetime | None:
    """Return the expected worth of the year to come, None where nothing can be said.

    Parameters
    ----------
    value : of the golden record
    p_churn : for one period of 14 days, [0, 1]; None before any score

    Examples
    --------
    >>> from streams.core.view import Value
    >>> round(lifetime(Value("EUR", 1000, 0, 260, 1, 1, [0], 0, 1), 0.0).expected_minor)  # one order a year
    260
    """
    if p_churn is None or not value.priced_orders:
        return None
    basis = "margin" if value.margin_minor else "revenue"
    total = value.margin_minor or value.spent_minor - value.returned_minor
    worth = total / value.priced_orders
    gap_ms = max(SHORTEST_GAP_MS, value.mean_gap_ms) if value.orders > 1 else YEAR_MS
    stays, periods = 1.0 - p_churn, YEAR_MS / PERIOD_MS
    # The geometric sum; without churn it is its own limit, the number of periods.
    lived = periods if p_churn <= 0.0 else stays * (1.0 - stays**periods) / p_churn
    return Lifetime(worth * lived * PERIOD_MS / gap_ms, basis)
