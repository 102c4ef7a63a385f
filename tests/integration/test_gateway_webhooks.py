"""Signed webhooks against a real gateway, Kafka and Redis: believed only when signed, and counted once."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
import requests
from standardwebhooks import Webhook

from tests.peers.gateway import Door, gateway

pytestmark = pytest.mark.kafka

OLD, NEW = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
SHOPIFY, TWILIO = "shopify-secret-of-this-test", "twilio-token-of-this-test"
PUBLIC = "https://sada.shop.example"


@pytest.fixture(scope="module")
def door(kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("webhooks")
    file = folder / "webhooks.json"
    sources = [
        {"provider": "standard", "source": "crm", "secrets": [OLD, NEW], "channel": "crm"},
        {"provider": "shopify", "source": "main", "secrets": [SHOPIFY]},
        {"provider": "twilio", "source": "sms", "secrets": [TWILIO]},
    ]
    file.write_text(json.dumps({"sources": sources}))
    more = {"SADA_WEBHOOKS": str(file), "SADA_PUBLIC_URL": PUBLIC}
    with gateway(kafka, redis_url, f"t{uuid.uuid4().hex[:10]}-", folder, **more) as found:
        yield found


def _signal(**fields: Any) -> dict[str, Any]:
    return {
        "kind": "service",
        "name": "Ticket Opened",
        "identifiers": [{"kind": "email", "value": "Sara@Example.com"}],
        "service": {"event": "opened", "ticket_id": uuid.uuid4().hex, "reason": "delivery"},
        **fields,
    }


def _standard(
    payload: Any, *, secret: str = OLD, at_s: float | None = None, id_: str | None = None
) -> tuple[bytes, dict[str, str]]:
    from datetime import UTC, datetime

    at = time.time() if at_s is None else at_s
    id_ = id_ or f"msg_{uuid.uuid4().hex}"
    body = payload if isinstance(payload, str) else json.dumps(payload)
    signature = Webhook(secret).sign(id_, datetime.fromtimestamp(at, UTC), body)
    return body.encode(), {"webhook-id": id_, "webhook-timestamp": str(int(at)), "webhook-signature": signature}


def _send(door: Door, body: bytes, headers: dict[str, str], path: str = "standard/crm") -> requests.Response:
    return requests.post(f"{door.url}/v1/webhooks/{path}", data=body, headers=headers, timeout=20)


def _tickets(door: Door, payload: dict[str, Any], count: int = 1) -> list[dict[str, Any]]:
    wanted = payload["service"]["ticket_id"]
    return door.signals("crm", lambda s: (s["service"] or {}).get("ticket_id") == wanted, count)


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_signed_by_either_secret(door: Door, secret: str) -> None:
    """During a rotation both secrets hold; what the vendor's own library signs is believed."""
    payload = _signal()
    answer = _send(door, *_standard(payload, secret=secret))
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    found = _tickets(door, payload)[0]
    assert (found["channel"], found["source"]) == ("crm", "standard/crm")
    assert found["identifiers"] == [{"kind": "email", "value": "sara@example.com", "original": "Sara@Example.com"}]


def test_a_replay_is_200_and_counts_once(door: Door) -> None:
    """Redis remembers the webhook; where it does not, the signal's id is the same and the pipeline counts it once."""
    payload = _signal()
    body, headers = _standard(payload)
    assert [_send(door, body, headers).status_code for _ in range(3)] == [200, 200, 200]
    marker = _signal()
    _send(door, *_standard(marker))
    assert _tickets(door, marker)
    assert len(_tickets(door, payload)) == 1
    client = redis.Redis.from_url(door.redis)
    for key in client.scan_iter(f"{door.prefix}webhook:*"):
        client.delete(key)
    client.close()
    assert _send(door, body, headers).status_code == 200
    again = _tickets(door, payload, 2)
    assert len(again) == 2
    assert again[0]["id"] == again[1]["id"]


