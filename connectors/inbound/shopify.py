"""Shopify's webhooks → messages: orders, checkouts and customers."""

from collections.abc import Callable, Mapping
from typing import Any

from connectors.inbound.fields import PayloadError, mapping

Payload = Mapping[str, Any]


def messages(headers: Mapping[str, str], payload: Payload) -> list[dict[str, Any]]:
    """Return the messages that a webhook comes to.

    Raises
    ------
    PayloadError
        unknown-type, for a topic that is not in the table
    """
    topic = headers.get("x-shopify-topic", "")
    build = _TOPICS.get(topic)
    if build is None:
        raise PayloadError("unknown-type", f"topic {topic[:60]!r} is not one of {', '.join(_TOPICS)}")
    return [build(payload)]


def _order(event: str) -> Callable[[Payload], dict[str, Any]]:
    def build(order: Payload) -> dict[str, Any]:
        codes = order.get("discount_codes")
        lines = order.get("line_items")
        return {
            **_who(order, mapping(order.get("customer"))),
            "type": "track",
            "event": event,
            "timestamp": order.get("created_at"),
            "properties": {
                "order_id": order.get("id"),
                "total": order.get("total_price"),
                "currency": order.get("currency"),
                "coupon": mapping(codes[0]).get("code") if isinstance(codes, list) and codes else None,
                "products": [_line(mapping(line)) for line in lines] if isinstance(lines, list) else None,
                "order_number": order.get("order_number"),
            },
        }

    return build


def _line(line: Payload) -> dict[str, Any]:
    return {
        "product_id": line.get("product_id") or line.get("sku") or line.get("id"),
        "quantity": line.get("quantity"),
        "price": line.get("price"),
        "category": line.get("product_type"),
    }


def _customer(customer: Payload) -> dict[str, Any]:
    address = mapping(customer.get("default_address"))
    names = ("first_name", "last_name", "tags", "note")
    traits = {name: customer.get(name) for name in names}
    return {
        **_who(customer, customer),
        "type": "identify",
        "timestamp": customer.get("updated_at") or customer.get("created_at"),
        "traits": {**traits, "city": address.get("city"), "country": address.get("country_code")},
    }


def _who(payload: Payload, customer: Payload) -> dict[str, Any]:
    """Return how the customer is named: Shopify's own id is one system's among others, so it is no user_id."""
    number = customer.get("id")
    context: dict[str, Any] = {
        "traits": {
            "email": payload.get("email") or customer.get("email"),
            "phone": payload.get("phone") or customer.get("phone"),
        }
    }
    if number is not None:
        context["externalIds"] = [{"type": "crm_id", "id": f"shopify:{number}"}]
    return {"context": context}


_TOPICS: Mapping[str, Callable[[Payload], dict[str, Any]]] = {
    "orders/create": _order("Order Completed"),
    "orders/cancelled": _order("Order Cancelled"),
    "checkouts/create": _order("Checkout Started"),
    "customers/create": _customer,
    "customers/update": _customer,
}
