"""A real gateway for tests: a process of its own on a free port, and a reader of what it wrote to Kafka."""

import base64
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from connectors.gateway import keys
from deploy.local.processes import ProcessSpec, free_port, running
from deploy.local.topology import sada, says_yes
from schemas.admin import create_topics
from schemas.topics import DEAD_LETTERS, RULINGS, signals
from schemas.wire import codec_of

NODE_KEY = "5a" * 32
PARTITIONS = 2


@dataclass(slots=True)
class Door:
    """A running gateway.

    Parameters
    ----------
    keys : key text by role, and by name of those with agreements of their own
    """

    url: str
    metrics: str
    kafka: str
    redis: str
    prefix: str
    key_file: Path
    log: Path
    keys: dict[str, str] = field(default_factory=dict)
    readers: dict[str, tuple[Any, list[dict[str, Any]]]] = field(default_factory=dict)

    def basic(self, name: str = "write") -> dict[str, str]:
        """Return the header that carries a key."""
        return {"Authorization": "Basic " + base64.b64encode(f"{self.keys[name]}:".encode()).decode()}

    def post(self, path: str, body: Any, *, key: str | None = "write", **more: Any) -> requests.Response:
        """Post JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {**(self.basic(key) if key else {}), **more.pop("headers", {})}
        return requests.post(self.url + path, data=content, headers=headers, timeout=20, **more)

    def get(self, path: str, *, key: str | None = None, **more: Any) -> requests.Response:
        """Get a path."""
        headers = {**(self.basic(key) if key else {}), **more.pop("headers", {})}
        return requests.get(self.url + path, headers=headers, timeout=20, allow_redirects=False, **more)

    def signals(self, channel: str, wanted: Callable[[dict[str, Any]], bool], count: int = 1) -> list[dict[str, Any]]:
        """Return the signals of a channel that are wanted, once there are so many of them."""
        return _read(self, signals(channel), "signal", wanted, count)

    def rulings(self, wanted: Callable[[dict[str, Any]], bool], count: int = 1) -> list[dict[str, Any]]:
        """Return the rulings that are wanted, once there are so many of them."""
        return _read(self, RULINGS, "ruling", wanted, count)

    def dead_letters(self, wanted: Callable[[dict[str, Any]], bool], count: int = 1) -> list[dict[str, Any]]:
        """Return the dead letters that are wanted, once there are so many of them."""
        return _read(self, DEAD_LETTERS, "dead_letter", wanted, count)


def _read(
    door: Door, topic: str, schema: str, wanted: Callable[[dict[str, Any]], bool], count: int
) -> list[dict[str, Any]]:
    """Read on in a topic until enough records were seen that are wanted; what was read is kept for the next time."""
    if topic not in door.readers:
        door.readers[topic] = (_reader(door, topic), [])
    consumer, seen = door.readers[topic]
    codec = codec_of(schema)
    deadline = time.monotonic() + 15
    while True:
        found = [record for record in seen if wanted(record)]
        if len(found) >= count or time.monotonic() > deadline:
            return found
        first = consumer.poll(0.5)
        for message in [first, *consumer.consume(1_000, timeout=0)] if first else []:
            assert message.error() is None, message.error()
            record = codec.decode(message.value())
            seen.append({**record, "key": message.key()})


def _reader(door: Door, topic: str) -> Any:
    name = door.prefix + topic
    consumer = Consumer({"bootstrap.servers": door.kafka, "group.id": f"{name}-reader", "fetch.wait.max.ms": 50})
    parts = consumer.list_topics(name, timeout=10).topics[name].partitions
    consumer.assign([TopicPartition(name, number, OFFSET_BEGINNING) for number in parts])
    return consumer


@contextlib.contextmanager
def gateway(kafka: str, redis: str, prefix: str, folder: Path, **settings: str) -> Iterator[Door]:
    """Run a gateway with a key of each role; ``settings`` are more of its environment."""
    create_topics({"bootstrap.servers": kafka}, customers=PARTITIONS, prefix=prefix)
    port, probes = free_port(), free_port()
    door = Door(
        f"http://127.0.0.1:{port}",
        f"http://127.0.0.1:{probes}",
        kafka,
        redis,
        prefix,
        folder / "keys.json",
        folder / "gateway.log",
    )
    roles: tuple[keys.Role, ...] = ("write", "read", "agent", "operator", "privacy", "admin")
    for role in roles:
        door.keys[role] = keys.add(door.key_file, role, role, now_ms=1)
    spec = ProcessSpec(
        name="gateway",
        args=sada("gateway"),
        ready=says_yes(probes, "/readyz"),
        env={
            "SADA_KAFKA": kafka,
            "SADA_REDIS": redis,
            "SADA_TOPIC_PREFIX": prefix,
            "SADA_VAR": str(folder),
            "SADA_HTTP_PORT": str(port),
            "SADA_METRICS_PORT": str(probes),
            "SADA_NODE_KEY": NODE_KEY,
            "SADA_INBOX_SECRET": NODE_KEY,
            **settings,
        },
        start_timeout_s=90.0,
    )
    with running(spec, door.log):
        try:
            yield door
        finally:
            for consumer, _ in door.readers.values():
                consumer.close()
