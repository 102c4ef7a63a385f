"""One history of three customers, and four doors through which it can come in: each says it in its own words."""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import requests
import yaml
from confluent_kafka import Producer
from segment.analytics.client import Client
from standardwebhooks import Webhook
from typer.testing import CliRunner

from schemas.topics import signals
from schemas.wire import codec_of
from streams.cli import build
from tests.peers.gateway import Door

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
# Webhooks of the file for SADA_WEBHOOKS; every door speaks of the channel web, for a file may say any but outcome.
SOURCES = {"sources": [{"provider": "standard", "source": "crm", "secrets": [SECRET], "channel": "web"}]}
_HOUR_MS = 3_600_000
# No signal within half an hour of a window's edge (1, 7, 30, 90 days): an hour that ends during the test moves none.
_AGES_H = (2_000, 1_400, 1_000, 500, 490, 480, 300, 120, 100, 80, 72, 60, 10, 9)


class Said(NamedTuple):
    """One signal, before any door.

    Parameters
    ----------
    event : the SDK's word for it; ``identify`` for traits
    who : identifiers as the customer typed them
    payload : as schemas/avro/signal.avsc says
    properties : the same in Segment's words
    """

    kind: str
    event: str
    name: str
    who: Mapping[str, str]
    payload: Mapping[str, Any]
    properties: Mapping[str, Any]


_SARA = {"user_id": "U-Sara", "email": "Sara.Ahmadi@Example.COM"}
_SARA_PHONE = {"user_id": "U-Sara", "phone": "۰۹۱۲ ۳۴۵ ۶۷۸۹"}
_REZA = {"user_id": "u-reza", "email": "REZA+shop@EXAMPLE.org"}
_LEILA = {"anonymous_id": "Tablet-7", "phone": "+۹۸ (۹۳۵) ۱۱۱-۲۲۳۳"}


def _order(kind: str, event: str, who: Mapping[str, str], number: str, price: str, quantity: int) -> Said:  # noqa: PLR0917 - a row of the history
    minor = round(float(price) * 100)
    line = {"item_id": "tea", "category": None, "quantity": quantity, "price_minor": minor}
    payload = {"type": kind, "order_id": number, "amount_minor": minor * quantity, "currency": "EUR", "items": [line]}
    product = {"product_id": "tea", "quantity": quantity, "price": float(price)}
    told = {"order_id": number, "total": minor * quantity / 100, "currency": "EUR", "products": [product]}
    return Said("transaction", event, event.lower().replace(" ", "_"), who, payload, told)


def _seen(event: str, who: Mapping[str, str], **payload: Any) -> Said:
    properties = {"product_id" if name == "item_id" else name: value for name, value in payload.items()}
    return Said("behaviour", event, event.lower().replace(" ", "_"), who, payload, properties)


def _ticket(event: str, who: Mapping[str, str], happened: str, text: str) -> Said:
    told = {"ticket_id": "t-1", "reason": "delivery", "priority": "high", "text": text}
    return Said("service", event, event.lower().replace(" ", "_"), who, {"event": happened, **told}, told)


def _traits(who: Mapping[str, str], **values: str) -> Said:
    return Said("traits", "identify", "identified", who, values, values)


_MAIL = {"purpose": "marketing", "channel": "email", "granted": True, "proof": "form-12"}
_NO_SMS = {"purpose": "marketing", "channel": "sms", "granted": False, "proof": "call-9"}
_NPS = {"survey": "nps", "score": 9.0, "scale_max": 10.0, "text": "great tea"}
_WORDS = {"direction": "inbound", "text": "سفارش من کجاست؟", "thread_id": "th-1"}
# Those of one name follow each other: a file is read once for each, and all doors must say it in one order.
HISTORY: Sequence[Said] = (
    _traits(_SARA, city="تهران", language="fa"),
    _traits(_REZA, city="Shiraz", vip="true"),
    _order("order", "Order Completed", _SARA_PHONE, "o-1", "4.50", 2),
    _order("order", "Order Completed", _REZA, "o-2", "19.99", 1),
    _order("order", "Order Completed", _SARA, "o-3", "7.25", 4),
    _seen("Product Viewed", _LEILA, item_id="cup", category="kitchen"),
    _seen("Products Searched", _LEILA, query="چای سبز"),
    Said("consent", "Consent Granted", "consent_granted", _SARA, _MAIL, _MAIL),
    Said("consent", "Consent Withdrawn", "consent_withdrawn", _REZA, _NO_SMS, _NO_SMS),
    _ticket("Ticket Opened", _SARA_PHONE, "opened", "where is my parcel, this is awful"),
    Said("message", "Message Received", "message_received", _REZA, _WORDS, _WORDS),
    Said("survey", "NPS Answered", "nps_answered", _REZA, _NPS, _NPS),
    _order("return", "Order Returned", _REZA, "o-2", "19.99", 1),
    _seen("Product Added", _SARA, item_id="pot", category="kitchen", quantity=2),
)


