"""Broadcast topics on a real Kafka: read whole, followed, and never stopped by one bad record."""

import threading
import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.agents.broadcast import BroadcastReader

pytestmark = pytest.mark.kafka


class Seen:
    """What a reader handed over; refuses the word ``bad``."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes | None]] = []
        self._more = threading.Condition()

    def __call__(self, key: bytes | None, value: bytes | None) -> None:
        if value == b"bad":
            raise ValueError("refused")
        with self._more:
            self.records.append((key, value))
            self._more.notify_all()

    def wait_for(self, count: int) -> None:
        with self._more:
            assert self._more.wait_for(lambda: len(self.records) >= count, 20), self.records


def create(kafka: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.create_topics([NewTopic(topic, 1, 1, config={"cleanup.policy": "compact"})]).values():
        future.result()


def produce(kafka: str, topic: str, values: list[bytes | None], *, abort: bool = False) -> None:
    """Send in one transaction."""
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": f"{topic}-writer"})
    producer.init_transactions(20)
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, b"key")
    if abort:
        producer.flush(20)
        producer.abort_transaction(20)
    else:
        producer.commit_transaction(20)


def test_all_that_was_committed_is_read_and_then_what_comes(kafka: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}models"
    create(kafka, topic)
    produce(kafka, topic, [b"one", None, b"two"])
    produce(kafka, topic, [b"never"], abort=True)
    seen = Seen()
    with BroadcastReader({"bootstrap.servers": kafka}, topic, seen) as reader:
        assert reader.caught_up.wait(20)
        assert seen.records == [(b"key", b"one"), (b"key", None), (b"key", b"two")]
        produce(kafka, topic, [b"three"])
        seen.wait_for(4)
        assert seen.records[-1] == (b"key", b"three")
        assert reader.errors == 0


def test_a_bad_record_is_counted_and_the_next_is_read(kafka: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}models"
    create(kafka, topic)
    produce(kafka, topic, [b"bad", b"good"])
    seen = Seen()
    with BroadcastReader({"bootstrap.servers": kafka}, topic, seen) as reader:
        assert reader.caught_up.wait(20)
    assert seen.records == [(b"key", b"good")]
    assert reader.errors == 1


def test_an_empty_topic_is_caught_up_at_once(kafka: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}models"
    create(kafka, topic)
    with BroadcastReader({"bootstrap.servers": kafka}, topic, Seen()) as reader:
        assert reader.caught_up.wait(20)


def test_a_topic_that_is_not_there_yet_is_waited_for(kafka: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}models"
    seen = Seen()
    with BroadcastReader({"bootstrap.servers": kafka}, topic, seen) as reader:
        deadline = time.monotonic() + 20
        while not reader.errors:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert not reader.caught_up.is_set()
        create(kafka, topic)
        produce(kafka, topic, [b"late"])
        seen.wait_for(1)
        assert reader.caught_up.wait(20)


def test_a_broker_that_is_away_is_counted_and_stop_returns() -> None:
    reader = BroadcastReader({"bootstrap.servers": "127.0.0.1:1"}, "models", Seen())
    reader.start()
    deadline = time.monotonic() + 20
    while not reader.errors:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    began = time.monotonic()
    reader.stop()
    assert time.monotonic() - began < 5
    assert not reader.caught_up.is_set()
