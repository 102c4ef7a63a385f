"""One partition number of one stage: batch → overlay → transaction → store → ack.

All source topics of the stage meet here, so they share one state, one producer and one line of batches.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, NamedTuple, TypeVar

from streams.lane.apply import Applied, Applier
from streams.lane.config import LaneConfig
from streams.lane.due import checked
from streams.lane.errors import TransactionError
from streams.lane.job import Batch, Record, Stage, never_due
from streams.lane.kept import Kept, Written
from streams.lane.observer import Committed, Observer
from streams.lane.position import POSITION_KEY, Position, decode_position, encode_position
from streams.lane.replay import Source
from streams.lane.timers import Timers
from streams.lane.transactions import AbortedError, Transactions

log = logging.getLogger(__name__)

V = TypeVar("V")

# 3: an abort is rare (a coordinator moved, a pause near the transaction timeout); what fails thrice is no accident.
TRIES = 3


class Chunk(NamedTuple):
    """Consecutive records of one topic partition, as they were fetched in one epoch of the assignment."""

    epoch: int
    topic: str
    partition: int
    records: list[Record]


class Work(NamedTuple):
    """Records of one transaction, and the next offset per topic after them."""

    records: list[Record]
    read: dict[str, int]


class Surroundings(NamedTuple):
    """What a partition needs of the lane around it.

    Parameters
    ----------
    pool : runs batches; commits of different partitions overlap in it
    compute : held while a job runs: one interpreter computes for one partition at a time, without thrashing
    failed : told of what is not a record's fault; the process ends
    moved : told after each commit: there may be room to fetch
    """

    pool: Executor
    compute: threading.Lock
    failed: Callable[[BaseException], None]
    moved: Callable[[], None]


class Partition(Generic[V]):
    """The only writer of one partition's state, from its assignment to its revocation."""

    def __init__(
        self,
        stage: Stage[V],
        number: int,
        *,
        config: LaneConfig,
        kept: Kept[V],
        transactions: Transactions,
        observer: Observer,
        around: Surroundings,
    ) -> None:
        self.stage = stage
        self.number = number
        self.kept = kept
        self.store = kept.store
        self.transactions = transactions
        self.position = Position()
        self.timers = Timers()
        self._timers_loaded = False
        self._dated = stage.due_ms is not never_due
        # Keys that recovery found without a due time beside them: it lies in their values.
        self._undated: set[bytes] = set()
        self.recovered = False
        self.pending_records = 0
        # When something waited here and nothing was committed yet, by time.monotonic().
        self.progress_at = time.monotonic()
        self._applier = Applier(
            stage, kept, message_max_bytes=config.message_max_bytes, decoded_bytes=config.decoded_bytes
        )
        self._config = config
        self._linger_s = (config.commit_linger_ms if stage.linger_ms is None else stage.linger_ms) / 1000
        self._observer = observer
        self._around = around
        self._pending: deque[list[Record]] = deque()
        # Next offset per topic after what was fed here since the last quiesce: nothing is taken twice.
        self._fed: dict[str, int] = {}
        self._state = threading.Condition()
        self._running = False
        self._flowing = False
        # The next batch is run though it may be empty: the vault needs one.
        self._chores = False

    @property
    def changelog(self) -> str:
        """The topic that holds the state."""
        return self.stage.changelog

    # ------------------------------------------------------------------ life

    def open(self) -> None:
        """Fence earlier owners: called before the state is recovered, so nothing can be added to it behind us."""
        self.transactions.open()

    def vault_source(self) -> Source | None:
        """Return what recovery is to read before anything else: the secrets, if there are any."""
        vault, topic = self.kept.vault, self.stage.vault
        return None if vault is None or topic is None else Source(topic, self.number, vault, self.timers)

    def source(self) -> Source:
        """Return what recovery is to read: the changelog, into the store and the timers that outlived the process."""
        if not self._timers_loaded:  # once: a recovery that is taken up again goes on with what it has
            self.timers.rebuild(self.store.due())
            self._timers_loaded = True
        undated = self._undated if self._dated else None
        return Source(self.changelog, self.number, self.store, self.timers, undated, self.kept.replayed)

    def become_ready(self) -> int:
        """Take over the position and the timers of the recovered state; return the number of keys.

        Raises
        ------
        PositionError
            when the position record or a sealed value cannot be read
        """
        self.kept.check()
        raw = self.store.get(POSITION_KEY)
        where = f"{self.changelog}[{self.number}]"
        self.position = Position() if raw is None else decode_position(raw, where=where)
        keys = len(self.store)
        if self._undated:
            self._date()
        self._applier.view.forget_all()
        self.recovered = True
        return keys

    def _date(self) -> None:
        """Find the due times of values that were written before due times lay beside them."""
        decode, due_ms = self.stage.decode, self.stage.due_ms
        due: dict[bytes, bytes] = {}
        unreadable = 0
        for key in self._undated:
            try:
                raw = self.kept.get(key)
                due[key] = checked(None if raw is None else due_ms(decode(raw)))
            except Exception:  # noqa: BLE001 - one unreadable value must not stop the partition; its records say so
                unreadable += 1
        self.store.write({}, self.store.offset, due)
        for key, at in due.items():
            self.timers.set(key, at)
        self._undated.clear()
        if unreadable:
            log.error("%s[%d]: %d values cannot be decoded and have no timer", self.changelog, self.number, unreadable)

    def flow(self) -> None:
        """Let batches run, beginning with what is due."""
        with self._state:
            self._flowing = True
            self.progress_at = time.monotonic()
        self._maybe_run()

    def quiesce(self) -> None:
        """Drop what waits and wait for the batch that runs: it is committed or aborted when this returns."""
        with self._state:
            self._flowing = False
            self._pending.clear()
            self._fed.clear()
            self.pending_records = 0
            self._state.notify_all()
            while self._running:
                self._state.wait()

    def close(self) -> None:
        """Let go of producer and store."""
        self.quiesce()
        self.transactions.close()
        self.kept.close()
        self._observer.released(self.stage.name, self.number)

    # ------------------------------------------------------------------ work

    def feed(self, records: list[Record]) -> None:
        """Add fetched records of one topic; what the state has seen, or is about to see, is left out."""
        topic = records[0].topic
        with self._state:
            if not self._flowing:
                return
            first = max(self.position.next.get(topic, 0), self._fed.get(topic, 0))
            if records[0].offset < first:
                records = [record for record in records if record.offset >= first]
                if not records:
                    return
            self._fed[topic] = records[-1].offset + 1
            if not self._pending and not self._running:
                self.progress_at = time.monotonic()
            self._pending.append(records)
            self.pending_records += len(records)
            self._state.notify_all()
        self._maybe_run()

    def tidy(self) -> None:
        """Run a batch if the vault needs one: on a partition without work nobody else would."""
        with self._state:
            self._chores = self._flowing and self.kept.has_chores
        self._maybe_run()

    @property
    def waiting_since(self) -> float | None:
        """Since when work has waited without a commit, by time.monotonic(); None when there is none."""
        with self._state:
            return self.progress_at if self._pending or self._running else None

    def pending_of(self, topic: str) -> int:
        """Return how many records of a topic wait here."""
        with self._state:
            return sum(len(records) for records in self._pending if records[0].topic == topic)

    def oldest_ms(self) -> int | None:
        """Return the timestamp of the oldest record that waits here, epoch ms."""
        with self._state:
            return self._pending[0][0].timestamp_ms if self._pending else None

    def _maybe_run(self) -> None:
        with self._state:
            if self._running or not self._flowing or not self._has_work():
                return
            self._running = True
        self._around.pool.submit(self._run)

    def _has_work(self) -> bool:
        return bool(self._pending) or self._chores or self.timers.any_due(self.position.stream_ms)

    def _run(self) -> None:
        """Run batches until there is no work; in a thread of the pool."""
        try:
            while True:
                work = self._next_work()
                if work is None:
                    return
                self._transact(work)
        except BaseException as exc:  # noqa: BLE001 - handed to the lane, which ends the process
            with self._state:
                self._flowing = False
                self._running = False
                self._state.notify_all()
            self._around.failed(exc)

    def _next_work(self) -> Work | None:
        """Return the work of the next batch, or None when there is none.

        No records: timers are due, or the vault needs a batch.
        """
        with self._state:
            self._linger()
            if not self._flowing or not self._has_work():
                self._running = False
                self._state.notify_all()
                return None
            pending, most = self._pending, self.stage.max_batch
            self._chores = False
            if not pending:
                return Work([], {})
            records = pending.popleft()
            if len(records) > most:
                pending.appendleft(records[most:])
                records = records[:most]
            read = {records[-1].topic: records[-1].offset + 1}
            while pending and len(records) + len(pending[0]) <= most:
                chunk = pending.popleft()
                records = records + chunk
                read[chunk[-1].topic] = chunk[-1].offset + 1
            self.pending_records -= len(records)
        self._around.moved()
        return Work(records, read)

    def _linger(self) -> None:
        """Wait a little for a batch that is not full; the lock is free meanwhile."""
        linger_s = self._linger_s
        if not linger_s or not self._pending:
            return
        until = time.monotonic() + linger_s
        while self._flowing and self.pending_records < self.stage.max_batch and (left := until - time.monotonic()) > 0:
            self._state.wait(left)

    def _transact(self, work: Work) -> None:
        """Bring one batch through a transaction; one that the broker aborts is tried again from the start."""
        for attempt in range(1, TRIES + 1):
            due = self.timers.take(self.position.stream_ms, self._config.due_per_batch)
            batch = Batch(
                self.number, work.records, [key for _, key in due], self.position.stream_ms, self.position.next
            )
            applied: Applied[V] | None = None
            try:
                applied = self._attempt(batch, work.read)
            except AbortedError as exc:
                log.warning("%s[%d]: aborted, try %d of %d: %s", self.stage.name, self.number, attempt, TRIES, exc)
                last = exc
            else:
                return
            finally:
                if applied is None:
                    self._drop_overlay(due)
        raise TransactionError(f"{TRIES} tries failed: {last}") from last

    def _drop_overlay(self, due: list[tuple[int, bytes]]) -> None:
        """Forget all that an aborted batch touched: the state is what the last commit left."""
        self._applier.view.forget()
        self.timers.give_back(due)
        self._observer.aborted(self.stage.name, self.number)

    def _attempt(self, batch: Batch, read: dict[str, int]) -> Applied[V]:
        number, transactions = self.number, self.transactions
        with self._around.compute:
            applied = self._applier.apply(batch)
            position = self.position.after(read, applied.stream_ms)
            raw = encode_position(position)
            written = self.kept.seal(applied.changes, applied.values, applied.renew)
            transactions.begin()
            transactions.produce(applied.outputs)
            if self.stage.vault is not None:
                transactions.produce_changes(self.stage.vault, number, written.secrets)
            transactions.produce_changes(self.changelog, number, written.changes, applied.due)
            reached = transactions.produce_position(self.changelog, number, POSITION_KEY, raw)
        began = time.monotonic()
        transactions.commit()
        commit_s = time.monotonic() - began
        written.changes[POSITION_KEY] = raw
        self._committed(applied, written, position, reached.offset)
        self._observer.committed(
            Committed(
                self.stage.name,
                number,
                len(batch.records),
                applied.failures,
                len(applied.outputs) - applied.failures,
                len(applied.values),
                commit_s,
                position.stream_ms,
                0 if self.kept.vault is None else self.kept.vault.left,
            )
        )
        return applied

    def _committed(self, applied: Applied[V], written: Written, position: Position, offset: int) -> None:
        """Merge the overlay into the store: what the broker committed is now the state here."""
        self.kept.committed(written, offset, applied.due)
        self._applier.view.committed(applied.values, applied.changes)
        for key, at in applied.due.items():
            self.timers.set(key, at)
        self.position = position
        self.progress_at = time.monotonic()
