"""The feature set: the numbers that models see, by name, in order. A contract between the core and the learners.

Adding, removing or redefining a feature makes a new set with a new name; a snapshot of another set is not loaded.
"""

from typing import NamedTuple


class Feature(NamedTuple):
    """One number: its name, its unit, and what it is."""

    name: str
    unit: str
    doc: str


FEATURE_SET = "customer-1"

FEATURES: tuple[Feature, ...] = (
    Feature("age_days", "days, log1p", "since the customer was first seen"),
    Feature("idle_days", "days, log1p", "since the last signal before this one"),
    Feature("since_order_days", "days, log1p", "since the last order; since first seen when there is none"),
    Feature("mean_gap_days", "days, log1p", "mean time between orders"),
    Feature("last_gap_days", "days, log1p", "time between the last two orders"),
    Feature("gap_ratio", "ratio, [0, 10]", "time since the last order over the mean gap"),
    Feature("orders", "count, log1p", "orders ever"),
    Feature("orders_30d", "count, log1p", "orders, exponentially decayed over 30 days"),
    Feature("order_value", "currency units, log1p", "mean order"),
    Feature("last_order_items", "count, log1p", "lines of the last order"),
    Feature("returns_rate", "ratio", "returns per order"),
    Feature("signals_1d", "count, log1p", "signals, decayed over a day"),
    Feature("signals_7d", "count, log1p", "signals, decayed over 7 days"),
    Feature("signals_30d", "count, log1p", "signals, decayed over 30 days"),
    Feature("views_7d", "count, log1p", "items looked at, decayed over 7 days"),
    Feature("searches_7d", "count, log1p", "searches, decayed over 7 days"),
    Feature("cart_items", "count, log1p", "lines in the cart"),
    Feature("cart_value", "currency units, log1p", "value of the cart"),
    Feature("session_signals", "count, log1p", "signals in the open session"),
    Feature("open_tickets", "count", "tickets open"),
    Feature("complaints_30d", "count, log1p", "complaints, decayed over 30 days"),
    Feature("mood", "[-1, 1]", "mood, decayed over 30 days"),
    Feature("contacts_7d", "count, log1p", "actions sent, decayed over 7 days"),
    Feature("contacts_30d", "count, log1p", "actions sent, decayed over 30 days"),
    Feature("responses_30d", "count, log1p", "opens, clicks and conversions, decayed over 30 days"),
    Feature("channels", "count", "channels used"),
    Feature("known", "0 or 1", "a person is known, not only a browser"),
    Feature("email_share", "ratio", "share of signals by e-mail"),
    Feature("store_share", "ratio", "share of signals at the point of sale"),
    Feature("weekend", "0 or 1", "the signal came on a Saturday or Sunday, UTC"),
    Feature("hour_sin", "[-1, 1]", "sine of the hour of day, UTC"),
    Feature("hour_cos", "[-1, 1]", "cosine of the hour of day, UTC"),
    Feature("is_order", "0 or 1", "the signal itself is an order"),
    Feature("is_service", "0 or 1", "the signal itself is a ticket or a call"),
)

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
INDEX = {name: position for position, name in enumerate(FEATURE_NAMES)}

# What a customer may do next, as the intent model sees it.
INTENTS: tuple[str, ...] = ("browse", "buy", "return", "complain", "leave")
