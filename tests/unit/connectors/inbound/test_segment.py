"""What messages of Segment and RudderStack come to."""

from typing import Any

import pytest

from connectors.inbound.fields import PayloadError
from connectors.inbound.segment import Arrival, Source, occurred_ms, parse
from connectors.inbound.vocabulary import EVENTS
from schemas.identifiers import Identifier
from schemas.wire import codec_of

NOW = 1_790_000_000_000
SHOP = Source("shop", region="IR")


def signal(item: dict[str, Any], kind: str | None = "track", source: Source = SHOP, **arrival: Any) -> dict[str, Any]:
    """Parse, and pass through the codec: what the contract refuses, fails here."""
    found, _ = parse({"userId": "u1", **item}, kind, Arrival(NOW, **arrival), source)
    codec = codec_of("signal")
    return codec.decode(codec.encode(found))


def test_every_event_of_the_table_fits_the_contract() -> None:
    """Each row builds a payload of its kind that the schema takes, and nothing else."""
    properties = {
        "order_id": "o1",
        "total": 10,
        "action_id": "ab",
        "purpose": "marketing",
        "granted": True,
        "score": 9,
        "text": "words",
        "ticket_id": "t",
    }
    payloads = {"behaviour", "transaction", "message", "survey", "service", "consent", "outcome"}
    for name, recipe in EVENTS.items():
        found = signal({"event": name, "properties": properties})
        assert (found["kind"], found["name"]) == (recipe.kind, name)
        assert {payload for payload in payloads if found[payload] is not None} == {recipe.kind}


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ("Product Viewed", "product_viewed"),
        ("orderStarted", "order_started"),
        ("  خرید  تازه ", "خرید_تازه"),
        ("a--b", "a_b"),
    ],
)
def test_unknown_events_are_behaviour_in_snake_case(event: str, name: str) -> None:
    """In any script."""
    assert (signal({"event": event})["kind"], signal({"event": event})["name"]) == ("behaviour", name)


def test_order() -> None:
    """Amounts in minor units of their currency; lines kept; a total is added up where none is said."""
    products = [{"sku": "a", "price": "19.99", "quantity": 2}, {"product_id": 7, "price": 5}]
    order = {"order_id": 12, "currency": "eur", "products": products, "coupon": "X"}
    found = signal({"event": "Order Completed", "properties": order})["transaction"]
    assert (found["amount_minor"], found["currency"], found["order_id"], found["coupon"]) == (4498, "EUR", "12", "X")
    assert [(i["item_id"], i["quantity"], i["price_minor"]) for i in found["items"]] == [("a", 2, 1999), ("7", 1, 500)]


@pytest.mark.parametrize(
    ("currency", "value", "minor"), [("IRR", 250_000, 250_000), ("JPY", 12, 12), ("KWD", 1.5, 1500), ("USD", 0.1, 10)]
)
def test_minor_units(currency: str, value: float, minor: int) -> None:
    """Not every currency has hundredths."""
    found = signal(
        {"event": "Payment Completed", "properties": {"order_id": "o", "total": value, "currency": currency}}
    )
    assert found["transaction"]["amount_minor"] == minor


def test_refunds_are_positive() -> None:
    """The type gives the direction, whatever sign the shop writes."""
    found = signal({"event": "Order Refunded", "properties": {"order_id": "o", "total": -5}})["transaction"]
    assert (found["type"], found["amount_minor"]) == ("refund", 500)


def test_removed_from_the_cart_is_negative() -> None:
    """As the contract says."""
    assert signal({"event": "Product Removed", "properties": {"quantity": 3}})["behaviour"]["quantity"] == -3


def test_outcomes_need_an_action_of_ours() -> None:
    """An e-mail of another system is behaviour; one of ours is an outcome, with the channel that carried it."""
    assert signal({"event": "Email Opened"})["kind"] == "behaviour"
    found = signal(
        {"event": "Email Link Clicked", "properties": {"action_id": "ab12"}, "context": {"channel": "email"}}
    )
    assert (found["kind"], found["channel"]) == ("outcome", "outcome")
    assert (found["outcome"]["event"], found["outcome"]["delivered_on"]) == ("clicked", "email")


@pytest.mark.parametrize(("said", "granted"), [(True, True), ("denied", False), ("opted in", True), ("0", False)])
def test_consent(said: object, granted: bool) -> None:
    """In the words that forms use."""
    found = signal({"event": "Consent Updated", "properties": {"purpose": "marketing", "granted": said}})["consent"]
    assert (found["granted"], found["channel"]) == (granted, "*")


@pytest.mark.parametrize(
    "properties", [{"granted": True}, {"purpose": "marketing"}, {"purpose": "m", "granted": "maybe"}]
)
def test_unclear_consent_is_refused(properties: dict[str, Any]) -> None:
    """Neither widened nor narrowed by a guess."""
    with pytest.raises(PayloadError):
        signal({"event": "Consent Updated", "properties": properties})


def test_identify() -> None:
    """Names of the person become identifiers, the rest traits; a phone number of its region, in its own digits."""
    traits = {
        "email": "Sara@X.com",
        "phone": "۰۹۱۲۳۴۵۶۷۸۹",
        "firstName": "Sara",
        "address": {"city": "Tehran"},
        "age": None,
    }
    found = signal({"traits": traits}, "identify")
    values = {i["kind"]: i["value"] for i in found["identifiers"]}
    assert values == {"user_id": "u1", "email": "sara@x.com", "phone": "+989123456789"}
    assert found["traits"]["values"] == {"first_name": "Sara", "address_city": "Tehran"}


