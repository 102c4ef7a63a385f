"""Where reading goes on, what is accepted, and when a worker is ready and alive."""

import asyncio
import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from streams.lane.config import LaneConfig
from streams.lane.errors import FencedError, PositionError
from streams.lane.examples.word_count import stage
from streams.lane.health import Health
from streams.lane.job import Record
from streams.lane.kept import Kept
from streams.lane.lane import Lane
from streams.lane.metrics import PrometheusObserver
from streams.lane.observer import NO_OBSERVER, Committed, Lag
from streams.lane.partition import Chunk, Partition, Surroundings
from streams.lane.position import Position
from streams.lane.store import MemoryStore
from streams.lane.transactions import Transactions

CONFIG = LaneConfig(app="test", bootstrap="127.0.0.1:1", stall_after_s=60)


class NoTransactions(Transactions):
    """Stands where nothing is committed."""

    def __init__(self) -> None:
        """Connect to nothing."""

    def close(self) -> None:
        """Close nothing."""


class LazyPool:
    """Runs nothing, so that what was fed stays where it is."""

    def submit(self, *_: Any) -> None:
        """Forget it."""


def partition_of(number: int = 0) -> Partition[int]:
    around = Surroundings(LazyPool(), threading.Lock(), lambda _: None, lambda: None)  # type: ignore[arg-type]
    return Partition(
        stage("", max_batch=10),
        number,
        config=CONFIG,
        kept=Kept(stage("", max_batch=10), MemoryStore()),
        transactions=NoTransactions(),
        observer=NO_OBSERVER,
        around=around,
    )


def sought(lane: Lane) -> None:
    assert lane.seek(lambda: None, revocations=lane.revocations)


@pytest.fixture
def lane() -> Iterator[Lane]:
    made = Lane(CONFIG, [stage("", max_batch=10)], NO_OBSERVER)
    made.partitions["words", 0] = partition = partition_of()
    made._by_source["lines", 0] = partition
    partition.recovered = True
    made.assigned, made.generation = True, 1
    made.flow()
    sought(made)
    yield made
    made._pool.shutdown()


def chunk(lane: Lane, count: int = 3, *, epoch: int | None = None) -> Chunk:
    records = [Record("lines", 0, offset, offset, b"k", b"v") for offset in range(count)]
    return Chunk(lane.epoch if epoch is None else epoch, "lines", 0, records)


def waiting(lane: Lane) -> int:
    return lane.partitions["words", 0].pending_records


def test_reading_goes_on_at_the_position_record(lane: Lane) -> None:
    lane.partitions["words", 0].position = Position({"lines": 7})
    assert lane.start_offsets({("lines", 0): 2}, {("lines", 0): 9}) == {("lines", 0): 7}


def test_a_topic_never_read_begins_at_its_beginning(lane: Lane) -> None:
    assert lane.start_offsets({("lines", 0): 2}, {("lines", 0): 9}) == {("lines", 0): 2}


def test_records_deleted_before_they_were_read_are_told(lane: Lane, caplog: pytest.LogCaptureFixture) -> None:
    lane.partitions["words", 0].position = Position({"lines": 1})
    assert lane.start_offsets({("lines", 0): 5}, {("lines", 0): 9}) == {("lines", 0): 5}
    assert "lines[0]: 4 records were deleted by retention" in caplog.text


def test_position_beyond_the_end_is_refused(lane: Lane) -> None:
    lane.partitions["words", 0].position = Position({"lines": 10})
    with pytest.raises(PositionError, match=r"lines\[0\] ends at offset 9, but stage words has read up to 10"):
        lane.start_offsets({("lines", 0): 2}, {("lines", 0): 9})


def test_what_was_drained_before_the_seek_is_dropped(lane: Lane) -> None:
    """It will be fetched again: taking both would count twice."""
    before = chunk(lane)
    sought(lane)
    lane.feed(before)
    assert waiting(lane) == 0
    lane.feed(chunk(lane))
    assert waiting(lane) == 3


async def test_nothing_is_accepted_between_revocation_and_seek(lane: Lane) -> None:
    lane.feed(chunk(lane))
    lane.partitions["words", 0]._running = False  # the lazy pool never ends what it never began
    await lane.revoke()
    assert waiting(lane) == 0
    lane.flow()
    lane.feed(chunk(lane))
    assert waiting(lane) == 0


async def test_a_seek_prepared_before_a_revocation_does_nothing(lane: Lane) -> None:
    """It would let records in whose partitions may be another worker's by now."""
    moved: list[int] = []
    before = lane.revocations
    await lane.revoke()
    lane.flow()
    assert lane.seek(lambda: moved.append(1), revocations=before) is False
    lane.feed(chunk(lane))
    assert (moved, waiting(lane)) == ([], 0)


def test_what_is_fetched_twice_is_taken_once(lane: Lane) -> None:
    lane.feed(chunk(lane, 3))
    lane.feed(chunk(lane, 5))
    assert waiting(lane) == 5


