"""What a rebuild reads and writes in Kafka besides the records that it copies: ends, positions, answers, phases."""

import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from deploy.local.running import read
from schemas.generations import TABLE_KEY, Answer, Table, read_answer, table_value
from schemas.topics import GENERATIONS, REPLAY
from schemas.wire import codec_of
from streams.settings import Settings

Place = tuple[str, int]

# A worker of any size answers within a batch; one that is recovering its state may take minutes.
ANSWER_S = 600.0
_LOOK_EVERY_S = 0.1
_TIMEOUT_S = 30.0
# Workers begin anew: they end their batches, join and recover; a busy one takes a minute.
_RELEASED_S = 180.0
_SETTLED = frozenset({ConsumerGroupState.STABLE, ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD})


class RebuildError(Exception):
    """A rebuild cannot go on; the message says why and what to do."""


class Log:
    """One deployment's topics as a rebuild sees them.

    Parameters
    ----------
    settings : of any of its generations
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.admin = AdminClient({**settings.librdkafka(), "log_level": 2})
        self._producer = Producer({**settings.librdkafka(), "enable.idempotence": True, "linger.ms": 5})
        self._replay = codec_of("replay")
        self._group = settings.topic_prefix + settings.app

    def ends(self, places: Iterable[Place], *, first: bool = False, readable: bool = False) -> dict[Place, int]:
        """Return the end of each place, or its beginning; ``readable``: up to where no transaction is open.

        Raises
        ------
        RebuildError
            when brokers do not say; while a partition gets another leader they are asked again
        """
        spec = OffsetSpec.earliest() if first else OffsetSpec.latest()
        level = IsolationLevel.READ_COMMITTED if readable else IsolationLevel.READ_UNCOMMITTED
        wanted = {TopicPartition(*place): spec for place in places}
        until_s = time.monotonic() + _TIMEOUT_S
        while True:
            asked = self.admin.list_offsets(wanted, request_timeout=_TIMEOUT_S, isolation_level=level)
            try:
                return {(place.topic, place.partition): found.result().offset for place, found in asked.items()}
            except KafkaException as exc:
                if time.monotonic() > until_s:
                    raise RebuildError(f"no offsets: {exc.args[0].str()}. Run it again: it goes on.") from exc
            time.sleep(_LOOK_EVERY_S)

    def taken(self, places: Iterable[Place]) -> dict[Place, int]:
        """Return up to which offset the workers have taken each place in, as far as they have said; 0 where never.

        A transaction ends in one topic before it ends in another: whoever has read what came of a record is told here
        that the record was taken in.

        Raises
        ------
        RebuildError
            when a transaction does not end
        """
        asked = [ConsumerGroupTopicPartitions(self._group, [TopicPartition(*place) for place in places])]
        until_s = time.monotonic() + ANSWER_S
        while True:
            (future,) = self.admin.list_consumer_group_offsets(asked, require_stable=True).values()
            found = future.result().topic_partitions
            errors = [place.error for place in found if place.error is not None]
            if not errors:
                return {(place.topic, place.partition): max(0, place.offset) for place in found}
            if time.monotonic() > until_s:
                raise RebuildError(f"no positions of {self._group}: {errors[0].str()}. Run it again: it goes on.")
            time.sleep(_LOOK_EVERY_S)

    def places(self, settings: Settings, *names: str) -> list[Place]:
        """Return all partitions of a generation's topics."""
        return [(settings.topic(name), number) for name in names for number in range(settings.partitions)]

    def is_dry(self, settings: Settings, *names: str) -> bool:
        """Say whether all that lies in a generation's topics has been taken in.

        What was committed is looked up before the ends: when they agree, nothing was under way in between.
        """
        places = self.places(settings, *names)
        taken = self.taken(places)
        return not self._left(taken, self.ends(places))

    def wait_taken(self, settings: Settings, *names: str) -> None:
        """Wait until a generation has taken in what lies in its topics now, whatever comes after it.

        Raises
        ------
        RebuildError
            when it does not
        """
        ends = self.ends(self.places(settings, *names))
        deadline = time.monotonic() + ANSWER_S
        while self._left(self.taken(ends), ends):
            if time.monotonic() > deadline:
                raise RebuildError(
                    f"{settings.generation} has not taken in {', '.join(names)} within {ANSWER_S:.0f} s: do its "
                    "workers run? Start `sada worker`, then run this again: it goes on."
                )
            time.sleep(_LOOK_EVERY_S)

    def wait_readable(self, settings: Settings, name: str) -> None:
        """Wait until all that was written to a generation's topic by now can be read.

        Raises
        ------
        RebuildError
            when a transaction does not end
        """
        ends = self.ends(self.places(settings, name))
        until_s = time.monotonic() + ANSWER_S
        while lag(ends, self.ends(ends, readable=True)):
            if time.monotonic() > until_s:
                raise RebuildError(f"a transaction in {settings.topic(name)} does not end. Run it again: it goes on.")
            time.sleep(_LOOK_EVERY_S)

    def _left(self, taken: Mapping[Place, int], ends: Mapping[Place, int]) -> bool:
        """Say whether something before these ends was not taken in: a record, or a transaction that has not ended."""
        behind = {place: end for place, end in ends.items() if end > taken[place]}
        if not behind:
            return False
        if lag(behind, self.ends(behind, readable=True)):
            return True
        # What is left may be transactions' marks only, which nobody is given.
        return any(True for _ in read(self.settings.kafka, [TopicPartition(*place, taken[place]) for place in behind]))

    def wait_dry(self, settings: Settings, *names: str) -> None:
        """Wait until nothing is under way in a generation's topics to which nobody but itself writes any more.

        Raises
        ------
        RebuildError
            when it does not come to that
        """
        while not self.is_dry(settings, *names):
            self.wait_taken(settings, *names)

    def wait_released(self, topics: Collection[str]) -> None:
        """Wait until no worker reads any of these topics: one whose topics vanish cannot end in good order.

        Raises
        ------
        RebuildError
            when some still do
        """
        deadline = time.monotonic() + _RELEASED_S
        while True:
            found = self.admin.describe_consumer_groups([self._group], request_timeout=_TIMEOUT_S)[self._group].result()
            held = {at.topic for member in found.members for at in member.assignment.topic_partitions}
            if found.state in _SETTLED and held.isdisjoint(topics):
                return
            if time.monotonic() > deadline:
                raise RebuildError(
                    f"workers still read {', '.join(sorted(held.intersection(topics))[:3])} after {_RELEASED_S:.0f} s: "
                    "is one of an earlier version running? Nothing was removed; run this again."
                )
            time.sleep(_LOOK_EVERY_S)

    def say_table(self, table: Table) -> None:
        """Write which generations there are."""
        self._write(self.settings.topic(GENERATIONS), 0, TABLE_KEY, table_value(table))
        self._flush()

    def tell(self, settings: Settings, kind: str, at_ms: int = 0) -> None:
        """Tell every partition of a generation of a phase."""
        value = self._replay.encode({"kind": kind, "at_ms": at_ms, "generation": settings.generation})
        for topic, number in self.places(settings, REPLAY):
            self._write(topic, number, None, value)
        self._flush()

    def ask(self, settings: Settings, kind: str, at_ms: int = 0) -> list[Answer]:
        """Tell every partition of a phase and return their answers.

        Raises
        ------
        RebuildError
            when some do not answer
        """
        topic = self.settings.topic(GENERATIONS)
        (start,) = self.ends([(topic, 0)]).values()
        self.tell(settings, kind, at_ms)
        return self.answers(settings, kind, start)

    def answers(self, settings: Settings, kind: str, start: int = 0) -> list[Answer]:
        """Return the answers of all partitions to a phase, written from an offset on.

        Raises
        ------
        RebuildError
            when some do not come
        """
        place = TopicPartition(self.settings.topic(GENERATIONS), 0, start)
        deadline = time.monotonic() + ANSWER_S
        while True:
            found: dict[int, Answer] = {}
            for key, value in read(self.settings.kafka, [place]):
                answer = None if value is None or key == TABLE_KEY else read_answer(value)
                if answer is not None and (answer.generation, answer.phase) == (settings.generation, kind):
                    found[answer.partition] = answer
            if len(found) == settings.partitions:
                return list(found.values())
            if time.monotonic() > deadline:
                silent = sorted(set(range(settings.partitions)) - set(found))
                raise RebuildError(f"partitions {silent} of {settings.generation} do not answer to {kind}")
            time.sleep(_LOOK_EVERY_S)

    def _write(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        self._producer.produce(topic, value, key, partition=partition)

    def _flush(self) -> None:
        left = self._producer.flush(_TIMEOUT_S)
        if left:
            raise RebuildError(f"Kafka at {self.settings.kafka} did not acknowledge {left} records")


def consumer_of(settings: Settings, group: str) -> Consumer:
    """Return a consumer that is told what to read."""
    return Consumer(
        {
            **settings.librdkafka(),
            "group.id": group,
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "queued.max.messages.kbytes": 8_192,  # per partition, of which there are dozens
            # Once so many lie there, it looks again after 10 ms instead of a second: they are read sooner.
            "fetch.queue.backoff.ms": 10,
        }
    )


def is_end(message: Any) -> bool:
    """Say whether a message is the end of its partition.

    Raises
    ------
    RebuildError
        when it is an error that does not pass
    """
    error = message.error()
    if error is None:
        return False
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name in this client
        return True
    if error.retriable():
        return True
    raise RebuildError(f"Kafka: {error.str()}")


def lag(until: Mapping[Place, int], at: Mapping[Place, int]) -> int:
    """Return how many offsets lie between two sets of places."""
    return sum(max(0, end - at.get(place, 0)) for place, end in until.items())