Headers = dict[str, str]
MUTATIONS: dict[str, Callable[[bytes, Headers], tuple[bytes, Headers]]] = {
    "no signature": lambda b, h: (b, {k: v for k, v in h.items() if k != "webhook-signature"}),
    "no headers": lambda b, h: (b, {}),
    "no id": lambda b, h: (b, {k: v for k, v in h.items() if k != "webhook-id"}),
    "another id": lambda b, h: (b, {**h, "webhook-id": "msg_other"}),
    "altered body": lambda b, h: (b.replace(b"opened", b"closed"), h),
    "one more byte": lambda b, h: (b + b" ", h),
    "not UTF-8": lambda b, h: (b"\xff\xfe" + b, h),
    "another time": lambda b, h: (b, {**h, "webhook-timestamp": str(int(h["webhook-timestamp"]) + 1)}),
    "no number": lambda b, h: (b, {**h, "webhook-timestamp": "soon"}),
    "not ASCII digits": lambda b, h: (b, {**h, "webhook-timestamp": "\u0661\u0662".encode().decode("latin-1")}),
    "huge number": lambda b, h: (b, {**h, "webhook-timestamp": "9" * 300}),
    "another version": lambda b, h: (b, {**h, "webhook-signature": h["webhook-signature"].replace("v1,", "v2,")}),
    "no base64": lambda b, h: (b, {**h, "webhook-signature": "v1,***"}),
    "empty": lambda b, h: (b, {**h, "webhook-signature": "v1,"}),
    "truncated": lambda b, h: (b, {**h, "webhook-signature": h["webhook-signature"][:-6]}),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_altered_is_401(door: Door, name: str) -> None:
    """Whatever is changed: 401, never 500, and nothing comes in."""
    payload = _signal()
    body, headers = MUTATIONS[name](*_standard(payload))
    answer = _send(door, body, headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorised")


@pytest.mark.parametrize("shift_s", [-310, 310])
def test_old_and_future_are_401(door: Door, shift_s: int) -> None:
    """Well signed, but not now: a recording."""
    assert _send(door, *_standard(_signal(), at_s=time.time() + shift_s)).status_code == 401


def test_wrong_secret_and_wrong_source(door: Door) -> None:
    """Nobody learns which sources exist."""
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    answers = [
        _send(door, *_standard(_signal(), secret=other)),
        _send(door, *_standard(_signal()), path="standard/nobody"),
        _send(door, *_standard(_signal()), path="nobody/crm"),
        _send(door, *_standard(_signal()), path="shopify/main"),
    ]
    assert [(a.status_code, a.json()["code"]) for a in answers] == [(401, "unauthorised")] * 4
    assert len({a.json()["message"] for a in answers}) == 1


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ("{", "bad-json"),
        ("7", "not-an-object"),
        ({"kind": "magic"}, "unknown-type"),
        (_signal(identifiers=[]), "no-identifier"),
        (_signal(service={"event": 7}), "bad-field"),
        (_signal(service={}), "missing-field"),
        (_signal(identifiers=[{"kind": "customer_id", "value": "0" * 32}]), "no-identifier"),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value else "",
)
def test_signed_but_no_signal(door: Door, payload: Any, code: str) -> None:
    """A dead letter, and 200: no retry would help."""
    body, headers = _standard(payload)
    assert _send(door, body, headers).status_code == 200
    letters = door.dead_letters(lambda d: d["code"] == code and d["topic"] == "/v1/webhooks/standard/crm")
    assert letters


def _shopify(payload: dict[str, Any], topic: str = "orders/create") -> tuple[bytes, dict[str, str]]:
    body = json.dumps(payload).encode()
    signature = base64.b64encode(hmac.new(SHOPIFY.encode(), body, hashlib.sha256).digest()).decode()
    return body, {
        "X-Shopify-Hmac-SHA256": signature,
        "X-Shopify-Topic": topic,
        "X-Shopify-Webhook-Id": str(uuid.uuid4()),
    }


def test_shopify_order(door: Door) -> None:
    """An order with its lines, amounts in minor units, and its customer by all names."""
    number = uuid.uuid4().int % 10**12
    order = {
        "id": number,
        "created_at": "2026-10-01T12:00:00+03:30",
        "total_price": "79.90",
        "currency": "EUR",
        "email": "sara@example.com",
        "customer": {"id": 5, "phone": "+989121234567"},
        "discount_codes": [{"code": "SPRING"}],
        "line_items": [{"product_id": 11, "quantity": 2, "price": "39.95"}],
    }
    assert _send(door, *_shopify(order), path="shopify/main").status_code == 200
    signal = door.signals("web", lambda s: (s["transaction"] or {}).get("order_id") == str(number))[0]
    assert signal["name"] == "order_completed"
    transaction = signal["transaction"]
    assert (transaction["type"], transaction["amount_minor"], transaction["coupon"]) == ("order", 7990, "SPRING")
    assert transaction["items"] == [{"item_id": "11", "category": None, "quantity": 2, "price_minor": 3995}]
    kinds = {i["kind"]: i["value"] for i in signal["identifiers"]}
    assert kinds == {"email": "sara@example.com", "phone": "+989121234567", "crm_id": "shopify:5"}
    body, headers = _shopify(order)
    assert _send(door, body + b" ", headers, path="shopify/main").status_code == 401


def test_shopify_topics_that_nobody_reads(door: Door) -> None:
    """A dead letter says which; the vendor does not try for two days."""
    assert _send(door, *_shopify({"id": 1}, topic="themes/publish"), path="shopify/main").status_code == 200
    assert door.dead_letters(lambda d: "themes/publish" in d["detail"])


def test_twilio_message(door: Door) -> None:
    """Signed over the public address and the sorted form; answered in TwiML; WhatsApp is a channel of its own."""
    form = {
        "MessageSid": uuid.uuid4().hex,
        "From": "whatsapp:+989121234567",
        "To": "+1555",
        "Body": "کجاست؟",
        "New": "",
    }
    url = f"{PUBLIC}/v1/webhooks/twilio/sms"
    signed = url + "".join(k + form[k] for k in sorted(form))
    signature = base64.b64encode(hmac.new(TWILIO.encode(), signed.encode(), hashlib.sha1).digest()).decode()
    request = requests.Request(
        "POST", f"{door.url}/v1/webhooks/twilio/sms", data=form, headers={"X-Twilio-Signature": signature}
    )
    prepared = request.prepare()
    answer = requests.Session().send(prepared, timeout=20)
    assert (answer.status_code, answer.text) == (200, "<Response></Response>")
    assert answer.headers["Content-Type"].startswith("text/xml")
    signal = door.signals("whatsapp", lambda s: s["message"] is not None)[0]
    assert (signal["message"]["direction"], signal["message"]["text"]) == ("inbound", "کجاست؟")
    assert signal["identifiers"] == [{"kind": "phone", "value": "+989121234567", "original": ""}]
    altered = requests.post(
        prepared.url or "", data={**form, "Body": "x"}, headers={"X-Twilio-Signature": signature}, timeout=20
    )
    assert altered.status_code == 401


def test_secrets_are_in_no_log(door: Door) -> None:
    """Neither old nor new, nor a signature."""
    body, headers = _standard(_signal())
    assert _send(door, body + b" ", headers).status_code == 401
    log = door.log.read_text()
    assert "webhook refused" in log
    assert not any(secret in log for secret in (OLD, NEW, SHOPIFY, TWILIO, "v1,"))
