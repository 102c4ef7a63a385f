"""Reads topics from their beginning to where they end now."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

# Nobody else shares the reader's place: it commits nothing.
_GROUP = "privacy-export"
_SILENT_S = 20.0
_AT_ONCE = 2_000


class SilentError(Exception):
    """The broker does not answer; the message says what to look at."""


def scan(
    connection: dict[str, Any], topics: Sequence[str], read: Callable[[int, int], None] = lambda _done, _of: None
) -> Iterator[tuple[str, bytes]]:
    """Yield topic and value of every committed record that is there now; tombstones are left out.

    Parameters
    ----------
    connection : librdkafka's connection settings
    topics : full names; all exist
    read : told how many offsets were passed, and of how many

    Raises
    ------
    SilentError
        when the broker does not answer, or says no
    """
    consumer: Any = Consumer(
        {
            **connection,
            "group.id": _GROUP,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "error_cb": lambda _: None,
            "log_level": 0,
        }
    )
    try:
        yield from _all(consumer, topics, read)
    except KafkaException as exc:
        raise SilentError(f"Kafka does not let us read ({exc.args[0].str()}): see SADA_KAFKA and the rights") from None
    finally:
        consumer.close()


def _all(consumer: Any, topics: Sequence[str], read: Callable[[int, int], None]) -> Iterator[tuple[str, bytes]]:
    bounds = _bounds(consumer, topics)
    at = {place: low for place, (low, _) in bounds.items()}
    begun, whole = sum(at.values()), sum(high - low for low, high in bounds.values())
    consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in bounds])
    open_ = set(bounds)
    while open_:
        first = consumer.poll(_SILENT_S)
        if first is None:
            raise SilentError(f"Kafka is silent on {', '.join(sorted({topic for topic, _ in open_}))}: is it running?")
        for message in (first, *consumer.consume(_AT_ONCE, timeout=0)):
            place = (message.topic(), message.partition())
            if place not in open_:
                continue
            at[place] = _passed(message, bounds[place][1])
            if at[place] >= bounds[place][1]:
                open_.discard(place)
            if message.error() is None and message.value() is not None:
                yield message.topic(), message.value()
        read(sum(at.values()) - begun, whole)


def _bounds(consumer: Any, topics: Sequence[str]) -> dict[tuple[str, int], tuple[int, int]]:
    """Return where each partition that holds something begins and ends."""
    bounds = {}
    for topic in topics:
        found = consumer.list_topics(topic, timeout=_SILENT_S).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        for number in found.partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_SILENT_S)
            if low < high:
                bounds[topic, number] = (low, high)
    return bounds


def _passed(message: Any, end: int) -> int:
    """Return the offset up to which a partition was read; at its end all of it, the last may be a marker."""
    error = message.error()
    if error is None:
        return int(message.offset()) + 1
    if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - confluent-kafka's public name of it
        raise KafkaException(error)
    return end
