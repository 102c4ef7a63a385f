"""Copies the past of one generation into the next, in order of time, exactly once.

Records of all partitions are merged by the time at which they arrived, so that the new generation's stream time runs as
the old one's did. What was written and how far was read are one transaction: whoever kills the copier, the next one
goes on exactly there. It never reads ahead of the old generation's workers: what they have not taken in may be the new
generation's to decide.
"""

import heapq
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaException, Producer, TopicPartition

from deploy.rebuild.log import Log, Place, RebuildError, consumer_of, is_end, lag
from deploy.rebuild.past import Lay, Past, Told
from schemas.topics import CHANNELS, DECISIONS, FIRST, REPLAY, RULINGS, signals
from streams.agents.replaying import CARRIED
from streams.settings import Settings

# Records of one transaction: a commit costs some 10 ms.
CHUNK = 5_000
# Records of a partition that wait to be merged; more are not fetched before the others have caught up.
_AHEAD = 4_000
# How often it is asked how far the old generation's workers are, seconds.
_ASK_EVERY_S = 0.25
# Every partition's time moves at least so often while time passes in the past, ms.
_TICK_EVERY_MS = 60_000
_TIMEOUT_S = 30.0


@dataclass(slots=True)
class _Queue:
    """What of one partition waits to be merged; ``next``: the offset to read on at, ``until``: where to stop."""

    name: str
    next: int
    until: int | None
    waiting: deque[Lay] = field(default_factory=deque)
    at_end: bool = False
    held: bool = False


