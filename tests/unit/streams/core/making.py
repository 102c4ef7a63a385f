"""Signals and customers for the tests of the core: complete, as the codec gives them."""

from typing import Any, cast

from schemas.views import Signal
from streams.core.facet import fold, new_facet
from streams.core.facet_state import Facet
from streams.core.state import Member, Root

# 2023-11-14 22:13:20 UTC, a Tuesday.
T = 1_700_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_EMPTY = dict.fromkeys(
    ("behaviour", "transaction", "message", "survey", "service", "consent", "outcome", "traits"), None
)


def make(kind: str = "behaviour", payload: dict[str, Any] | None = None, **envelope: Any) -> Signal:
    """Return a signal of a kind with its payload; ``at`` is when it occurred."""
    at = envelope.pop("at", T)
    context = envelope.pop("context", {})
    signal = {
        "id": f"{kind}-{at}",
        "kind": kind,
        "name": "page_viewed",
        "channel": "web",
        "source": "shop-web",
        "identifiers": [{"kind": "anonymous_id", "value": "a1"}],
        "occurred_at_ms": at,
        "original_at_ms": None,
        "sent_at_ms": None,
        "received_at_ms": at + 100,
        **_EMPTY,
        "context": {"extra": {}, **context},
    }
    signal[kind] = {} if payload is None else payload
    return cast("Signal", signal | envelope)


def look(item: str, at: int = T, **envelope: Any) -> Signal:
    """Return a look at an item."""
    return make(payload={"item_id": item}, name="product_viewed", at=at, **envelope)


def cart(name: str, item: str, at: int = T, quantity: int | None = None, price: int = 500) -> Signal:
    """Return a change of the cart."""
    return make(
        payload={"item_id": item, "quantity": quantity, "value_minor": price},
        name=name,
        at=at,
        id=f"{name}-{item}-{at}",
    )


def order(at: int = T, amount: int = 1000, lines: int = 2, **envelope: Any) -> Signal:
    """Return an order, a return, ... in euros."""
    payload = {
        "type": envelope.pop("type", "order"),
        "order_id": f"o-{at}",
        "amount_minor": amount,
        "currency": envelope.pop("currency", "EUR"),
        "items": [{"item_id": f"i{n}", "quantity": 1, "price_minor": 1} for n in range(lines)],
        "margin_minor": envelope.pop("margin", None),
    }
    envelope.setdefault("name", "order_completed")
    return make("transaction", payload, at=at, **envelope)


def message(text: str, at: int = T, direction: str = "inbound", **envelope: Any) -> Signal:
    """Return a message."""
    return make("message", {"direction": direction, "text": text}, at=at, name="message_received", **envelope)


def service(event: str, at: int = T, **payload: Any) -> Signal:
    """Return an event of a ticket or a call."""
    return make("service", {"event": event, **payload}, at=at, name=event, channel="call-centre", id=f"{event}-{at}")


def consent(granted: bool, at: int = T, purpose: str = "marketing", channel: str = "email") -> Signal:
    """Return a word on consent."""
    payload = {"purpose": purpose, "channel": channel, "granted": granted, "proof": "form 7"}
    return make("consent", payload, at=at, name="consent_changed", id=f"c-{at}-{granted}-{purpose}-{channel}")


def outcome(event: str, at: int = T, **payload: Any) -> Signal:
    """Return what came of an action."""
    full = {"action_id": "ab12", "event": event, "action": "win_back", "delivered_on": "email", **payload}
    return make("outcome", full, at=at, name=event, channel="outcome", id=f"{event}-{at}")


def traits(values: dict[str, str], at: int = T, **envelope: Any) -> Signal:
    """Return stated attributes."""
    return make("traits", {"values": values}, at=at, name="identified", **envelope)


def folded(*signals: Signal, node: bytes = b"n" * 16) -> Facet:
    """Return the facet that signals come to."""
    facet = new_facet(node)
    for signal in signals:
        fold(facet, signal, signal["occurred_at_ms"])
    return facet


def customer(*facets: Facet, since_ms: int = T, kind: str = "anonymous_id") -> Root:
    """Return a customer of facets, each node a member."""
    members = {facet.node: Member(kind, facet.node.hex(), since_ms, "s") for facet in facets}
    return Root(facets[0].node, T, members, {facet.node: facet for facet in facets})