def test_a_useless_identifier_costs_only_itself() -> None:
    """A bad address among good names is left out; without any usable one the reasons are told."""
    found, identifiers = parse(
        {"userId": "unknown", "anonymousId": "a1", "event": "E", "context": {"traits": {"email": "none"}}},
        "track",
        Arrival(NOW),
        SHOP,
    )
    assert identifiers == [Identifier("anonymous_id", "a1")]
    assert found["identifiers"] == [{"kind": "anonymous_id", "value": "a1", "original": ""}]
    with pytest.raises(PayloadError, match=r"names nobody.*characters") as caught:
        parse({"userId": "unknown", "anonymousId": "x" * 10_000, "event": "E"}, "track", Arrival(NOW), SHOP)
    assert caught.value.code == "no-identifier"


def test_nobody_may_name_a_customer_directly() -> None:
    """A customer's own id is for Sada's parts among themselves: outside it would open any record."""
    item = {"event": "E", "context": {"externalIds": [{"type": "customer_id", "id": "0" * 32}]}}
    found = signal(item)
    assert [i["kind"] for i in found["identifiers"]] == ["user_id"]


@pytest.mark.parametrize(
    ("received", "sent", "original", "occurred"),
    [
        (NOW, NOW, NOW - 5_000, NOW - 5_000),
        (NOW, NOW + 31_536_000_000, NOW + 31_535_995_000, NOW - 5_000),  # a clock a year ahead
        (NOW, NOW - 31_536_000_000, NOW - 31_536_005_000, NOW - 5_000),  # and a year behind
        (NOW, None, NOW - 86_400_000, NOW - 86_400_000),  # an import
        (NOW, None, NOW + 86_400_000, NOW),  # never in the future
        (NOW, NOW, NOW + 9_000, NOW),
        (NOW, NOW, None, NOW),
    ],
)
def test_clocks(received: int, sent: int | None, original: int | None, occurred: int) -> None:
    """The client's error is taken off when it says when it sent."""
    assert occurred_ms(received, sent, original) == occurred


@pytest.mark.parametrize("value", ["soon", "1800-01-01", 5, 10**18, -1, True, "9" * 39, {"$date": 1}, [1]])
def test_bad_times_are_named(value: object) -> None:
    """A time that is none is not silently now."""
    with pytest.raises(PayloadError, match="timestamp") as caught:
        signal({"event": "E", "timestamp": value})
    assert caught.value.code == "bad-time"


@pytest.mark.parametrize("value", ["1.5e400", "nan", "inf", "many", {}, [1], True])
def test_bad_numbers_are_named(value: object) -> None:
    """Where and what."""
    with pytest.raises(PayloadError, match=r"properties\.total") as caught:
        signal({"event": "Order Completed", "properties": {"order_id": "o", "total": value}})
    assert caught.value.code == "bad-number"


def test_ids() -> None:
    """An id is kept; too long it is shortened, always alike; without one a dated message is named by its content."""
    assert signal({"event": "E", "messageId": "m" * 100})["id"] == "m" * 100
    long = [signal({"event": "E", "messageId": "m" * 101})["id"] for _ in range(2)]
    assert long[0] == long[1]
    assert len(long[0]) <= 100
    dated = [signal({"event": "E", "timestamp": "2026-01-01"})["id"] for _ in range(2)]
    assert dated[0] == dated[1] != signal({"event": "F", "timestamp": "2026-01-01"})["id"]
    assert signal({"event": "E"})["id"] != signal({"event": "E"})["id"]


@pytest.mark.parametrize(
    ("source", "context", "channel"),
    [
        (SHOP, {}, "web"),
        (SHOP, {"channel": "call-centre"}, "call-centre"),
        (SHOP, {"channel": "mobile"}, "app"),
        (SHOP, {"channel": "outcome"}, "web"),
        (SHOP, {"channel": ["web"]}, "web"),
        (SHOP, {"library": {"name": "analytics-ios"}}, "app"),
        (Source("tills", "pos"), {"channel": "web"}, "pos"),
    ],
)
def test_channels(source: Source, context: dict[str, Any], channel: str) -> None:
    """The key's, else the message's own word, else by library; nobody outside chooses the outcomes' topic."""
    assert signal({"event": "E", "context": context}, source=source)["channel"] == channel


def test_a_batch_s_context_is_every_item_s() -> None:
    """The item's own wins."""
    found = signal({"event": "E", "context": {"locale": "ar"}}, context={"locale": "fa", "timezone": "Asia/Tehran"})
    assert (found["context"]["locale"], found["context"]["time_zone"]) == ("ar", "Asia/Tehran")


def test_wide_properties_are_bounded() -> None:
    """At most fifty further values, each cut; nested objects two deep."""
    properties = {f"p{n}": "v" * 9_000 for n in range(500)} | {"o": {"a": {"b": 1}, "c": 2}}
    extra = signal({"event": "E", "properties": properties})["context"]["extra"]
    assert len(extra) == 50
    assert max(len(value) for value in extra.values()) == 500


@pytest.mark.parametrize("item", [None, 7, "x", [], [{}]])
def test_no_object(item: object) -> None:
    """Whatever stands in a batch."""
    with pytest.raises(PayloadError) as caught:
        parse(item, None, Arrival(NOW), SHOP)
    assert caught.value.code == "not-an-object"


@pytest.mark.parametrize("kind", [None, 7, "", "delete", ["track"]])
def test_unknown_types(kind: object) -> None:
    """Named, with what there is."""
    with pytest.raises(PayloadError, match="identify") as caught:
        parse({"type": kind, "userId": "u"}, None, Arrival(NOW), SHOP)
    assert caught.value.code == "unknown-type"
