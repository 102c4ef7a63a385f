"""What the names of signals mean: Segment's e-commerce names in snake_case, and foreign names brought to them."""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from schemas.views import Signal

Role = Literal["view", "search", "add", "remove", "clear", "complaint", ""]

# Role of a behaviour by its name. First in each row the Segment name, then those of GA4, Shopify, Matomo and Meta.
_TABLE: Mapping[Role, tuple[str, ...]] = {
    "view": (
        "product_viewed", "product_clicked", "view_item", "product_view", "item_viewed", "view_content",
        "product_detail_viewed", "select_item",
    ),
    "search": (
        "products_searched", "product_searched", "search", "searched", "search_submitted", "view_search_results",
        "site_search",
    ),
    "add": ("product_added", "product_added_to_cart", "add_to_cart", "added_to_cart", "item_added", "cart_item_added"),
    "remove": (
        "product_removed", "product_removed_from_cart", "remove_from_cart", "removed_from_cart", "item_removed",
        "cart_item_removed",
    ),
    "clear": (
        "order_completed", "cart_cleared", "purchase", "checkout_completed", "order_placed", "cart_emptied",
    ),
    "complaint": ("complaint", "complaint_made", "complaint_submitted", "complained", "complaint_received"),
}  # fmt: skip
ROLES: Mapping[str, Role] = MappingProxyType({name: role for role, names in _TABLE.items() for name in names})

# Outcomes that the customer caused; delivered, failed, bounced and expired are the channel's doing.
CUSTOMER_OUTCOMES = frozenset({"opened", "clicked", "replied", "converted", "dismissed", "complained", "unsubscribed"})
# Answers of a customer to an action that are a sign of interest.
RESPONSES = frozenset({"opened", "clicked", "replied", "converted"})
# What the customer does in a service case; updated, resolved, closed and call_ended are the agent's doing.
CUSTOMER_SERVICE = frozenset({"opened", "call_started"})
TICKET_CLOSED = frozenset({"resolved", "closed"})

# Reasons of a ticket or call that are a complaint by themselves; others are one when the words say so.
COMPLAINT_REASONS = frozenset(
    {
        "complaint", "quality", "defect", "defective", "damaged", "wrong_item", "missing_item", "late_delivery",
        "not_delivered", "refund", "overcharged", "billing_error", "fraud", "service_quality", "rude",
    }
)  # fmt: skip

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OTHER = re.compile(r"[^a-z0-9]+")


def snake(name: str) -> str:
    """Return a foreign name in snake_case.

    Examples
    --------
    >>> snake("Product Viewed"), snake("addToCart"), snake("order-completed")
    ('product_viewed', 'add_to_cart', 'order_completed')
    """
    return _OTHER.sub("_", _CAMEL.sub("_", name).lower()).strip("_")


@lru_cache(maxsize=4096)  # a shop has a few hundred names; hostile ones push out only each other
def role_of(name: str) -> Role:
    """Return what a behaviour of this name does to the record; empty when it only counts."""
    return ROLES.get(name) or ROLES.get(snake(name), "")


@lru_cache(maxsize=1024)
def is_complaint_reason(reason: str) -> bool:
    """Say whether a ticket's reason is a complaint by itself."""
    return snake(reason) in COMPLAINT_REASONS


def is_activity(signal: Signal) -> bool:
    """Say whether the signal is the customer's own doing.

    Payments, refunds, consent records, traits, outbound messages and deliveries are not: a mailing must not make a
    silent customer look alive.
    """
    kind = signal["kind"]
    if kind == "behaviour" or kind == "survey":  # noqa: PLR1714 - the hot path: no tuple to search
        return True
    if kind == "transaction":
        transaction = signal.get("transaction")
        return transaction is not None and transaction["type"] in ("order", "return")
    if kind == "message":
        message = signal.get("message")
        return message is not None and message["direction"] == "inbound"
    if kind == "service":
        service = signal.get("service")
        return service is not None and service["event"] in CUSTOMER_SERVICE
    if kind == "outcome":
        outcome = signal.get("outcome")
        return outcome is not None and outcome["event"] in CUSTOMER_OUTCOMES
    return False
