"""One partition and its transactions on a real broker, without a group around them."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from streams.lane.config import LaneConfig
from streams.lane.errors import FencedError, TransactionError
from streams.lane.forms import Forms
from streams.lane.job import Batch, Failure, Output, Record, Result, Stage, State, never_due
from streams.lane.kept import Kept
from streams.lane.observer import NO_OBSERVER, Committed
from streams.lane.partition import Partition, Surroundings
from streams.lane.replay import replay
from streams.lane.rocks import RocksStore
from streams.lane.store import MemoryStore, Store
from streams.lane.transactions import AbortedError, Transactions
from streams.lane.vault import SealKey, Vault
from streams.lane.views import CachedView

pytestmark = pytest.mark.kafka

Floor = Any  # the fixture's class lives in conftest.py, which tests cannot import
SEAL_KEY = SealKey(b"k" * 32)


class Watcher(type(NO_OBSERVER)):  # type: ignore[misc]  # the class behind a protocol's value
    """Counts what the lane tells."""

    def __init__(self) -> None:
        self.records = 0
        self.aborts = 0

    def committed(self, batch: Committed) -> None:
        self.records += batch.records

    def aborted(self, stage: str, partition: int) -> None:
        self.aborts += 1


class Rig:
    """Partitions of one stage, as several workers would hold them one after another."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.config = LaneConfig(app=floor.prefix + "rig", bootstrap=floor.bootstrap)
        self.failures: list[BaseException] = []
        self.failed = threading.Event()
        self.pool = ThreadPoolExecutor(4)
        self.made: list[Partition[Any]] = []

    def stage(self, **kwargs: Any) -> Stage[list[int]]:
        prefix = self.floor.prefix

        def count(state: State[list[int]], batch: Batch) -> Result[list[int]]:
            """Count per key, changing the values in place."""
            changes: dict[bytes, list[int] | None] = {}
            for key in batch.due:
                value = state.get(key)
                assert value is not None
                value[0] += 1000
                changes[key] = value
            for record in batch.records:
                key = record.key or b""
                value = changes.get(key) or state.get(key) or [0]
                value[0] += 1
                changes[key] = value
            outputs = [Output(f"{prefix}out", key, b"%d" % v[0]) for key, v in changes.items() if v is not None]
            return Result(changes, outputs, stream_ms=max((r.timestamp_ms for r in batch.records), default=None))

        fields: dict[str, Any] = {
            "name": "rig", "sources": (f"{prefix}in",), "changelog": f"{prefix}log", "job": count,
            "encode": lambda v: b"%d" % v[0], "decode": lambda raw: [int(raw)], "dead_letter": self._dead_letter,
        }  # fmt: skip
        return Stage(**(fields | kwargs))

    def sealing(self, stage: Stage[Any]) -> dict[str, Any]:
        """Return what a stage with a vault seals with."""
        return {"forms": Forms(), "vault": Vault(SEAL_KEY, "vault[0]"), "where": "log[0]"} if stage.vault else {}

    def _dead_letter(self, failure: Failure) -> Output:
        return Output(f"{self.floor.prefix}out", b"dead", failure.detail.encode())

    def open(
        self,
        stage: Stage[Any],
        *,
        watcher: Any = NO_OBSERVER,
        transactional_id: str = "rig-0",
        store: Store | None = None,
    ) -> Partition[Any]:
        """Do what a worker does for a partition that it was assigned."""

        def failed(failure: BaseException) -> None:
            self.failures.append(failure)
            self.failed.set()

        kept = Kept(stage, store or MemoryStore(), **self.sealing(stage))
        partition = Partition(
            stage,
            0,
            config=self.config,
            kept=kept,
            transactions=Transactions(self.config, self.floor.prefix + transactional_id),
            observer=watcher,
            around=Surroundings(self.pool, threading.Lock(), failed, lambda: None),
        )
        self.made.append(partition)
        partition.open()
        for source in (partition.vault_source(), partition.source()):
            sources = [] if source is None else [source]
            assert replay(self.config, sources, progress=lambda _: None, stopped=lambda: False)
        partition.become_ready()
        partition.flow()
        return partition

    def close(self) -> None:
        for partition in self.made:
            partition.close()
        self.pool.shutdown()

    def outputs(self) -> Counter[tuple[bytes, bytes]]:
        return Counter((m.key(), m.value()) for m in self.floor.read("out"))


