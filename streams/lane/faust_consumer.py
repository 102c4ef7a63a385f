"""Faust's consumer, made to fetch chunks: one message per partition and fetch, whose value is a list of records.

Faust keeps the group, its heartbeats and its rebalances. What is overridden here is named, one by one, in
``tests/contract/test_lane_internals.py``: an upgrade of Faust or aiokafka fails there first.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from aiokafka.errors import CommitFailedError, ConsumerStoppedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from aiokafka.structs import TopicPartition as AiokafkaTopicPartition
from faust import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode import Service

from streams.lane.job import Record
from streams.lane.partition import Chunk

if TYPE_CHECKING:
    from streams.lane.lane import Lane

log = logging.getLogger(__name__)

# 5 ms: while some partitions are full, look again soon whether they have room.
FULL_WAIT_S = 0.005
FETCH_TIMEOUT_S = 1.0
# 64 KiB, some 150 signals: a fetch that gathers waits for no more than that.
GATHER_BYTES = 64 * 1024
# 50 ms without a record: the stream is quiet, and the next record need not wait for company.
QUIET_AFTER_S = 0.05
# 1 s: lag is for people and alarms.
WATCH_EVERY_S = 1.0
# 10,000: one fetch hands over so many records at most, some 15 ms of work in the consumer's thread.
MOST_PER_FETCH = 10_000

# aiokafka's record → ours, both steps in C: 0.25 us a record against 0.9 us for a constructor call.
_fields_of = attrgetter("topic", "partition", "offset", "timestamp", "key", "value", "headers")
_record: Callable[[tuple[Any, ...]], Record] = partial(tuple.__new__, Record)


def records_of(fetched: Iterable[Any]) -> list[Record]:
    """Turn aiokafka's records into ours."""
    return list(map(_record, map(_fields_of, fetched)))


class ChunkSchema(Schema):  # type: ignore[misc]  # Faust has no types
    """Passes a chunk through undecoded: decoding is the job's, record by record."""

    def compile(
        self,
        app: Any,
        *,
        on_key_decode_error: Any = None,  # noqa: ARG002 - Faust's signature
        on_value_decode_error: Any = None,  # noqa: ARG002
        default_propagate: bool = False,
    ) -> Callable[..., Any]:
        """Return Faust's decode function."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = default_propagate) -> Any:  # noqa: ARG001
            return create_event(message.key, message.value, message.headers, message)

        return decode


class LaneConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust has no types
    """The thread that owns aiokafka's consumer."""

    @property
    def _lane(self) -> "Lane":
        lane: Lane = self.app.lane
        return lane

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust hard-codes both; they are read when the consumer starts, which is later.
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        consumer._fetch_max_wait_ms = self._lane.config.fetch_wait_ms  # noqa: SLF001
        return consumer

    async def fetch(self, wanted: frozenset[Any], timeout_s: float) -> list[Chunk]:
        """Fetch from these partitions; each chunk carries the epoch in which it was drained."""
        chunks: list[Chunk] = await self.call_thread(self._fetch_chunks, wanted, timeout_s)
        return chunks

    async def _fetch_chunks(self, wanted: frozenset[Any], timeout_s: float) -> list[Chunk]:
        consumer = self._ensure_consumer()
        first_s = min(timeout_s, QUIET_AFTER_S)
        fetched = await self._fetch_records(consumer, wanted, timeout=first_s, max_records=MOST_PER_FETCH)
        if not fetched and timeout_s > first_s:
            self._gather(consumer, False)
            rest_s = timeout_s - first_s
            fetched = await self._fetch_records(consumer, wanted, timeout=rest_s, max_records=MOST_PER_FETCH)
        if fetched:
            self._gather(consumer, True)
        # No await since the records were drained: a seek in this thread comes either before both or after both.
        epoch = self._lane.epoch
        return [Chunk(epoch, tp.topic, tp.partition, records_of(records)) for tp, records in fetched.items() if records]

    def _gather(self, consumer: Any, busy: bool) -> None:
        """Say how the next fetch waits: for the first byte, or, while records come, a little for more."""
        config, fetcher = self._lane.config, consumer._fetcher  # noqa: SLF001 - read by aiokafka at each request
        fetcher._fetch_min_bytes = GATHER_BYTES if busy else 1  # noqa: SLF001
        fetcher._fetch_max_wait_ms = config.fetch_gather_ms if busy else config.fetch_wait_ms  # noqa: SLF001

    async def seek_all(self, offsets: Mapping[Any, int], revocations: int) -> None:
        """Seek all at once, and accept from there on what is drained."""
        await self.call_thread(self._seek_all, offsets, revocations)

    async def _seek_all(self, offsets: Mapping[Any, int], revocations: int) -> None:
        consumer = self._ensure_consumer()

        def seek() -> None:
            for (topic, partition), offset in offsets.items():
                consumer.seek(AiokafkaTopicPartition(topic, partition), offset)

        self._lane.seek(seek, revocations=revocations)

    async def pause_fetching(self, partitions: Iterable[Any]) -> None:
        """Never fetch from these (changelogs): recovery reads them by itself."""
        await self.call_thread(self._pause_fetching, partitions)

    async def _pause_fetching(self, partitions: Iterable[Any]) -> None:
        self._ensure_consumer().pause(*(AiokafkaTopicPartition(tp[0], tp[1]) for tp in partitions))

    async def show_offsets(self, offsets: Mapping[Any, int]) -> None:
        """Commit offsets to the group, for lag displays only: a failure is logged and forgotten."""
        await self.call_thread(self._show_offsets, offsets)

    async def _show_offsets(self, offsets: Mapping[Any, int]) -> None:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        wanted = {AiokafkaTopicPartition(*at): OffsetAndMetadata(offset, "") for at, offset in offsets.items()}
        ours = {at: offset for at, offset in wanted.items() if at in assigned}
        if not ours:
            return
        try:
            await consumer.commit(ours)
        except (CommitFailedError, IllegalStateError, KafkaError) as exc:
            log.info("offsets not shown to the group (state is not affected): %s", exc)

    async def fetch_states(self) -> dict[Any, tuple[int, int]]:
        """Return next offset to fetch and end of log per assigned partition; raise what ended the group membership."""
        states: dict[Any, tuple[int, int]] = await self.call_thread(self._fetch_states)
        return states

    async def _fetch_states(self) -> dict[Any, tuple[int, int]]:
        consumer = self._ensure_consumer()
        consumer._coordinator.check_errors()  # noqa: SLF001 - a fatal join error, which Faust would never tell
        subscription = consumer._subscription.subscription  # noqa: SLF001
        assignment = None if subscription is None else subscription.assignment
        found: dict[Any, tuple[int, int]] = {}
        if assignment is not None:
            for tp in assignment.tps:
                state = assignment.state_value(tp)
                end = state.lso if state.lso is not None else state.highwater
                if state.has_valid_position and end is not None:
                    found[tp.topic, tp.partition] = (state.position, end)
        return found


