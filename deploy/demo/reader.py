"""Reads whole topics, committed records only: what an auditor sees who shares no code with the pipeline's folds."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.topics import TOPICS
from schemas.wire import codec_of

# A silent broker is given up after so long, seconds.
SILENCE_S = 30.0
BATCH = 2_000


class Found(NamedTuple):
    """A record: its key, and its value decoded; None for a tombstone."""

    key: bytes | None
    value: dict[str, Any] | None


class ReadError(Exception):
    """The broker does not answer."""


def _consumer(kafka: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": "sada-demo-auditor",  # named, never joined: nothing is committed
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
        }
    )


def read_topic(kafka: str, name: str) -> Iterator[Found]:
    """Yield every committed record of a topic as it is now, in order per partition.

    Raises
    ------
    ReadError
        when the broker is silent
    """
    codec = codec_of(TOPICS[name].schema)
    consumer = _consumer(kafka)
    try:
        metadata = consumer.list_topics(name, timeout=SILENCE_S).topics[name]
        consumer.assign([TopicPartition(name, partition, 0) for partition in metadata.partitions])
        left = set(metadata.partitions)
        heard = time.monotonic()
        while left:
            for message in consumer.consume(BATCH, 0.2):
                heard = time.monotonic()
                error = message.error()
                if error is None:
                    raw = message.value()
                    value = None if raw is None else codec.decode(raw, strict=False, max_bytes=2**24)
                    yield Found(message.key(), value)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's name for it
                    left.discard(message.partition())
                else:
                    raise KafkaException(error)
            if time.monotonic() - heard > SILENCE_S:
                raise ReadError(f"{name}: nothing from the broker for {SILENCE_S:.0f} s; left {sorted(left)}")
    finally:
        consumer.close()


def values(kafka: str, name: str) -> list[dict[str, Any]]:
    """Return the values of a topic, tombstones left out."""
    return [found.value for found in read_topic(kafka, name) if found.value is not None]


def newest(kafka: str, name: str) -> dict[bytes, dict[str, Any]]:
    """Return the newest value of each key; keys whose newest record is a tombstone are left out."""
    found: dict[bytes, dict[str, Any]] = {}
    for key, value in read_topic(kafka, name):
        if key is None:
            continue
        if value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found


def end_offsets(kafka: str) -> int:
    """Return the sum of the end offsets of all topics: while it stands still, nobody writes."""
    consumer = _consumer(kafka)
    try:
        total = 0
        for name, metadata in consumer.list_topics(timeout=SILENCE_S).topics.items():
            if name in TOPICS:
                for partition in metadata.partitions:
                    total += consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=SILENCE_S)[1]
        return total
    finally:
        consumer.close()
