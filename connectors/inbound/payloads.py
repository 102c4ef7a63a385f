"""Builders of typed payloads from an event's properties: one per kind of signal, all of them pure."""

from collections.abc import Callable, Mapping
from typing import Any

from connectors.inbound.fields import (
    LINE,
    URL,
    WORDS,
    PayloadError,
    currency_of,
    mapping,
    minor,
    needed,
    number,
    text,
    whole,
)
from schemas.views import Behaviour, Consent, Item, Message, Outcome, Service, Survey, Transaction

Properties = Mapping[str, Any]
# (properties, currency where none is named) → payload
Build = Callable[[Properties, str], Any]

# Lines of an order that are kept; a larger order is a wholesaler's, whose total still counts.
MAX_ITEMS = 500

_YES = frozenset({"true", "yes", "granted", "given", "1", "opted_in", "subscribed"})
_NO = frozenset({"false", "no", "denied", "withdrawn", "revoked", "0", "opted_out", "unsubscribed"})


def behaviour(properties: Properties, currency: str) -> Behaviour:
    """Return what the customer did."""
    found: Behaviour = {}
    get = properties.get
    if item := get("product_id") or get("sku") or get("item_id"):
        found["item_id"] = text(item)
    if category := get("category"):
        found["category"] = text(category)
    amount = get("price")
    if amount is None:
        amount = get("value")
    if amount is not None:
        found["value_minor"] = minor(amount, currency_of(get("currency"), currency), "properties.price")
    if (quantity := get("quantity")) is not None:
        found["quantity"] = whole(quantity, "properties.quantity")
    if query := get("query"):
        found["query"] = text(query, LINE)
    if url := get("url"):
        found["url"] = text(url, URL)
    return found


def removed(properties: Properties, currency: str) -> Behaviour:
    """Return what was taken out of the cart: its quantity is negative."""
    found = behaviour(properties, currency)
    found["quantity"] = -abs(found.get("quantity") or 1)
    return found


def transaction(kind: str) -> Build:
    """Return the builder for order, return, payment or refund."""

    def build(properties: Properties, default: str) -> Transaction:
        get = properties.get
        currency = currency_of(get("currency"), default)
        items = _items(get("products"), currency)
        amount = None
        for name in ("total", "revenue", "value", "amount"):
            amount = minor(get(name), currency, f"properties.{name}")
            if amount is not None:
                break
        if amount is None:
            if not items:
                raise PayloadError("missing-field", "properties.total is missing, and there are no products to add up")
            amount = sum(item["price_minor"] * item["quantity"] for item in items)
        return {
            "type": kind,
            "order_id": needed(get("order_id") or get("checkout_id"), "properties.order_id"),
            "amount_minor": abs(amount),  # some shops write refunds as negative orders; the type gives the direction
            "currency": currency,
            "items": items,
            "margin_minor": minor(get("margin"), currency, "properties.margin"),
            "coupon": text(get("coupon")),
        }

    return build


def _items(products: object, currency: str) -> list[Item]:
    if products is None:
        return []
    if type(products) is not list:
        raise PayloadError("bad-field", "properties.products is not a list")
    return [_item(mapping(product), currency, index) for index, product in enumerate(products[:MAX_ITEMS])]


def _item(product: Properties, currency: str, index: int) -> Item:
    get = product.get
    where = f"properties.products[{index}]"
    quantity = whole(get("quantity"), f"{where}.quantity")
    return {
        "item_id": needed(get("product_id") or get("sku") or get("item_id"), f"{where}.product_id"),
        "category": text(get("category")),
        "quantity": 1 if quantity is None else quantity,
        "price_minor": minor(get("price"), currency, f"{where}.price") or 0,
    }


def service(event: str) -> Build:
    """Return the builder for a ticket's or a call's event."""

    def build(properties: Properties, _: str) -> Service:
        get = properties.get
        return {
            "event": event,
            "ticket_id": text(get("ticket_id") or get("call_id")),
            "reason": text(get("reason") or get("category") or get("topic")),
            "priority": text(get("priority")),
            "duration_s": whole(get("duration_s") or get("duration"), "properties.duration"),
            "text": text(get("text") or get("subject") or get("message"), WORDS),
        }

    return build


def message(direction: str) -> Build:
    """Return the builder for words from or to the customer."""

    def build(properties: Properties, _: str) -> Message:
        get = properties.get
        return {
            "direction": direction,
            "text": text(get("text") or get("body") or get("message"), WORDS),
            "subject": text(get("subject"), LINE),
            "thread_id": text(get("thread_id") or get("conversation_id")),
            "language": text(get("language")),
        }

    return build


def survey(name: str, scale_max: float | None) -> Build:
    """Return the builder for an answer."""

    def build(properties: Properties, _: str) -> Survey:
        get = properties.get
        score = get("score")
        if score is None:
            score = get("rating")
        scale = number(get("scale_max"), "properties.scale_max")
        return {
            "survey": text(get("survey") or get("survey_name") or get("survey_id")) or name,
            "score": number(score, "properties.score"),
            "scale_max": scale_max if scale is None else scale,
            "text": text(get("text") or get("comment") or get("review_body"), WORDS),
        }

    return build


def consent(granted: bool | None) -> Build:
    """Return the builder for a consent; without a fixed answer the properties say whether it is granted."""

    def build(properties: Properties, _: str) -> Consent:
        get = properties.get
        answer = granted
        if answer is None:
            words = (text(get("granted")) or text(get("status")) or "").casefold().replace(" ", "_")
            if words not in _YES | _NO:
                raise PayloadError("missing-field", "properties.granted must be true or false")
            answer = words in _YES
        return {
            # What is unclear must not widen a consent, nor narrow a withdrawal: the purpose has to be said.
            "purpose": needed(get("purpose"), "properties.purpose"),
            "channel": text(get("channel")) or "*",
            "granted": answer,
            "proof": text(get("proof"), LINE),
        }

    return build


def outcome(event: str) -> Build:
    """Return the builder for what became of an action."""

    def build(properties: Properties, _: str) -> Outcome:
        get = properties.get
        return {
            "action_id": needed(get("action_id"), "properties.action_id"),
            "event": event,
            "action": text(get("action")),
            "delivered_on": text(get("channel")),
            "detail": text(get("link_url") or get("detail"), LINE),
        }

    return build
