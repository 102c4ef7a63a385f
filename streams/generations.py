"""Which generation is live, for every process: read at the start from the topic ``generations``, and followed."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from schemas.generations import TABLE_KEY, Known, Table, first_table, read_table
from schemas.topics import GENERATIONS
from streams.agents.broadcast import BroadcastReader
from streams.settings import Settings, SettingsError

log = logging.getLogger(__name__)

# A broker that answers at all does so within 3 s; one that restarts may take half a minute.
_ANSWER_S = 30.0
# The table is one record, and its earlier versions where they are not compacted yet.
_READ_S = 5.0
_AGAIN_S = 0.2
# What passes by itself and librdkafka does not call retriable, since a consumer that polls gets over it.
_PASSING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._TIMED_OUT,  # noqa: SLF001 - librdkafka's names
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)


class Hosted(NamedTuple):
    """A generation with the settings of its topics."""

    known: Known
    settings: Settings


def settings_of(settings: Settings, known: Known) -> Settings:
    """Return the settings under which a process works for a generation."""
    return settings.model_copy(
        update={
            "generation": known.name,
            "partitions": known.partitions,
            "identity_text": known.identity,
            "rules_text": known.rules,
        }
    )


def current_table(settings: Settings) -> Table:
    """Read which generations there are.

    Raises
    ------
    SettingsError
        when Kafka does not answer: a process must not take an old generation for the live one
    """
    topic = settings.topic(GENERATIONS)
    consumer = Consumer(
        {
            **settings.librdkafka(),
            "group.id": f"broadcast-{topic}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
        }
    )
    deadline = time.monotonic() + _ANSWER_S
    try:
        while True:
            try:
                return _read(consumer, topic) or first_table(settings.partitions)
            except KafkaException as exc:
                # A topic that was made a moment ago has no leader yet; a broker that restarts is away for a while.
                if time.monotonic() > deadline or not (exc.args[0].retriable() or exc.args[0].code() in _PASSING):
                    raise SettingsError(
                        f"Kafka at {settings.kafka} does not say which generation is live: {exc}"
                    ) from None
                time.sleep(_AGAIN_S)
    finally:
        consumer.close()


def _read(consumer: Consumer, topic: str) -> Table | None:
    """Read the table to the topic's end; None where there is none.

    Raises
    ------
    KafkaException
        also when the end does not come in time
    """
    if topic not in consumer.list_topics(timeout=_READ_S).topics:
        return None  # never rebuilt, and `sada topics` was not run since this topic came to be
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    table = None
    deadline = time.monotonic() + _READ_S
    while time.monotonic() < deadline:
        for message in consumer.consume(500, 0.1):
            error = message.error()
            value = message.value()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's name
                    return table
                raise KafkaException(error)
            if message.key() == TABLE_KEY and value is not None:
                table = read_table(value)
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{topic} was not read to its end"))  # noqa: SLF001


def live_settings(settings: Settings) -> Settings:
    """Return the settings of the live generation.

    Raises
    ------
    SettingsError
        as `current_table`
    """
    table = current_table(settings)
    return settings_of(settings, table.of(table.live))


def hosted(settings: Settings) -> list[Hosted]:
    """Return all generations, the live one first.

    Raises
    ------
    SettingsError
        as `current_table`
    """
    table = current_table(settings)
    ordered = sorted(table.known, key=lambda known: known.name != table.live)
    return [Hosted(known, settings_of(settings, known)) for known in ordered]


class Follower:
    """Follows the table: tells whoever asks to be told, in the reader's thread.

    Only what is newest when the topic's end is reached: earlier tables lie there until Kafka compacts them, and whoever
    took one of them for news would begin anew for ever.

    Parameters
    ----------
    settings : where Kafka is
    on_table : called with the newest table, at first and whenever there is another
    """

    def __init__(self, settings: Settings, on_table: Callable[[Table], None]) -> None:
        self._on_table = on_table
        self._newest: Table | None = None
        topic = settings.topic(GENERATIONS)
        self.reader = BroadcastReader(settings.librdkafka(), topic, self._take, on_end=self._tell)

    def _take(self, key: bytes | None, value: bytes | None) -> None:
        if key == TABLE_KEY and value is not None:
            self._newest = read_table(value)

    def _tell(self) -> None:
        newest, self._newest = self._newest, None
        if newest is not None:
            self._on_table(newest)

    def __enter__(self) -> Self:
        self.reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.stop()


class Renewal:
    """Ends a process that is made for certain generations when there are others, so that it begins anew with them.

    Parameters
    ----------
    names : of the generations that it is made for
    end : ends it in order
    live : the only one that it is made for; None: all
    """

    def __init__(self, names: tuple[str, ...], end: Callable[[], None], *, live: str | None = None) -> None:
        self._names = frozenset(names)
        self._live = live
        self._end = end
        self.wanted = threading.Event()

    def on_table(self, table: Table) -> None:
        """Look at a table."""
        fits = frozenset(table.names()) == self._names if self._live is None else table.live == self._live
        if not fits and not self.wanted.is_set():
            log.warning("%s is live of %s: this process begins anew", table.live, ", ".join(table.names()))
            self.wanted.set()
            self._end()

    def renew(self) -> None:
        """Begin anew if that is wanted: the same command in the same process, with the same id."""
        if self.wanted.is_set():
            sys.stdout.flush()
            sys.stderr.flush()
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command line