class LaneConsumer(driver.Consumer):  # type: ignore[misc]  # Faust has no types
    """Faust's consumer, with the lane told of every change of hands."""

    @property
    def _lane(self) -> "Lane":
        lane: Lane = self.app.lane
        return lane

    def _new_consumer_thread(self) -> LaneConsumerThread:
        return LaneConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # ------------------------------------------------------------------ rebalance

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Finish or abort what runs before anybody else may have the partitions."""
        try:
            self.stop_flow()
            await self._lane.revoke()
            await self._thread.show_offsets(self._lane.committed())
        except Exception as exc:  # noqa: BLE001 - aiokafka would log and swallow it
            self._lane.fail(exc)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        """Open (fence) the partitions before Faust begins to recover them."""
        try:
            changelogs = self.app.tables.changelog_topics
            await self._thread.pause_fetching([tp for tp in assigned if tp.topic in changelogs])
            await self._lane.assign(((tp.topic, tp.partition) for tp in assigned), generation_id)
        except Exception as exc:  # noqa: BLE001 - aiokafka would log and swallow it, and the worker idle for ever
            self._lane.fail(exc)
            return
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Seek the sources to the position records; Kafka's committed offsets are for displays only."""
        lane = self._lane
        revocations = lane.revocations
        tps = [TP(topic, number) for topic, number in lane.sources()]
        starts: dict[Any, int] = {}
        if tps:
            earliest = await self.earliest_offsets(*tps)
            ends = await self.highwaters(*tps)
            if lane.revocations != revocations:
                return
            starts = lane.start_offsets(earliest, ends)
        lane.flow()
        await self._thread.seek_all(starts, revocations)
        await self._thread.show_offsets(starts)

    # ------------------------------------------------------------------ fetch

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, Any]]:  # noqa: ASYNC109 - Faust's name
        """Fetch, and yield one message per chunk."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        lane = self._lane
        active = self._get_active_partitions()
        wanted = lane.with_room(active)
        lane.health.moved()
        if not wanted:
            await lane.wait_for_room(timeout)
            return
        chunks = await self._thread.fetch(wanted, timeout if len(wanted) == len(active) else FULL_WAIT_S)
        for chunk in chunks:
            tp = TP(chunk.topic, chunk.partition)
            yield tp, self._to_message(tp, chunk)

    def _to_message(self, tp: Any, record: Chunk) -> Any:
        first = record.records[0]
        return ConsumerMessage(
            record.topic,
            record.partition,
            first.offset,
            first.timestamp_ms / 1000,
            0,
            (),
            None,
            record,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def _drain_messages(self, fetcher: Any) -> None:
        """Hand chunks to the agents as they come; acks and gaps are the lane's own business."""
        try:
            while not (self.should_stop or fetcher.should_stop):
                async for _, message in self.getmany(timeout=FETCH_TIMEOUT_S):
                    await self.callback(message)
                await asyncio.sleep(0)
        except (ConsumerStoppedError, asyncio.CancelledError):
            if not self.app.should_stop:
                raise

    # ------------------------------------------------------------------ acks

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002
        """Show the group how far the transactions have come."""
        shown: dict[Any, int] | None = getattr(self, "_shown", None)
        offsets = self._lane.committed()
        if offsets and offsets != shown:
            self._shown = offsets
            await self._thread.show_offsets(offsets)
        return True

    @Service.task  # type: ignore[untyped-decorator]  # mode has no types
    async def _watch(self) -> None:
        """Look for a dead group membership and for lag, once a second."""
        while not self.should_stop:
            await self.sleep(WATCH_EVERY_S)
            try:
                states = await self._thread.fetch_states()
                if self._lane.flowing:
                    self._lane.watch(states, now_ms=time.time_ns() // 1_000_000)
            except Exception as exc:  # noqa: BLE001 - whatever it is, the worker would idle for ever
                self._lane.fail(exc)
                return

    @Service.task  # type: ignore[untyped-decorator]  # mode has no types
    async def _commit_livelock_detector(self) -> None:
        """Faust's detector looks at acks per record, of which there are none; the lane's health watches instead."""


class LaneTransport(driver.Transport):  # type: ignore[misc]  # Faust has no types
    """Faust's transport with the lane's consumer."""

    Consumer = LaneConsumer