@pytest.fixture
def rig(floor: Floor) -> Iterator[Rig]:
    floor.create({"in": 1, "log": 1, "out": 1}, compacted=("log",))
    made = Rig(floor)
    yield made
    made.close()


def records(floor: Floor, begin: int, end: int, key: bytes = b"k", at_ms: int = 0) -> list[Record]:
    return [Record(f"{floor.prefix}in", 0, offset, at_ms + offset, key, b"") for offset in range(begin, end)]


def abort_once(monkeypatch: pytest.MonkeyPatch, times: int = 1) -> None:
    """Let the broker's side of the first commits be an abort."""
    real, left = Transactions.commit, [times]

    def commit(self: Transactions) -> None:
        if left[0]:
            left[0] -= 1
            self._producer.flush()
            self.abort()
            raise AbortedError("as if the coordinator wanted it")
        real(self)

    monkeypatch.setattr(Transactions, "commit", commit)


def test_overlay_of_an_aborted_batch_is_dropped(rig: Rig, floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job changed values in place; the second try begins at the committed state, and nobody sees the first."""
    watcher = Watcher()
    partition = rig.open(rig.stage(), watcher=watcher)
    partition.feed(records(floor, 0, 10))
    floor.wait(lambda: watcher.records == 10)
    abort_once(monkeypatch)
    partition.feed(records(floor, 10, 20))
    floor.wait(lambda: watcher.records == 20)
    assert watcher.aborts == 1
    assert partition.store.get(b"k") == b"20"
    assert rig.outputs() == {(b"k", b"10"): 1, (b"k", b"20"): 1}


def test_without_the_drop_an_abort_counts_twice(rig: Rig, floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above fails when the guard is taken out."""
    watcher = Watcher()
    partition = rig.open(rig.stage(), watcher=watcher)
    partition.feed(records(floor, 0, 10))
    floor.wait(lambda: watcher.records == 10)
    abort_once(monkeypatch)
    monkeypatch.setattr(CachedView, "forget", lambda self: None)
    partition.feed(records(floor, 10, 20))
    floor.wait(lambda: watcher.records == 20)
    assert partition.store.get(b"k") == b"30"


def test_what_fails_three_times_ends_the_process(rig: Rig, floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    partition = rig.open(rig.stage())
    abort_once(monkeypatch, times=3)
    partition.feed(records(floor, 0, 10))
    assert rig.failed.wait(20)
    assert isinstance(rig.failures[0], TransactionError)
    assert floor.read("out") == []


def test_earlier_owner_is_fenced_by_opening(rig: Rig, floor: Floor) -> None:
    """From the moment a partition is opened elsewhere, nothing of its earlier owner is committed."""
    stage = rig.stage()
    first = rig.open(stage)
    rig.open(stage)
    first.feed(records(floor, 0, 10))
    assert rig.failed.wait(20)
    assert isinstance(rig.failures[0], FencedError)
    assert first.store.get(b"k") is None
    assert floor.read("out") == []


def test_without_the_common_id_both_owners_commit(rig: Rig, floor: Floor) -> None:
    """The test above fails when the guard is taken out."""
    stage, watcher = rig.stage(), Watcher()
    first = rig.open(stage, watcher=watcher, transactional_id="one")
    second = rig.open(stage, watcher=watcher, transactional_id="two")
    first.feed(records(floor, 0, 10))
    second.feed(records(floor, 0, 10))
    floor.wait(lambda: watcher.records == 20)
    assert rig.outputs() == {(b"k", b"10"): 2}


def test_records_that_the_state_has_seen_are_left_out(rig: Rig, floor: Floor) -> None:
    """Whatever is fetched again after a seek, the position record decides."""
    watcher = Watcher()
    partition = rig.open(rig.stage(), watcher=watcher)
    partition.feed(records(floor, 0, 10))
    floor.wait(lambda: watcher.records == 10)
    partition.feed(records(floor, 0, 10))
    partition.feed(records(floor, 5, 15))
    floor.wait(lambda: watcher.records == 15)
    assert partition.store.get(b"k") == b"15"


def test_timers_fire_by_stream_time_and_survive_a_restart(rig: Rig, floor: Floor) -> None:
    """A key is due when its partition's stream time reaches it, at once, once, also after the state was recovered."""
    due: Callable[[list[int]], int | None] = lambda v: 5_000 if v[0] < 1000 else None  # noqa: E731
    stage = rig.stage(due_ms=due)
    watcher = Watcher()
    first = rig.open(stage, watcher=watcher)
    first.feed(records(floor, 0, 1, b"early", at_ms=100))
    first.feed(records(floor, 1, 2, b"later", at_ms=100))
    floor.wait(lambda: watcher.records == 2)
    assert first.position.stream_ms == 101
    first.close()
    second = rig.open(stage, watcher=watcher)
    assert second.position.stream_ms == 101
    assert len(second.timers) == 2
    second.feed(records(floor, 2, 3, b"tick", at_ms=4_998))
    floor.wait(lambda: second.store.get(b"early") == b"1001")
    floor.wait(lambda: second.store.get(b"later") == b"1001")
    assert rig.outputs()[b"early", b"1001"] == 1
    assert second.position.stream_ms == 5_000


def test_due_key_that_the_job_leaves_alone_is_not_handed_out_for_ever(rig: Rig, floor: Floor) -> None:
    calls: list[int] = []
    counting = rig.stage().job

    def job(state: State[list[int]], batch: Batch) -> Result[list[int]]:
        calls.append(len(batch.due))
        return Result(stream_ms=batch.stream_ms) if batch.due else counting(state, batch)

    watcher = Watcher()
    partition = rig.open(rig.stage(job=job, due_ms=lambda _: 0), watcher=watcher)
    partition.feed(records(floor, 0, 1))
    floor.wait(lambda: calls == [0, 1] and partition.waiting_since is None)
    partition.feed(records(floor, 1, 2))
    floor.wait(lambda: watcher.records == 2 and partition.waiting_since is None)
    assert calls == [0, 1, 0, 1]


def test_stage_without_timers_has_none(rig: Rig) -> None:
    stage = rig.stage()
    assert stage.due_ms is never_due
    assert len(rig.open(stage).timers) == 0


def _never_decodes(raw: bytes) -> list[int]:
    raise AssertionError(f"recovery decoded {raw!r}")


def test_recovery_finds_timers_without_decoding_values(rig: Rig, floor: Floor) -> None:
    """What the due times are lies beside the values in the changelog."""
    watcher = Watcher()
    first = rig.open(rig.stage(due_ms=lambda v: 5_000 if v[0] == 1 else None), watcher=watcher)
    first.feed(records(floor, 0, 1, b"due"))
    first.feed(records(floor, 1, 3, b"never"))
    floor.wait(lambda: watcher.records == 3)
    first.close()
    second = rig.open(rig.stage(due_ms=lambda _: 5_000, decode=_never_decodes))
    assert second.timers.take(5_000, 10) == [(5_000, b"due")]


def test_timers_of_records_without_a_due_time_lie_in_their_values(rig: Rig, floor: Floor) -> None:
    """A changelog of before due times lay beside the values: decoded once, and what cannot be has no timer."""
    floor.produce("log", b"1", b"old", 0)
    floor.produce("log", b"not a number", b"broken", 0)
    floor.produce("log", b"1", b"gone", 0)
    floor.send("log", None, b"gone")
    partition = rig.open(rig.stage(due_ms=lambda v: 5_000 + v[0]))
    assert partition.timers.take(9_000, 10) == [(5_001, b"old")]


def test_due_times_outlive_a_restart_in_a_local_store(rig: Rig, floor: Floor, tmp_path: Path) -> None:
    """A store on disk that is up to date needs neither changelog nor values."""
    watcher = Watcher()
    stage = rig.stage(due_ms=lambda v: 5_000 if v[0] == 1 else None)
    first = rig.open(stage, watcher=watcher, store=RocksStore(tmp_path / "s", "id"))
    first.feed(records(floor, 0, 1, b"due"))
    first.feed(records(floor, 1, 3, b"never"))
    floor.wait(lambda: watcher.records == 3)
    first.close()
    again = RocksStore(tmp_path / "s", "id")
    second = rig.open(rig.stage(due_ms=lambda _: 5_000, decode=_never_decodes), store=again)
    assert second.timers.take(5_000, 10) == [(5_000, b"due")]
