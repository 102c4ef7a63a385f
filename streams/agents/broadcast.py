"""A reader of a small compacted topic, all of it, in a thread: how models and the catalogue reach every process.

It belongs to no consumer group: every process reads the one partition from its beginning and then follows it.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from prometheus_client import Counter

log = logging.getLogger(__name__)
# librdkafka writes a line per attempt to connect; what matters comes through error_cb.
_librdkafka_log = logging.getLogger(f"{__name__}.librdkafka")
_librdkafka_log.setLevel(logging.CRITICAL)

OnRecord = Callable[[bytes | None, bytes | None], None]


def _nothing() -> None:
    """Do nothing at a topic's end."""


RECORDS = Counter("sada_broadcast_records_total", "Records read from a broadcast topic.", ["topic"])
ERRORS = Counter(
    "sada_broadcast_errors_total",
    "Errors while reading a broadcast topic: kafka (the connection) or record (a record its reader refused).",
    ["topic", "kind"],
)

# 0.2 s: how long one poll waits, so how long stop() waits at most.
POLL_S = 0.2
# 1 s between attempts after an error: a missing topic or a broker that restarts (3 s) is not hammered.
RETRY_S = 1.0
# 500 records a poll: a compacted topic of a few thousand keys is read in some ten polls.
RECORDS_PER_POLL = 500


class BroadcastReader:
    """Reads a one-partition compacted topic from its beginning, ``read_committed``, and follows it until stopped.

    Parameters
    ----------
    config : connection part of a librdkafka configuration (``Settings.librdkafka()``)
    topic : full name, prefix included
    on_record : called with (key, value) in the reader's thread, in order; value None is a tombstone. What it raises
        is counted and logged, and the next record is read: a bad record costs no other
    partition : which partition; broadcast topics have only one
    on_end : called whenever everything that lies in the topic has been handed over, for readers of the newest only

    Attributes
    ----------
    caught_up : set once everything that was in the topic has been handed over; stays set
    errors : errors so far, of the connection and of records

    Notes
    -----
    librdkafka reconnects by itself; after an error that it cannot recover from, the consumer is opened anew at the
    next offset. A topic that does not exist yet is waited for.

    Examples
    --------
    ::

        with BroadcastReader(settings.librdkafka(), settings.topic(MODELS), scorers.on_record) as reader:
            reader.caught_up.wait(30)
    """

    def __init__(
        self,
        config: Mapping[str, str | int | float | bool],
        topic: str,
        on_record: OnRecord,
        *,
        partition: int = 0,
        on_end: Callable[[], None] = _nothing,
    ) -> None:
        self.topic = topic
        self.caught_up = threading.Event()
        self.errors = 0
        self._config = {
            **config,
            "group.id": f"broadcast-{topic}",  # librdkafka wants a name; nothing is joined or committed
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "error_cb": lambda error: self._failed("kafka", error),  # a broker that is away, told here only
            "reconnect.backoff.max.ms": int(RETRY_S * 1000),
            # By default librdkafka keeps silent about a missing topic for 30 s.
            "topic.metadata.propagation.max.ms": int(RETRY_S * 1000),
        }
        self._on_record = on_record
        self._on_end = on_end
        self._partition = partition
        self._next = 0
        self._said = ""
        self._told = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"broadcast-{topic}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the thread and wait for it."""
        self._told.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._told.is_set():
            try:
                self._follow()
            except KafkaException as exc:
                self._failed("kafka", exc.args[0] if exc.args else exc)
                self._told.wait(RETRY_S)

    def _follow(self) -> None:
        """Read until told to stop; raises what librdkafka does not recover from."""
        consumer = Consumer(self._config, logger=_librdkafka_log)
        try:
            consumer.assign([TopicPartition(self.topic, self._partition, self._next)])
            while not self._told.is_set():
                for message in consumer.consume(RECORDS_PER_POLL, POLL_S):
                    self._take(message)
        finally:
            consumer.close()

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is None:
            self._hand_over(message)
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name in this client
            try:
                self._on_end()
            except Exception as exc:  # noqa: BLE001 - as for a record
                self._failed("record", exc)
            self.caught_up.set()
        elif error.fatal() or not error.retriable():
            raise KafkaException(error)
        else:
            self._failed("kafka", error)

    def _hand_over(self, message: Message) -> None:
        RECORDS.labels(self.topic).inc()
        self._said = ""
        try:
            self._on_record(message.key(), message.value())
        except Exception as exc:  # noqa: BLE001 - whatever the reader of the record meets is that record's fault
            self._failed("record", exc, message.offset())
        self._next = message.offset() + 1

    def _failed(self, kind: str, error: object, offset: int | None = None) -> None:
        self.errors += 1
        ERRORS.labels(self.topic, kind).inc()
        where = self.topic if offset is None else f"{self.topic} offset {offset}"
        said = f"broadcast {where}: {error}"
        if said != self._said:  # an outage is one line, not one per attempt
            log.warning(said)
        self._said = said
