"""One history, four doors, one golden record: SDK, signed webhook, file and Kafka, with real processes.

Each door has topics and a worker of its own, under one node key, and a clock that the test ticks: so nodes, customers
and stream times are compared, too. What must differ is in ``MASKED``; everything else is the same bytes.
"""

import contextlib
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.admin import create_topics
from schemas.topics import DEAD_LETTERS, PROFILES, TICKS, signals
from schemas.wire import codec_of
from tests.peers.gateway import PARTITIONS, Door, gateway
from tests.peers.processes import Raw, environment, records, started
from tests.peers.same_history import HISTORY, SOURCES, by_import, by_producer, by_sdk, by_webhook, moments

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

DOORS = ("sdk", "webhook", "import", "producer")
# What must differ between the doors, and why; by the field's name, wherever in a profile it stands.
MASKED = {
    "source": "each door has a name of its own: the key's, the webhook's, the mapping's, the producer's",
    "signal_id": "each door makes its own ids: replaced by the signal's place in the history, which is compared",
}
# The SDK says when it sent, and the gateway takes the error of the client's clock off (received - sent): on one
# machine some ms of travel. Moments so near one of the history are that one; a busy machine may take seconds.
NEAR_MS = 60_000
# Sums fade up to updated_at_ms, which is as near: a minute of a half-life of 30 days is 2e-5.
ROUNDED = {"mood": 3}


class Stack(NamedTuple):
    """What a door leads to: topics of its own and a worker; a gateway where the door is one."""

    prefix: str
    env: dict[str, str]
    folder: Path
    door: Door | None


@pytest.fixture(scope="module")
def now_ms() -> int:
    """Return the only time that the workers' clocks ever show, epoch ms."""
    return time.time_ns() // 1_000_000


@pytest.fixture(scope="module")
def stacks(
    kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory, now_ms: int
) -> Iterator[dict[str, Stack]]:
    prefix, folder = {d: f"t{uuid.uuid4().hex[:10]}-" for d in DOORS}, {d: tmp_path_factory.mktemp(d) for d in DOORS}
    env = {d: environment(kafka, redis_url, prefix[d], folder[d], SADA_REGION="IR", SADA_TICK_S="0") for d in DOORS}
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(DOORS) + 2) as pool:
        for name in DOORS:
            create_topics({"bootstrap.servers": kafka}, customers=PARTITIONS, prefix=prefix[name])
        workers = {d: started(env[d], folder[d], "worker") for d in DOORS}
        doors = {}
        for name in ("sdk", "webhook"):
            webhooks = folder[name] / "webhooks.json"
            webhooks.write_text(json.dumps(SOURCES))
            more = {"SADA_REGION": "IR", "SADA_WEBHOOKS": str(webhooks)}
            doors[name] = gateway(kafka, redis_url, prefix[name], folder[name], **more)
        # Started together: a worker imports for 9 s of CPU.
        starting = [(each, pool.submit(each.__enter__)) for each in (*workers.values(), *doors.values())]
        for each, start in starting:
            if start.exception() is None:
                stack.push(each)
        opened: dict[int, Any] = {id(each): start.result() for each, start in starting}
        for name in DOORS:
            tick(kafka, prefix[name], now_ms)
        yield {d: Stack(prefix[d], env[d], folder[d], opened[id(doors[d])] if d in doors else None) for d in DOORS}


def tick(kafka: str, prefix: str, at_ms: int) -> None:
    """Set the clock of every partition and wait until the worker has committed that."""
    producer = Producer({"bootstrap.servers": kafka})
    for partition in range(PARTITIONS):
        producer.produce(prefix + TICKS, codec_of("tick").encode({"at_ms": at_ms}), partition=partition)
    assert producer.flush(20) == 0
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 2})
    places = [TopicPartition(prefix + TICKS, partition) for partition in range(PARTITIONS)]
    deadline = time.monotonic() + 30
    while True:
        asked = [ConsumerGroupTopicPartitions(f"{prefix}sada", places)]
        (future,) = admin.list_consumer_group_offsets(asked).values()
        if all(place.offset > 0 for place in future.result().topic_partitions):
            return
        assert time.monotonic() < deadline, "the tick is not committed"
        time.sleep(0.1)