class Copier:
    """Copies from one generation to another.

    Parameters
    ----------
    log : of both
    source, target : settings of the generations
    past : makes records into what is told
    """

    def __init__(self, log: Log, source: Settings, target: Settings, past: Past) -> None:
        self._log = log
        self._source, self._target = source, target
        self._past = past
        self.copied = 0
        name = f"{target.topic_prefix}{target.app}.rebuild.{source.generation}-{target.generation}"
        self._consumer: Any = consumer_of(target, name)
        self._producer: Any = Producer(
            {
                **target.librdkafka(),
                "transactional.id": name,
                "linger.ms": 5,
                "compression.type": "lz4",
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": 20 * CHUNK,
            }
        )
        self._queues: dict[Place, _Queue] = {}
        self._heads: list[tuple[int, str, int, int]] = []
        self._asked_s = 0.0
        self._ticked_ms = 0
        self._replay_topic = target.topic(REPLAY)
        own = (REPLAY,) if source.generation != FIRST else ()
        self._held_back = (*(signals(channel) for channel in CHANNELS), RULINGS)
        self._names = (*self._held_back, *own, DECISIONS)

    def open(self) -> bool:
        """Fence off another copier; return whether something was copied before."""
        self._producer.init_transactions(_TIMEOUT_S)
        places = self._places(self._names)
        found = self._consumer.committed([TopicPartition(*place) for place in places], timeout=_TIMEOUT_S)
        known = {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}
        lows = self._log.ends(places, first=True)
        short = {self._source.topic(name): name for name in self._names}
        for place in places:
            at = max(known.get(place, 0), lows[place])
            free = short[place[0]] not in self._held_back
            self._queues[place] = _Queue(short[place[0]], at, None if free else at)
        self._consumer.assign([TopicPartition(*place, queue.next) for place, queue in self._queues.items()])
        self._hold([place for place, queue in self._queues.items() if queue.until is not None])
        return bool(known)

    def _places(self, names: Iterable[str]) -> list[Place]:
        counts = self._consumer.list_topics(timeout=_TIMEOUT_S).topics
        found = []
        for name in names:
            topic = self._source.topic(name)
            found += [(topic, number) for number in counts[topic].partitions]
        return found

    @property
    def asked(self) -> bool:
        """Say whether it is known how far the old generation's workers are."""
        return self._asked_s > 0

    @property
    def remaining(self) -> int:
        """Records that may be copied and are not, at most."""
        return self.left(self.bounds())

    def bounds(self) -> dict[Place, int]:
        """Return up to where may be copied, as far as is known."""
        return {place: queue.until for place, queue in self._queues.items() if queue.until is not None}

    def look(self) -> dict[Place, int]:
        """Look up how far the old generation's workers are, and return up to where may be copied."""
        if self._asked_s < float("inf"):  # else it is drained, and ends where it was told to
            self._asked_s = time.monotonic()
            for place, offset in self._log.taken(self.bounds()).items():
                self._allow(place, self._queues[place], offset)
        return self.bounds()

    def left(self, until: dict[Place, int]) -> int:
        """Return how many records before these places are not copied, at most."""
        return lag(until, {place: q.waiting[0].offset if q.waiting else q.next for place, q in self._queues.items()})

    def write_first(self, told: Iterable[Told], *, keep_place: bool) -> None:
        """Write what is told before the past, in one transaction; with ``keep_place`` the copying begins with it."""
        self._producer.begin_transaction()
        for each in told:
            self._produce(each, 0)
        if keep_place:
            self._send_places()
        self._commit()

    def until(self, read: dict[Place, int]) -> None:
        """Set where the old generation ends; nothing beyond is copied as past."""
        for place, queue in self._queues.items():
            if queue.until is not None:
                self._allow(place, queue, read.get(place, 0))
        self._asked_s = float("inf")

    def turn(self) -> int:
        """Copy what there is, at most some thousand records; return how many were."""
        if time.monotonic() - self._asked_s > _ASK_EVERY_S:
            self.look()
        self._fetch()
        told: list[tuple[Lay, Told | None]] = []
        while len(told) < CHUNK and (lay := self._next()) is not None:
            told.append((lay, self._past.tell(lay)))
        if told:
            self._write(told)
        return len(told)

    def is_done(self) -> bool:
        """Say whether all that may be copied was, as far as is known."""
        return all(not queue.waiting and self._ended(queue) for queue in self._queues.values())

    def _allow(self, place: Place, queue: _Queue, offset: int) -> None:
        if queue.until is None:
            return
        if offset > queue.until:
            queue.until, queue.at_end = offset, False
        self._go_on(place, queue)

    def _go_on(self, place: Place, queue: _Queue) -> None:
        """Read a partition on where it was held, unless it may not be read further."""
        if not queue.held or (queue.until is not None and queue.next >= queue.until):
            return
        try:
            self._consumer.seek(TopicPartition(*place, queue.next))
        except KafkaException:
            return  # it has just been assigned: the next turn tries again
        queue.held = False
        self._consumer.resume([TopicPartition(*place)])

    def _hold(self, places: Iterable[Place]) -> None:
        for place in places:
            self._queues[place].held = True
            self._consumer.pause([TopicPartition(*place)])

    def _fetch(self) -> None:
        for message in self._consumer.consume(CHUNK, 0.05):
            place = (message.topic(), message.partition())
            queue = self._queues[place]
            if is_end(message):
                queue.at_end = True
                if queue.until is not None and message.offset() is not None:
                    queue.next = max(queue.next, min(queue.until, message.offset()))  # over transactions' marks
                continue
            offset = message.offset()
            if queue.held or offset < queue.next:
                continue
            if queue.until is not None and offset >= queue.until:
                queue.next = queue.until
                self._hold([place])
                continue
            queue.at_end = False
            if not queue.waiting:
                heapq.heappush(self._heads, (message.timestamp()[1], *place, offset))
            queue.next = offset + 1
            queue.waiting.append(Lay(queue.name, place[1], offset, message.timestamp()[1], message.value() or b""))
            if len(queue.waiting) >= _AHEAD:
                self._hold([place])

    def _ended(self, queue: _Queue) -> bool:
        return queue.next >= queue.until if queue.until is not None else queue.at_end

    def _next(self) -> Lay | None:
        """Return the oldest record of all, None while some partition may hold an older one."""
        if not self._heads or any(not q.waiting and not self._ended(q) and not q.at_end for q in self._queues.values()):
            return None
        _, topic, number, _ = heapq.heappop(self._heads)
        place = (topic, number)
        queue = self._queues[place]
        lay = queue.waiting.popleft()
        if queue.waiting:
            head = queue.waiting[0]
            heapq.heappush(self._heads, (head.at_ms, topic, number, head.offset))
        if len(queue.waiting) < _AHEAD // 4:
            self._go_on(place, queue)
        return lay

    def _write(self, told: list[tuple[Lay, Told | None]]) -> None:
        self._producer.begin_transaction()
        for lay, each in told:
            if lay.at_ms - self._ticked_ms > _TICK_EVERY_MS:
                self._ticked_ms = lay.at_ms
                for tick in self._past.tick(lay.at_ms):
                    self._produce(tick, lay.at_ms)
            if each is not None:
                self._produce(each, lay.at_ms)
            if lay.name == RULINGS:  # for readers only: who ruled what, and why
                self._send(self._target.topic(RULINGS), lay.value, None, headers={CARRIED: b""})
        self._send_places()
        self._commit()
        self.copied += len(told)

    def _produce(self, told: Told, at_ms: int) -> None:
        more = {"timestamp": at_ms} if at_ms else {}
        self._send(self._replay_topic, told.value, told.key, partition=told.partition, **more)

    def _send(self, topic: str, value: bytes, key: bytes | None, **more: Any) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, **more)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def _send_places(self) -> None:
        places = [
            TopicPartition(*place, queue.waiting[0].offset if queue.waiting else queue.next)
            for place, queue in self._queues.items()
        ]
        group = self._consumer.consumer_group_metadata()
        self._producer.send_offsets_to_transaction(places, group, _TIMEOUT_S)

    def _commit(self) -> None:
        try:
            self._producer.commit_transaction(_TIMEOUT_S)
        except KafkaException as exc:
            raise RebuildError(f"not committed: {exc.args[0].str()}. Run it again: it goes on exactly here.") from exc

    def carry(self) -> int:
        """Carry what came after the end of the old generation over to the new one, as new; return how many records."""
        for place, queue in self._queues.items():
            if queue.name in self._held_back:
                queue.until = None
                self._go_on(place, queue)
        carried = []
        for message in self._consumer.consume(CHUNK, 0.2):
            queue = self._queues[message.topic(), message.partition()]
            if is_end(message) or queue.name not in self._held_back or message.offset() < queue.next:
                continue
            queue.next = message.offset() + 1
            carried.append((queue.name, message))
        if carried:
            self._producer.begin_transaction()
            for name, message in carried:
                self._send(self._target.topic(name), message.value(), message.key())
            self._send_places()
            self._commit()
        return len(carried)

    def close(self) -> None:
        """Leave; what was not committed was not copied."""
        self._consumer.close()