def moments(now_ms: int) -> list[int]:
    """Return when each signal of the history happened, epoch ms, at half past an hour, oldest first."""
    hour = now_ms // _HOUR_MS * _HOUR_MS
    return [hour - age * _HOUR_MS + _HOUR_MS // 2 for age in _AGES_H]


def _when(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def by_sdk(door: Door, at_ms: Sequence[int]) -> None:
    """Segment's own Python SDK, as its users write it."""
    errors: list[Exception] = []
    sdk = Client(
        door.keys["write"], host=door.url, gzip=True, on_error=lambda error, _: errors.append(error), max_retries=1
    )
    for said, at in zip(HISTORY, at_ms, strict=True):
        named = {"user_id": said.who.get("user_id"), "anonymous_id": said.who.get("anonymous_id")}
        traits = {kind: value for kind, value in said.who.items() if kind not in named}
        more = {**named, "context": {"traits": traits}, "timestamp": _when(at)}
        if said.event == "identify":
            sdk.identify(traits=dict(said.properties), **more)
        else:
            sdk.track(event=said.event, properties=dict(said.properties), **more)
    sdk.flush()
    sdk.shutdown()
    assert errors == []


def _spoken(said: Said, at_ms: int, id_: str) -> dict[str, Any]:
    """Return a signal as a system speaks it that knows our own form: nothing is normalised."""
    identifiers = [{"kind": kind, "value": value} for kind, value in said.who.items()]
    payload = {"values": dict(said.payload)} if said.kind == "traits" else dict(said.payload)
    head = {"id": id_, "kind": said.kind, "name": said.name, "channel": "web", "identifiers": identifiers}
    return {**head, "occurred_at_ms": at_ms, said.kind: payload}


def by_webhook(door: Door, at_ms: Sequence[int]) -> None:
    """Webhooks signed by the standard's own library."""
    for index, (said, at) in enumerate(zip(HISTORY, at_ms, strict=True)):
        body, id_, now = json.dumps(_spoken(said, at, f"w-{index}")), f"msg_{index}", datetime.now(UTC)
        headers = {
            "webhook-id": id_,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(SECRET).sign(id_, now, body),
        }
        url = f"{door.url}/v1/webhooks/standard/crm"
        answer = requests.post(url, data=body.encode(), headers=headers, timeout=20)
        assert answer.status_code == 200, answer.text


def _paths(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a payload: JSON Lines are read by dotted paths, an order's only line from its own."""
    lines = {"lines": {name: f"line.{name}" for name in ("item_id", "category", "quantity", "price_minor")}}
    return {name: lines if name == "items" else f"payload.{name}" for name in payload}


def by_import(env: Mapping[str, str], folder: Path, at_ms: Sequence[int]) -> None:
    """``sada import``: one file, read once for each kind and name that it holds."""
    rows = [
        {
            "name": said.name,
            "at": _when(at).isoformat(),
            "who": dict(said.who),
            "payload": dict(said.payload),
            "line": (said.payload.get("items") or [None])[0],
        }
        for said, at in zip(HISTORY, at_ms, strict=True)
    ]
    file = folder / "history.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    for name, said in {said.name: said for said in HISTORY}.items():
        columns = _paths({field: None for other in HISTORY if other.name == name for field in other.payload})
        rules = {
            "name": name.replace("_", "-"),
            "channel": "web",
            "kind": said.kind,
            "signal": name,
            "where": {"name": [name]},
            "time": {"column": "at"},
            "identifiers": [
                {"kind": kind, "column": f"who.{kind}"} for kind in ("user_id", "anonymous_id", "email", "phone")
            ],
            "traits" if said.kind == "traits" else "payload": columns,
        }
        mapping = folder / f"{name}.yaml"
        mapping.write_text(yaml.safe_dump(rules))
        done = CliRunner().invoke(build(["import"]), ["import", str(file), "--mapping", str(mapping)], env=dict(env))
        assert done.exit_code == 0, done.output


def by_producer(kafka: str, prefix: str, at_ms: Sequence[int], now_ms: int) -> None:
    """A system of the house that writes to the topic itself: Avro by the schema, no key, nothing normalised.

    One partition keeps the order; which one is wrong for most customers, so the worker forwards.
    """
    producer = Producer({"bootstrap.servers": kafka})
    encode = codec_of("signal").encode
    for index, (said, at) in enumerate(zip(HISTORY, at_ms, strict=True)):
        own = {"source": "erp", "original_at_ms": at, "received_at_ms": now_ms, "context": {"extra": {}}}
        producer.produce(prefix + signals("web"), encode({**_spoken(said, at, f"k-{index}"), **own}), partition=0)
    assert producer.flush(20) == 0
