"""All partitions of this worker: opened and recovered as Faust assigns them, fed, watched, and let go.

Everything here runs in the event loop's thread except where it says otherwise.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from streams.lane.config import LaneConfig
from streams.lane.errors import PositionError
from streams.lane.forms import Forms
from streams.lane.health import Health
from streams.lane.job import Stage
from streams.lane.kept import Kept
from streams.lane.memory import give_back
from streams.lane.observer import Lag, Observer
from streams.lane.partition import Chunk, Partition, Surroundings
from streams.lane.replay import replay
from streams.lane.store import MemoryStore, Store
from streams.lane.topology import check_stages, owned_partitions, topic_id
from streams.lane.transactions import Transactions
from streams.lane.vault import SealKey, Vault

log = logging.getLogger(__name__)

T = TypeVar("T")
TopicPartition = tuple[str, int]
Owned = tuple[str, int]

# 64: each thread waits for one commit; a worker with more partitions than that shares them.
THREADS = 64
# 2 batches per partition wait in memory: one to begin with when the commit returns, one being filled.
BATCHES_AHEAD = 2


class Lane:
    """The lane of one worker process.

    Parameters
    ----------
    config : where Kafka is and how the lane behaves
    stages : what to run
    observer : told of batches, aborts, recoveries and lag

    Raises
    ------
    TopologyError
        when the stages get in each other's way
    """

    def __init__(self, config: LaneConfig, stages: Sequence[Stage[Any]], observer: Observer) -> None:
        check_stages(stages, seal_key=config.seal_key)
        self.config = config
        self.stages = {stage.name: stage for stage in stages}
        self.observer = observer
        self.partitions: dict[Owned, Partition[Any]] = {}
        self.failed = asyncio.Event()
        self.failure: BaseException | None = None
        self.generation = -1
        self.assigned = False
        self.flowing = False
        # Bumped at each seek of the sources; only chunks drained since the last seek are accepted.
        self.epoch = 0
        self.accepting: int | None = None
        # Bumped at each revocation; a seek that was prepared before it does nothing.
        self.revocations = 0
        self._seeking = threading.Lock()
        # Source partitions with records at the broker that were not fetched, since when (monotonic).
        self.undelivered: dict[TopicPartition, float] = {}
        self.health = Health(self)
        self._by_source: dict[TopicPartition, Partition[Any]] = {}
        self._stage_of = {topic: stage.name for stage in stages for topic in (*stage.sources, stage.changelog)}
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="lane")
        self._around = Surroundings(self._pool, threading.Lock(), self.fail, self._room_freed)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._room = asyncio.Event()
        self._stop_recovery = threading.Event()
        self._recovery: Future[bool] | None = None
        self._forms = {stage.name: Forms(stage.words) for stage in stages if stage.vault or stage.words}
        self._seal_key = None if config.seal_key is None else SealKey(config.seal_key, config.seal_key_before)
        self._topic_ids: dict[str, str] = {}
        self._topic_ids_lock = threading.Lock()

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the event loop that runs the application."""
        self._loop = loop

    def fail(self, failure: BaseException) -> None:
        """Note a failure that is not a record's fault: the process ends. From any thread; the first one counts."""
        if self.failure is None:
            self.failure = failure
            log.critical("the lane fails: %s: %s", type(failure).__name__, failure, exc_info=failure)
        self.accepting = None
        self._in_loop(self.failed.set)

    def _in_loop(self, call: Callable[[], None]) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(call)

    # ------------------------------------------------------------------ assignment

    async def revoke(self) -> None:
        """Stop all work: what waits is dropped, what runs is committed or aborted when this returns."""
        with self._seeking:
            self.revocations += 1
            self.accepting = None
        self.assigned = self.flowing = False
        self.undelivered.clear()
        self._stop_recovery.set()
        self.health.moved()
        await self._in_threads(partition.quiesce for partition in self.partitions.values())
        if self._recovery is not None:
            # Its outcome was told to whoever began it; here only its end matters.
            await asyncio.wait([asyncio.wrap_future(self._recovery)])
            self._recovery = None

    async def assign(self, assigned: Iterable[TopicPartition], generation: int) -> None:
        """Take over an assignment: let go of what is lost, open (fence) what is new.

        What was ours in the generation just before is kept as it is: nobody else can have had it. After a
        generation that this worker missed, all is opened and recovered anew.

        Raises
        ------
        TopologyError
            when the topics of a stage were not given together
        TransactionError
            when a producer cannot be opened
        """
        owned = owned_partitions(self.stages.values(), assigned)
        kept = owned & self.partitions.keys() if generation == self.generation + 1 else set()
        lost = [self.partitions.pop(key) for key in list(self.partitions) if key not in kept]
        await self._in_threads(partition.close for partition in lost)
        new = await self._in_threads(partial(self._open, *key) for key in sorted(owned - kept))
        for partition in new:
            self.partitions[partition.stage.name, partition.number] = partition
        self._by_source = {
            (topic, number): partition
            for (_, number), partition in self.partitions.items()
            for topic in partition.stage.sources
        }
        self.generation = generation
        self.assigned = True
        self._stop_recovery.clear()
        self.health.moved()
        log.info("generation %d: %d partitions, %d of them new", generation, len(self.partitions), len(new))

    def _open(self, stage: str, number: int) -> Partition[Any]:
        """Open a partition's store and producer (the fence); in a thread of the pool."""
        config = self.config
        partition = Partition(
            self.stages[stage],
            number,
            config=config,
            kept=self._new_kept(self.stages[stage], number),
            transactions=Transactions(config, f"{config.app}-{stage}-{number}"),
            observer=self.observer,
            around=self._around,
        )
        partition.open()
        return partition

    def _new_kept(self, stage: Stage[Any], number: int) -> Kept[Any]:
        vault = None
        if stage.vault is not None and self._seal_key is not None:
            vault = Vault(self._seal_key, f"{stage.vault}[{number}]")
        store, where = self._new_store(stage.name, number), f"{stage.changelog}[{number}]"
        return Kept(stage, store, forms=self._forms.get(stage.name), vault=vault, where=where)

    def _new_store(self, stage: str, number: int) -> Store:
        if self.config.store == "memory":
            return MemoryStore()
        from streams.lane.rocks import RocksStore  # noqa: PLC0415 - rocksdict is an extra

        changelog = self.stages[stage].changelog
        with self._topic_ids_lock:
            if changelog not in self._topic_ids:
                self._topic_ids[changelog] = topic_id(self.config, changelog)
        return RocksStore(self.config.directory / stage / str(number), self._topic_ids[changelog])

    # ------------------------------------------------------------------ recovery

    async def recover(self) -> bool:
        """Recover the state of the new partitions; False when a new assignment came in between."""
        waiting = [partition for partition in self.partitions.values() if not partition.recovered]
        if waiting:
            self._recovery = self._pool.submit(self._recover, waiting)
            if not await asyncio.wrap_future(self._recovery):
                return False
            self._recovery = None
        return True

    def _recover(self, waiting: Sequence[Partition[Any]]) -> bool:
        """Replay changelogs; in a thread of the pool."""
        began = time.monotonic()
        secrets = [source for partition in waiting if (source := partition.vault_source()) is not None]
        stopped = self._stop_recovery.is_set
        with ThreadPoolExecutor(1) as beside:
            # Each source brings the timers that a local store has: while the secrets are read, mostly elsewhere.
            states = beside.submit(lambda: [partition.source() for partition in waiting])
            if not replay(self.config, secrets, progress=self._replayed, stopped=stopped):
                return False
            if not replay(self.config, states.result(), progress=self._replayed, stopped=stopped):
                return False
        give_back()
        for partition in waiting:
            keys = partition.become_ready()
            seconds = time.monotonic() - began
            self.health.moved()
            self.observer.recovered(partition.stage.name, partition.number, keys, seconds)
            log.info("%s[%d]: %d keys recovered in %.2f s", partition.stage.name, partition.number, keys, seconds)
        return True

    def _replayed(self, records: int) -> None:
        """Note that recovery moves; one that reads nothing stands still, whatever it waits for."""
        if records:
            self.health.moved()

    def sources(self) -> list[TopicPartition]:
        """Return all source partitions of this worker."""
        return list(self._by_source)

    def start_offsets(
        self, earliest: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Return where to read each source on: at the position record, or the beginning when it was never read.

        Raises
        ------
        PositionError
            when the state has read beyond the end of its source: the topic was created anew
        """
        starts: dict[TopicPartition, int] = {}
        for (topic, number), partition in self._by_source.items():
            low, end = earliest[topic, number], ends[topic, number]
            wanted = partition.position.next.get(topic, low)
            if wanted > end:
                raise PositionError(
                    f"{topic}[{number}] ends at offset {end}, but stage {partition.stage.name} has read up to "
                    f"{wanted}: the topic was created anew. Reset the stage: delete and create "
                    f"{partition.changelog} too."
                )
            if wanted < low:
                log.error(
                    "%s[%d]: %d records were deleted by retention before stage %s read them",
                    topic, number, low - wanted, partition.stage.name,
                )  # fmt: skip
            starts[topic, number] = max(wanted, low)
        return starts

    def flow(self) -> None:
        """Let batches run. Records are accepted from the seek on that follows."""
        self.flowing = True
        self.health.moved()
        for partition in self.partitions.values():
            partition.flow()

    def seek(self, seek: Callable[[], None], *, revocations: int) -> bool:
        """Seek, and accept what is drained from here on; in the consumer's thread.

        Parameters
        ----------
        seek : moves the consumer
        revocations : as of when the offsets were looked up: when a revocation came in between, nothing is done
        """
        with self._seeking:
            if self.revocations != revocations or self.failure is not None:
                return False
            seek()
            self.epoch += 1
            self.accepting = self.epoch
            return True

    # ------------------------------------------------------------------ records

    def feed(self, chunk: Chunk) -> None:
        """Hand fetched records to their partition, unless they were fetched before the last seek."""
        if chunk.epoch == self.accepting:
            self._by_source[chunk.topic, chunk.partition].feed(chunk.records)

    def with_room(self, active: Iterable[TopicPartition]) -> frozenset[TopicPartition]:
        """Return those partitions that may be fetched: frozen, since the consumer's thread reads it later."""
        # Cleared before the look: room that is made from here on is not missed by wait_for_room.
        self._room.clear()
        found = self._by_source
        wanted = []
        for at in active:
            partition = found.get((at[0], at[1]))
            if partition is not None and partition.pending_records < BATCHES_AHEAD * partition.stage.max_batch:
                wanted.append(at)
        return frozenset(wanted)

    def _room_freed(self) -> None:
        if not self._room.is_set():
            self._in_loop(self._room.set)

    async def wait_for_room(self, timeout_s: float) -> None:
        """Wait until a batch was taken from what waits, since the last ``with_room``."""
        try:
            await asyncio.wait_for(self._room.wait(), timeout_s)
        except TimeoutError:
            return

    def committed(self) -> dict[TopicPartition, int]:
        """Return the next offset of every source partition, as of its last commit."""
        return {
            (topic, number): partition.position.next[topic]
            for (topic, number), partition in self._by_source.items()
            if topic in partition.position.next
        }

    def watch(self, fetched: Mapping[TopicPartition, tuple[int, int]], *, now_ms: int) -> None:
        """Tell lags, note partitions whose records are not fetched, and let quiet ones do what their vaults need.

        Parameters
        ----------
        fetched : per source partition, the next offset to fetch and the end of the log, as of the last fetch
        now_ms : wall clock, epoch ms
        """
        now = time.monotonic()
        for at, (position, end) in fetched.items():
            partition = self._by_source.get(at)
            if partition is None:
                continue
            behind = max(0, end - position)
            if behind and not partition.pending_records:
                self.undelivered.setdefault(at, now)
            else:
                self.undelivered.pop(at, None)
            waiting = partition.pending_of(at[0])
            oldest = partition.oldest_ms()
            age_s = 0.0 if oldest is None else max(0.0, (now_ms - oldest) / 1000)
            following = partition.position.next.get(at[0], 0)
            self.observer.lag(Lag(partition.stage.name, *at, behind + waiting, age_s, following))
        for partition in self.partitions.values():
            partition.tidy()

    # ------------------------------------------------------------------ end

    async def stop(self) -> None:
        """Stop all work, in order."""
        await self.revoke()

    def close(self) -> None:
        """Let go of producers and stores; after ``stop``, or when it does not matter any more."""
        for partition in self.partitions.values():
            partition.close()
        self.partitions.clear()
        self._by_source.clear()
        self._pool.shutdown(wait=False)

    async def _in_threads(self, calls: Iterable[Callable[[], T]]) -> list[T]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*[loop.run_in_executor(self._pool, call) for call in calls])