def test_a_full_partition_is_not_fetched(lane: Lane) -> None:
    both = [("lines", 0), ("elsewhere", 0)]
    assert lane.with_room(both) == {("lines", 0)}
    lane.feed(chunk(lane, 20))
    assert lane.with_room(both) == frozenset()


async def test_room_that_is_made_after_the_look_is_not_missed(lane: Lane) -> None:
    lane.bind(asyncio.get_running_loop())
    lane.with_room([])
    threading.Thread(target=lane._room_freed).start()
    async with asyncio.timeout(5):
        await lane.wait_for_room(60)


def test_first_failure_counts_and_stops_the_flow(lane: Lane) -> None:
    lane.fail(FencedError("first"))
    lane.fail(ValueError("second"))
    lane.feed(chunk(lane))
    assert (str(lane.failure), waiting(lane)) == ("first", 0)
    assert lane.health.ready() == (False, "failed: FencedError")
    assert lane.health.live() == (False, "failed: FencedError")


def test_ready_means_assigned_recovered_and_flowing(lane: Lane) -> None:
    assert lane.health.ready() == (True, "1 partitions")
    lane.partitions["words", 0].recovered = False
    assert lane.health.ready() == (False, "recovering words[0]")
    lane.assigned = False
    assert lane.health.ready() == (False, "partitions are being reassigned")
    lane.generation = -1
    assert lane.health.ready() == (False, "no partitions assigned yet")


def test_a_partition_with_work_that_commits_nothing_is_not_alive(lane: Lane) -> None:
    now = [lane.partitions["words", 0].progress_at]
    health = lane.health = Health(lane, clock_s=lambda: now[0])
    assert health.live() == (True, "moving")
    lane.feed(chunk(lane))
    now[0] += 1000
    health.moved()
    live, why = health.live()
    assert not live
    assert why.startswith("words[0] has had work for")


def test_records_that_nobody_fetches_are_not_alive(lane: Lane) -> None:
    lane.watch({("lines", 0): (5, 9)}, now_ms=0)
    lane.health._clock_s = lambda: lane.undelivered["lines", 0] + 61
    lane.health.moved()
    assert lane.health.live() == (False, "lines[0] has had records for 61 s that were not fetched")


def test_a_machinery_that_stands_still_is_not_alive(lane: Lane) -> None:
    now = [0.0]
    health = Health(lane, clock_s=lambda: now[0])
    now[0] = 61
    assert health.live() == (False, "nothing has moved for 61 s")
    lane.flowing = False
    assert health.live() == (True, "moving")
    now[0] = 121
    assert health.live()[0] is False


def test_lag_counts_what_waits_here_and_at_the_broker() -> None:
    told: list[Lag] = []
    observer = type("O", (type(NO_OBSERVER),), {"lag": lambda _self, lag: told.append(lag)})()
    lane = Lane(CONFIG, [stage("")], observer)
    lane.partitions["words", 0] = lane._by_source["lines", 0] = partition_of()
    lane.flow()
    sought(lane)
    lane.feed(chunk(lane))
    lane.watch({("lines", 0): (3, 9), ("foreign", 0): (0, 5)}, now_ms=2_000)
    assert told == [Lag("words", "lines", 0, 9, 2.0)]
    lane._pool.shutdown()


def test_metrics_carry_places_only() -> None:
    registry = CollectorRegistry()
    observer = PrometheusObserver("group", registry)
    observer.committed(Committed("words", 3, 10, 1, 9, 5, 0.01, 5_000))
    observer.aborted("words", 3)
    observer.recovered("words", 3, 7, 0.5)
    observer.lag(Lag("words", "lines", 3, 42, 1.5))
    place = {"stage": "words", "partition": "3"}
    names = ("records_total", "batches_total", "outputs_total", "changes_total", "dead_letters_total", "aborts_total")
    assert [registry.get_sample_value(f"sada_lane_{name}", place) for name in names] == [10, 1, 9, 5, 1, 1]
    assert registry.get_sample_value("sada_lane_stream_time_seconds", place) == 5
    lag = {"consumergroup": "group", "topic": "lines", "partition": "3"}
    assert registry.get_sample_value("kafka_consumergroup_lag", lag) == 42
    observer.released("words", 3)
    observer.released("words", 4)
    assert registry.get_sample_value("kafka_consumergroup_lag", lag) is None
    assert registry.get_sample_value("sada_lane_oldest_unprocessed_seconds", place) is None
    assert registry.get_sample_value("sada_lane_records_total", place) == 10


def test_secrets_are_not_shown() -> None:
    config = dataclasses.replace(CONFIG, security="SASL_SSL", user="u", password="hidden")
    assert "hidden" not in repr(config)
    assert config.librdkafka()["sasl.password"] == "hidden"
    assert config.librdkafka()["sasl.mechanism"] == "SCRAM-SHA-512"
    assert config.ssl_context() is not None
    assert CONFIG.ssl_context() is None
