"""(c) From the moment when a signal is accepted until its action can be read, at half of the loop's measured load.

The whole stack runs: signals of many people go to Kafka at a steady rate; beside them, people never seen before order
something through the gateway, upon which the example catalogue thanks them in the app. A probe is accepted when the
gateway has answered 200; its action is there when a ``read_committed`` consumer of ``actions.app`` has it.
"""

import asyncio
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition
from rich.console import Console

from deploy.local.running import Running, running
from schemas.identifiers import Hasher, normalise
from schemas.topics import actions
from schemas.wire import codec_of
from tests.bench.rig import spread
from tests.bench.traffic import WAVE_MS, Sent, traffic

CHANNEL = "app"
# Not a beat with the batches.
PROBES_PER_S = 47.0
PER_CUSTOMER = 5
# Time for the first batches, the broker's compiler, the import of River and the consumer's assignment.
WARM_S = 20.0
# A probe whose action has not come after so long was decided otherwise (control group, hold).
GRACE_S = 3.0
# Fewer actions than this cannot give a p99.
LEAST = 100


class Arrivals:
    """When each customer's action could be read, by ``time.monotonic``."""

    def __init__(self, kafka: str) -> None:
        self.at: dict[bytes, float] = {}
        self._decode = codec_of("action").decode
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka,
                "group.id": "bench",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
            }
        )
        topic = actions(CHANNEL)
        partitions = self._consumer.list_topics(topic, timeout=30).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, number, OFFSET_END) for number in partitions])

    def read(self, ended: threading.Event) -> None:
        """Read until told to stop."""
        while not ended.is_set():
            message = self._consumer.poll(0.1)
            if message is None:
                continue
            if message.error() is not None:
                raise RuntimeError(str(message.error()))
            self.at.setdefault(self._decode(message.value())["customer"], time.monotonic())
        self._consumer.close()


@contextmanager
def _beside(*work: Any) -> Iterator[None]:
    """Run functions in threads while the block runs; each takes the event that ends it."""
    ended = threading.Event()
    threads = [threading.Thread(target=each, args=(ended,), daemon=True) for each in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)


def _background(kafka: str, sent: list[Sent], per_s: float, ended: threading.Event) -> None:
    """Write signals at a steady rate, a hundredth of a second's worth at a time."""
    producer = Producer({"bootstrap.servers": kafka, "linger.ms": 5, "partitioner": "murmur2_random"})
    began = time.monotonic()
    done = 0
    while not ended.is_set() and done < len(sent):
        until = min(len(sent), int((time.monotonic() - began) * per_s))
        for topic, key, value, _ in sent[done:until]:
            producer.produce(topic, value, key)
        producer.poll(0)
        done = until
        time.sleep(0.01)
    producer.flush(30)


def _probe(run: int, number: int) -> dict[str, Any]:
    # A zone where it is noon now: the app has quiet hours.
    ahead = 12 - time.gmtime().tm_hour
    return {
        "event": "Order Completed",
        "userId": f"probe-{run}-{number}",
        "properties": {"order_id": f"order-{run}-{number}", "total": 60.0, "currency": "EUR", "products": []},
        "context": {"locale": "en-GB", "timezone": f"Etc/GMT{-ahead:+d}"},
    }


async def _send(gateway: str, key: str, run: int, count: int) -> list[float]:
    """Send probes on a fixed schedule, whatever the answers take; return when each was accepted."""
    accepted = [0.0] * count
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def one(number: int) -> None:
            async with session.post(f"{gateway}/v1/track", json=_probe(run, number)) as answer:
                answer.raise_for_status()
                accepted[number] = time.monotonic()

        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                await asyncio.sleep(max(0.0, began + number / PROBES_PER_S - time.monotonic()))
                group.create_task(one(number))
    return accepted


def _once(stack: Running, run: int, *, per_s: float, seconds: float) -> list[float]:
    """Return the latencies of one run, in milliseconds, smallest first."""
    hasher = Hasher(bytes.fromhex(stack.environment()["SADA_NODE_KEY"]))
    start_ms = int(time.time() * 1000) - 2 * WAVE_MS
    customers = int(per_s * (WARM_S + seconds) / PER_CUSTOMER) + 1
    sent = traffic(customers, start_ms=start_ms, hasher=hasher, per_customer=PER_CUSTOMER, waves=1, seed=run + 100)
    arrivals = Arrivals(stack.kafka)
    with _beside(arrivals.read, lambda ended: _background(stack.kafka, sent, per_s, ended)):
        time.sleep(WARM_S)
        accepted = asyncio.run(_send(stack.up["gateway"], stack.up["write_key"], run, int(seconds * PROBES_PER_S)))
        time.sleep(GRACE_S)
    nodes = [hasher.node(normalise("user_id", f"probe-{run}-{number}")) for number in range(len(accepted))]
    waits = [(arrivals.at[node] - at) * 1e3 for node, at in zip(nodes, accepted, strict=True) if node in arrivals.at]
    if len(waits) < LEAST:
        raise RuntimeError(f"{len(waits)} of {len(accepted)} probes led to an action: too few to tell")
    return sorted(waits)


def _share(waits: list[float], share: float) -> float:
    return statistics.quantiles(waits, n=1_000, method="inclusive")[round(share * 1_000) - 1]


def measure(console: Console, *, var: Path, per_s: float, partitions: int, seconds: float, runs: int) -> dict[str, Any]:
    """Run the stack under load and probe it.

    Parameters
    ----------
    per_s : signals per second beside the probes
    partitions : one worker needs one; each more makes transactions of its own, which cost the broker CPU that all share

    Returns
    -------
    p50, p95, p99 in milliseconds, and ``details``
    """
    found: list[list[float]] = []
    with running(var, settings={"SADA_PARTITIONS": str(partitions)}, arguments=["--workers", "1"]) as stack:
        for run in range(runs):
            found.append(_once(stack, run, per_s=per_s, seconds=seconds))
            p50, p95, p99 = (_share(found[-1], share) for share in (0.5, 0.95, 0.99))
            console.print(
                f"latency, run {run + 1}: p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms"
                f" ({len(found[-1])} actions beside {per_s:,.0f} signals/s)"
            )
            stack.drain()
    report: dict[str, Any] = {
        name: spread([_share(waits, share) for waits in found], 1)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    details = {
        "signals_per_s": round(per_s),
        "partitions": partitions,
        "actions": [len(waits) for waits in found],
    }
    return {**report, "details": details}
