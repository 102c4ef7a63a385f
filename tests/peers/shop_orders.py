"""Files of orders for the tests of `sada import`, and their mapping."""

from pathlib import Path
from typing import Any

import yaml
from confluent_kafka import Consumer, TopicPartition

from schemas.wire import codec_of
from streams.settings import Settings

ORDERS: dict[str, Any] = {
    "name": "shop-orders",
    "kind": "transaction",
    "signal": "order_completed",
    "id": ["order_no"],
    "time": {"column": "created", "zone": "Asia/Tehran"},
    "identifiers": [{"kind": "crm_id", "column": "customer"}, {"kind": "email", "column": "mail"}],
    "payload": {
        "type": {"const": "order"},
        "order_id": "order_no",
        "currency": {"const": "EUR"},
        "amount_minor": {"column": "price", "minor": 2, "times": "qty"},
        "items": {"lines": {"item_id": "sku", "quantity": "qty", "price_minor": {"column": "price", "minor": 2}}},
    },
}
GROUPED = {
    **ORDERS,
    "group_by": ["order_no"],
    "payload": {**ORDERS["payload"], "amount_minor": {**ORDERS["payload"]["amount_minor"], "sum": True}},
}
HEADER = "order_no,created,customer,mail,sku,qty,price"


def row(number: int, sku: str = "tea", price: str = "4.50", qty: str = "2") -> str:
    customer = f"c{number % 500},m{number % 500}@shop.example"
    return f"o{number},2024-05-{1 + number % 28:02d}T10:00:00,{customer},{sku},{qty},{price}"


def write(path: Path, lines: list[str], *, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def mapping(path: Path, rules: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(rules))
    return path


def read_all(settings: Settings, topic: str, schema: str) -> list[dict[str, Any]]:
    """Everything committed in a topic."""
    name = settings.topic(topic)
    consumer = Consumer(
        {
            **settings.librdkafka(),
            "group.id": f"{settings.topic_prefix}reader",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    partitions = consumer.list_topics(name, timeout=10).topics[name].partitions
    consumer.assign([TopicPartition(name, p, 0) for p in partitions])
    found: list[dict[str, Any]] = []
    ended = 0
    decode = codec_of(schema).decode
    while ended < len(partitions):
        for message in consumer.consume(10_000, 1.0):
            if message.error() is not None:
                ended += 1
            else:
                found.append(decode(message.value() or b""))
    consumer.close()
    return found
