"""The real Python SDKs of Segment and RudderStack, unchanged, against the running gateway and a real Kafka."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from rudderstack.analytics.client import Client as RudderClient
from segment.analytics.client import Client as SegmentClient

from tests.peers.gateway import Door, gateway

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def door(kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with gateway(kafka, redis_url, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("sdk")) as found:
        yield found


@pytest.fixture(params=["segment", "segment gzip", "rudder", "rudder plain"])
def client(
    request: pytest.FixtureRequest, door: Door
) -> Iterator[tuple[SegmentClient | RudderClient, list[Exception]]]:
    """Each SDK as its users make it; what it reports as an error is kept."""
    errors: list[Exception] = []

    def on_error(error: Exception, _: object) -> None:
        errors.append(error)

    kind = request.param
    make = SegmentClient if kind.startswith("segment") else RudderClient
    made = make(
        door.keys["write"], host=door.url, gzip=kind in {"segment gzip", "rudder"}, on_error=on_error, max_retries=1
    )
    yield made, errors
    made.shutdown()


def test_every_call_arrives(door: Door, client: tuple[SegmentClient | RudderClient, list[Exception]]) -> None:
    """identify, track, page, screen, group and alias, each once, with its meaning."""
    sdk, errors = client
    user = f"u-{uuid.uuid4().hex}"
    sdk.identify(user, {"email": f"{user}@example.com", "city": "Shiraz"})
    sdk.track(
        user,
        "Order Completed",
        {
            "order_id": "o-1",
            "total": 12.5,
            "currency": "EUR",
            "products": [{"product_id": "p", "quantity": 1, "price": 12.5}],
        },
        timestamp=datetime(2026, 1, 2, tzinfo=UTC),
    )
    sdk.page(user, "Shop", "Home", {"url": "https://shop.example/"})
    sdk.screen(user, "App", "Cart", {})
    sdk.group(user, "g-1", {"plan": "gold"})
    sdk.alias("anon-1", user)
    sdk.flush()
    found = door.signals("web", lambda s: any(i["value"] == user for i in s["identifiers"]), 6)
    assert errors == []
    by_name = {signal["name"]: signal for signal in found}
    assert sorted(by_name) == ["aliased", "grouped", "identified", "order_completed", "page_viewed", "screen_viewed"]
    assert {"kind": "email", "value": f"{user}@example.com", "original": ""} in by_name["identified"]["identifiers"]
    assert by_name["identified"]["traits"]["values"]["city"] == "Shiraz"
    order = by_name["order_completed"]
    assert order["transaction"]["amount_minor"] == 1250
    assert abs(order["occurred_at_ms"] - datetime(2026, 1, 2, tzinfo=UTC).timestamp() * 1000) < 60_000
    assert {"kind": "anonymous_id", "value": "anon-1", "original": ""} in by_name["aliased"]["identifiers"]
    assert by_name["grouped"]["traits"]["values"]["group_id"] == "g-1"
    assert len({signal["id"] for signal in found}) == 6


def test_a_wrong_key_is_an_error_to_the_sdk(door: Door) -> None:
    """It must not believe that it delivered."""
    for make in (SegmentClient, RudderClient):
        errors: list[Exception] = []
        sdk = make("wrong", host=door.url, on_error=lambda e, _, errors=errors: errors.append(e), max_retries=1)
        sdk.track("u", "E")
        sdk.flush()
        sdk.shutdown()
        assert len(errors) == 1
        assert "401" in str(errors[0]) or "unauthorised" in str(errors[0])
