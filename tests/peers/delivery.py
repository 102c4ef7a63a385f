"""A bench for delivery: actions into a real Kafka, `sada deliver` run inside the test, outcomes read back."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from confluent_kafka import Consumer, Producer, TopicPartition
from pydantic import SecretStr
from redis.asyncio import Redis

from connectors.outbound.service import run
from schemas.admin import create_topics
from schemas.topics import DEAD_LETTERS, actions, signals
from schemas.views import ActionView
from schemas.wire import codec_of
from streams.settings import Settings
from tests.peers.smtp import Relay


def action(number: int, channel: str = "email", **fields: Any) -> ActionView:
    now_ms = time.time_ns() // 1_000_000
    view: ActionView = {
        "id": f"{number:032x}",
        "decision_id": f"d{number}",
        "customer": number.to_bytes(16, "big"),
        "action": "win_back",
        "treatment": "gentle",
        "channel": channel,
        "purpose": "marketing",
        "language": "fa",
        "address": f"sara{number}@shop.example",
        "subject": "سلام {{ name }}",
        "body": "Dear {{ name }},\n\nsee https://shop.example/offer?id=7.",
        "params": {"name": "سارا"},
        "decided_at_ms": now_ms,
        "expires_at_ms": now_ms + 3_600_000,
    }
    return {**view, **fields}  # type: ignore[typeddict-item]  # fields are the view's own


@dataclass
class Bench:
    """Kafka and Redis under a prefix of their own."""

    settings: Settings
    redis: "Redis"
    producer: Producer

    def put(self, *views: ActionView) -> None:
        codec = codec_of("action")
        for view in views:
            self.raw(view["channel"], codec.encode(view), view["customer"])

    def raw(self, channel: str, value: bytes | None, key: bytes) -> None:
        self.producer.produce(self.settings.topic(actions(channel)), value, key)
        self.producer.flush(10)

    def read(self, topic: str, schema: str) -> list[dict[str, Any]]:
        """Everything in a topic now."""
        consumer = Consumer(
            {
                **self.settings.librdkafka(),
                "group.id": f"{self.settings.topic_prefix}reader",
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
            }
        )
        name = self.settings.topic(topic)
        partitions = consumer.list_topics(name, timeout=10).topics[name].partitions
        consumer.assign([TopicPartition(name, p, 0) for p in partitions])
        found, ended = [], 0
        while ended < len(partitions):
            message = consumer.poll(10)
            assert message is not None
            if message.error() is not None:
                ended += 1
            else:
                found.append(codec_of(schema).decode(message.value() or b""))
        consumer.close()
        return found

    def outcomes(self) -> dict[str, str]:
        """Action number to event; every outcome once."""
        found = self.read(signals("outcome"), "signal")
        ids = [signal["id"] for signal in found]
        assert len(ids) == len(set(ids))
        return {s["outcome"]["action_id"].lstrip("0"): s["outcome"]["event"] for s in found}

    def letters(self) -> list[str]:
        return [letter["code"] for letter in self.read(DEAD_LETTERS, "dead_letter")]


@asynccontextmanager
async def open_bench(kafka: str, redis_url: str, prefix: str, var: Path) -> AsyncIterator[Bench]:
    """Topics and settings of one test."""
    settings = Settings(
        kafka=kafka,
        redis=SecretStr(redis_url),
        topic_prefix=prefix,
        inbox_secret=SecretStr("11" * 32),
        node_key=SecretStr("22" * 32),
        public_url="http://127.0.0.1:9",
        partitions=2,
        var=var,
    )
    create_topics(settings.librdkafka(), customers=2, prefix=prefix)
    redis = Redis.from_url(redis_url, decode_responses=False)
    yield Bench(settings, redis, Producer(settings.librdkafka()))
    await redis.aclose()


@asynccontextmanager
async def delivering(bench: Bench, file: Path, channels: dict[str, Any], *only: str) -> AsyncIterator[None]:
    """Run the delivery process' inside while the block runs."""
    file.write_text(yaml.safe_dump({"channels": channels}))
    stop = asyncio.Event()
    task = asyncio.create_task(run(bench.settings, only or tuple(channels), file, stop=stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def eventually(check: Callable[[], bool] | Callable[[], Awaitable[bool]], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while True:
        answer = check()
        if answer if isinstance(answer, bool) else await answer:
            return
        assert time.monotonic() < deadline, "it did not come to be"
        await asyncio.sleep(0.05)


def smtp(peer: Relay, **fields: Any) -> dict[str, Any]:
    base = {"kind": "smtp", "host": "127.0.0.1", "port": peer.port, "tls": "none", "from_address": "Shop <a@shop.test>"}
    return {**base, **fields}
