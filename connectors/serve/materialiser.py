"""Profiles, identities, rulings and what came of them → Redis.

Redis says where to read on, Kafka's group offsets are for lag displays only.

While Redis is away nothing is held in memory: reading pauses, and goes on where Redis is when it answers again. An
emptied Redis has no positions, so that it is filled from the beginning; nobody has to say so.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import redis
import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from connectors.serve.changes import SOURCES, changes, erases
from connectors.serve.keys import ViewKeys
from connectors.serve.metrics import (
    APPLIED,
    APPLY_SECONDS,
    LAG_RECORDS,
    LAG_SECONDS,
    REDIS_UP,
    REFUSED,
    REVIEWS_OLDEST,
    REVIEWS_OPEN,
    REWINDS,
)
from connectors.serve.rewrite import Rewriter
from connectors.serve.store import GapError, Span, View
from schemas.codecs import Codecs

_log = structlog.get_logger(__name__)

# Records applied in one script: Redis answers nobody else meanwhile, 500 profiles of 4 KB take it about 2 ms.
MAX_BATCH = 500

# 64 KiB, some thirty profiles: a fetch waits for no more.
GATHER_BYTES = 64 * 1024

# How long one look for records lasts when there are none, and how often Redis is asked whether it still has what we
# wrote and the offsets are committed, in seconds.
_LOOK_S = 0.1
_CHECK_EVERY_S = 1.0

# Waits between attempts while Redis is away, in seconds: doubled from the first to the last.
_BACK_OFF_S = (0.1, 2.0)


class Materialiser:
    """One member of the materialisers' group.

    Parameters
    ----------
    connection : librdkafka's connection settings
    group : consumer group
    codecs : of the topics, and their full names
    client : of Redis, with time limits
    keys : names in Redis
    """

    def __init__(
        self,
        connection: dict[str, Any],
        *,
        group: str,
        codecs: Codecs,
        client: redis.Redis,
        keys: ViewKeys,
    ) -> None:
        self._keys = keys
        self._view = View(client, keys)
        self._rewriter = Rewriter(client)
        # Both now: where there is a registry, it is asked at the start.
        self._decoders = {name: codecs.of(name).decode for name in SOURCES}
        self._short = {codecs.topic(name): name for name in self._decoders}
        # By (full topic, partition): the next offset to apply, and whether it is the beginning of all.
        self._at: dict[tuple[str, int], int] = {}
        self._fresh: set[tuple[str, int]] = set()
        self._ends: dict[tuple[str, int], int] = {}
        self._down = False
        self._checked_s = 0.0
        self._retry_s = 0.0
        self._wait_s = _BACK_OFF_S[0]
        self.assigned = False
        self.turned_s = time.monotonic()
        self._consumer: Any = Consumer(
            {
                **connection,
                "group.id": group,
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                # While profiles come, each commit of a worker would end a fetch: gathered, there are at most fifty a
                # second, and a page is a fiftieth of a second older at worst. With a tenth, half of a quiet system's
                # time from signal to page was this wait (p50 97 ms instead of 59).
                "fetch.wait.max.ms": 20,
                "fetch.min.bytes": GATHER_BYTES,
                "error_cb": _report,
            }
        )
        self._consumer.subscribe(list(self._short), on_assign=self._on_assign, on_revoke=self._on_revoke)

    @property
    def redis_up(self) -> bool:
        """Say whether Redis answered last."""
        return not self._down

    def turn(self) -> int:
        """Do one round: read what is there, apply it, look after Redis; return how many records were applied."""
        self.turned_s = time.monotonic()
        if self._down:
            self._consumer.poll(_LOOK_S)  # keeps our place in the group; everything is paused
            self._try_again()
            return 0
        first = self._consumer.poll(_LOOK_S)
        messages = [] if first is None else [first, *self._consumer.consume(MAX_BATCH - 1, timeout=0)]
        try:
            applied = self._apply(messages)
            if time.monotonic() - self._checked_s > _CHECK_EVERY_S:
                self._check()
        except redis.RedisError as error:
            self._pause(error)
            return 0
        return applied

    def close(self) -> None:
        """Leave the group."""
        self._commit(asynchronous=False)
        self._consumer.close()

    def _apply(self, messages: Sequence[Any]) -> int:
        groups: dict[tuple[str, int], list[Any]] = defaultdict(list)
        for message in messages:
            place = (message.topic(), message.partition())
            error = message.error()
            if error is None:
                groups[place].append(message)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - confluent-kafka's public name of it
                self._ends[place] = message.offset()
            else:
                _log.warning("kafka", code=error.name())
        for place, group in groups.items():
            self._apply_group(place, group)
        return sum(len(group) for group in groups.values())

    def _apply_group(self, place: tuple[str, int], group: Sequence[Any]) -> None:
        topic, partition = place
        if place not in self._at:
            return  # taken from us between reading and applying
        short = self._short[topic]
        if group[0].offset() < self._at[place]:
            _log.warning("the topic was made anew, filling the view again", topic=topic, partition=partition)
            self._view.forget(short, partition)
            self._rewind([TopicPartition(topic, partition)])
            return
        records = ((message.key(), message.value()) for message in group)
        found, bad = changes(short, records, self._keys, self._decoders[short])
        for reason in bad:
            REFUSED.labels(short, reason.code).inc()
            _log.error("record refused", topic=short, partition=partition, code=reason.code, detail=reason.detail)
        span = Span(partition, self._at[place], group[-1].offset() + 1, place in self._fresh)
        try:
            with APPLY_SECONDS.time():
                self._view.apply(short, span, found)
        except GapError as gap:
            _log.warning("reading again", reason=str(gap))
            self._rewind([TopicPartition(topic, partition)])
            return
        self._at[place] = span.next
        self._fresh.discard(place)
        if erases(found, self._keys):
            self._rewriter.note(time.monotonic())
        APPLIED.labels(short).inc(len(group))
        self._measure(place, group[-1].timestamp()[1])

    def _measure(self, place: tuple[str, int], at_ms: int | None = None) -> None:
        topic, partition = place
        _, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
        # The end of a partition may be a transaction's marker, which nobody is given: its end event tells.
        behind = max(0, high - max(self._at[place], self._ends.get(place, 0)))
        labels = (self._short[topic], str(partition))
        LAG_RECORDS.labels(*labels).set(behind)
        if not behind:
            LAG_SECONDS.labels(*labels).set(0.0)
        elif at_ms is not None:
            LAG_SECONDS.labels(*labels).set(max(0.0, time.time() - at_ms / 1000))

    def _check(self) -> None:
        """See that Redis still reflects what was written: it may have been emptied, or restored from a copy."""
        self._checked_s = time.monotonic()
        self._rewriter.turn(self._checked_s)
        lost = []
        for short in SOURCES:
            positions = self._view.positions(short)
            for (topic, partition), at in self._at.items():
                known = positions.get(partition)
                if self._short[topic] == short and (topic, partition) not in self._fresh and (known or 0) < at:
                    lost.append(TopicPartition(topic, partition))
        if lost:
            _log.warning("redis lost what was written, filling it again", partitions=len(lost))
            self._rewind(lost)
        self._commit(asynchronous=True)
        for place in self._at:
            self._measure(place)
        waiting, since_ms = self._view.reviews()
        REVIEWS_OPEN.set(waiting)
        REVIEWS_OLDEST.set(max(0.0, time.time() - since_ms / 1000) if since_ms else 0.0)

    def _commit(self, *, asynchronous: bool) -> None:
        offsets = [TopicPartition(topic, partition, at) for (topic, partition), at in self._at.items() if at > 0]
        if not offsets:
            return
        try:
            self._consumer.commit(offsets=offsets, asynchronous=asynchronous)
        except KafkaException as error:
            _log.warning("offsets not committed", code=error.args[0].name())  # they are for displays only

    def _on_assign(self, _: object, partitions: list[Any]) -> None:
        self.assigned = True
        self._at = {(part.topic, part.partition): 0 for part in partitions}
        self._fresh = set(self._at)
        self._ends = {}
        try:
            self._consumer.assign(self._placed(partitions))
        except redis.RedisError as error:
            self._consumer.assign([TopicPartition(p.topic, p.partition, OFFSET_BEGINNING) for p in partitions])
            self._pause(error)

    def _on_revoke(self, _: object, partitions: list[Any]) -> None:
        for part in partitions:
            self._at.pop((part.topic, part.partition), None)
            labels = (self._short[part.topic], str(part.partition))
            for gauge in (LAG_RECORDS, LAG_SECONDS):
                gauge.labels(*labels)  # removing what was never set raises
                gauge.remove(*labels)

    def _placed(self, partitions: Sequence[Any]) -> list[Any]:
        """Return partitions at the offsets where Redis is."""
        positions = {short: self._view.positions(short) for short in SOURCES}
        placed = []
        for part in partitions:
            place = (part.topic, part.partition)
            at = positions[self._short[part.topic]].get(part.partition)
            self._at[place] = at or 0
            (self._fresh.add if at is None else self._fresh.discard)(place)
            self._ends.pop(place, None)
            placed.append(TopicPartition(part.topic, part.partition, OFFSET_BEGINNING if at is None else at))
        return placed

    def _rewind(self, partitions: Sequence[Any]) -> None:
        REWINDS.inc()
        for placed in self._placed(partitions):
            self._consumer.seek(placed)

    def _pause(self, error: redis.RedisError) -> None:
        if not self._down:
            _log.warning("redis is away, reading pauses", reason=type(error).__name__)
        self._down = True
        REDIS_UP.set(0)
        self._retry_s = time.monotonic() + self._wait_s
        self._wait_s = min(2 * self._wait_s, _BACK_OFF_S[1])
        self._consumer.pause(self._consumer.assignment())

    def _try_again(self) -> None:
        if time.monotonic() < self._retry_s:
            return
        try:
            self._view.ping()
            self._rewind(self._consumer.assignment())
        except redis.RedisError as error:
            self._pause(error)
            return
        self._down, self._wait_s = False, _BACK_OFF_S[0]
        REDIS_UP.set(1)
        self._consumer.resume(self._consumer.assignment())
        _log.info("redis answers, reading goes on")


def _report(error: KafkaError) -> None:
    _log.warning("kafka", code=error.name())