def ids_of(kafka: str, stack: Stack) -> dict[str, str]:
    """Return each signal's place in the history by the id that its door gave it."""
    raws = records(kafka, stack.prefix + signals("web"), lambda found: len(found) >= len(HISTORY))
    found = {s["id"]: s for s in (codec_of("signal").decode(raw.value or b"") for raw in raws)}
    assert len(found) == len(HISTORY)
    ordered = sorted(found.values(), key=lambda signal: signal["occurred_at_ms"])
    return {signal["id"]: f"signal {place}" for place, signal in enumerate(ordered)}


def newest(raws: Sequence[Raw]) -> dict[bytes, dict[str, Any]]:
    """Return the profiles that stand, by customer; a merged one is a tombstone."""
    last = {raw.key or b"": raw.value for raw in raws}
    return {key: codec_of("profile").decode(value) for key, value in last.items() if value is not None}


def whole(raws: Sequence[Raw]) -> bool:
    """Say whether every signal is in a golden record, and every identifier with its customer."""
    found = newest(raws).values()
    counted = sum(profile["history"]["signals"] for profile in found)
    return counted == len(HISTORY) and sorted(len(p["members"]) for p in found) == [2, 2, 3]


def masked(value: Any, ids: Mapping[str, str], at_ms: Sequence[int], name: str = "") -> Any:
    """Return a part of a profile without what must differ."""
    if isinstance(value, dict):
        if name in MASKED:
            return dict.fromkeys(value, 0) if name == "spent_windows" else {}
        return {key: masked(part, ids, at_ms, key) for key, part in value.items()}
    if isinstance(value, list):
        return [masked(part, ids, at_ms, name) for part in value]
    if name == "signal_id":
        return ids[value]
    if name in MASKED:
        return "" if name == "source" else 0 if name in {"updated_at_ms", "session_signals"} else None
    if name in ROUNDED:
        return round(value, ROUNDED[name])
    if type(value) is int and name.endswith("_ms"):
        return next((at for at in at_ms if abs(at - value) < NEAR_MS), value)
    return value


def different(one: Any, other: Any, where: str = "") -> list[str]:
    """Return where two parts of profiles differ, and how."""
    if type(one) is type(other) is dict and list(one) == list(other):
        return [line for key in one for line in different(one[key], other[key], f"{where}.{key}")]
    if type(one) is type(other) is list and len(one) == len(other):
        return [
            line for i, pair in enumerate(zip(one, other, strict=True)) for line in different(*pair, f"{where}.{i}")
        ]
    return [] if one == other else [f"{where}: {one!r} and {other!r}"]


def opened_by(stack: Stack) -> Door:
    """Return the gateway of a stack that has one."""
    assert stack.door is not None
    return stack.door


def test_the_golden_records_are_the_same_bytes(kafka: str, stacks: dict[str, Stack], now_ms: int) -> None:
    """Three customers, 14 signals, 7 identifiers: who is who, what was written, and all that follows from it."""
    at_ms = moments(now_ms)
    by_sdk(opened_by(stacks["sdk"]), at_ms)
    by_webhook(opened_by(stacks["webhook"]), at_ms)
    by_import(stacks["import"].env, stacks["import"].folder, at_ms)
    by_producer(kafka, stacks["producer"].prefix, at_ms, now_ms)
    readable, written = {}, {}
    for name, stack in stacks.items():
        found = newest(records(kafka, stack.prefix + PROFILES, whole))
        ids = ids_of(kafka, stack)
        readable[name] = {key: masked(profile, ids, at_ms) for key, profile in sorted(found.items())}
        written[name] = {key: codec_of("profile").encode(profile) for key, profile in readable[name].items()}
        assert records(kafka, stack.prefix + DEAD_LETTERS, lambda _: True) == []
    for name in DOORS:
        apart = different(readable[name], readable["producer"])
        assert not apart, "\n".join([f"{name} and producer:", *apart])
        assert written[name] == written["producer"], name
    originals = {m["original"] for p in readable["producer"].values() for m in p["members"]} - {""}
    assert originals == {
        "Sara.Ahmadi@Example.COM",
        "REZA+shop@EXAMPLE.org",
        "۰۹۱۲ ۳۴۵ ۶۷۸۹",
        "+۹۸ (۹۳۵) ۱۱۱-۲۲۳۳",
    }
