"""How long a fetch waits, and how long a batch does: the two paces of the lane."""

import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from streams.lane.config import LaneConfig
from streams.lane.examples.word_count import stage
from streams.lane.faust_consumer import GATHER_BYTES, QUIET_AFTER_S, LaneConsumerThread
from streams.lane.job import Record
from streams.lane.kept import Kept
from streams.lane.observer import NO_OBSERVER
from streams.lane.partition import Partition, Surroundings
from streams.lane.store import MemoryStore
from streams.lane.transactions import Transactions

CONFIG = LaneConfig(app="test", fetch_wait_ms=500, fetch_gather_ms=25)
LINES = TopicPartition("lines", 0)


class Thread(LaneConsumerThread):
    """The consumer's thread with answers laid down before; no Kafka, no thread."""

    def __init__(self, answers: list[dict[Any, list[Any]]]) -> None:
        self.app = SimpleNamespace(lane=SimpleNamespace(config=CONFIG, epoch=1))
        self.consumer = SimpleNamespace(_fetcher=SimpleNamespace(_fetch_min_bytes=1, _fetch_max_wait_ms=500))
        self.answers = answers
        self.asked_s: list[float] = []

    def _ensure_consumer(self) -> Any:
        return self.consumer

    async def _fetch_records(self, _consumer: Any, _wanted: Any, timeout: float = 0, **_: Any) -> Any:  # noqa: ASYNC109 - Faust's name
        self.asked_s.append(timeout)
        return self.answers.pop(0)

    @property
    def paced(self) -> tuple[int, int]:
        """Least bytes and longest wait of the next fetch."""
        fetcher = self.consumer._fetcher
        return fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms


def fetched(count: int = 1) -> dict[Any, list[Any]]:
    record = SimpleNamespace(topic="lines", partition=0, offset=0, timestamp=0, key=b"k", value=b"v", headers=())
    return {LINES: [record] * count}


async def test_while_records_come_a_fetch_gathers() -> None:
    thread = Thread([fetched()])
    (chunk,) = await thread._fetch_chunks(frozenset({LINES}), 1.0)
    assert [record.value for record in chunk.records] == [b"v"]
    assert thread.paced == (GATHER_BYTES, 25)


async def test_when_it_is_quiet_the_first_byte_ends_a_fetch() -> None:
    thread = Thread([fetched(), {}, {}])
    await thread._fetch_chunks(frozenset({LINES}), 1.0)
    assert await thread._fetch_chunks(frozenset({LINES}), 1.0) == []
    assert thread.paced == (1, 500)
    assert thread.asked_s[1:] == [QUIET_AFTER_S, pytest.approx(1.0 - QUIET_AFTER_S)]


async def test_a_short_look_says_nothing_about_quiet() -> None:
    thread = Thread([fetched(), {}])
    await thread._fetch_chunks(frozenset({LINES}), 1.0)
    await thread._fetch_chunks(frozenset({LINES}), 0.005)
    assert thread.paced == (GATHER_BYTES, 25)


class Committing(Transactions):
    """Notes when it began; commits nothing."""

    def __init__(self) -> None:
        self.began_at: list[float] = []

    def begin(self) -> None:
        self.began_at.append(time.monotonic())
        raise KeyboardInterrupt  # far enough: what follows needs a broker

    def close(self) -> None:
        """Close nothing."""


def lingering(linger_ms: int | None) -> tuple[Partition[int], Committing, ThreadPoolExecutor]:
    pool, transactions = ThreadPoolExecutor(1), Committing()
    waits = dataclasses.replace(stage("", max_batch=10), linger_ms=linger_ms)
    partition = Partition(
        waits,
        0,
        config=dataclasses.replace(CONFIG, commit_linger_ms=0),
        kept=Kept(waits, MemoryStore()),
        transactions=transactions,
        observer=NO_OBSERVER,
        around=Surroundings(pool, threading.Lock(), lambda _: None, lambda: None),
    )
    partition.flow()
    return partition, transactions, pool


@pytest.mark.parametrize(("linger_ms", "least_s", "most_s"), [(1_000, 0.9, 60), (None, 0, 0.9)])
def test_a_stage_may_wait_longer_than_the_others(linger_ms: int | None, least_s: float, most_s: float) -> None:
    partition, transactions, pool = lingering(linger_ms)
    fed_at = time.monotonic()
    partition.feed([Record("lines", 0, 0, 0, b"k", b"v")])
    pool.shutdown(wait=True)
    (began_at,) = transactions.began_at
    assert least_s <= began_at - fed_at < most_s


def test_a_full_batch_waits_for_nobody() -> None:
    partition, transactions, pool = lingering(60_000)
    partition.feed([Record("lines", 0, offset, 0, b"k", b"v") for offset in range(10)])
    pool.shutdown(wait=True)
    assert len(transactions.began_at) == 1


def test_a_revocation_ends_the_wait() -> None:
    partition, transactions, pool = lingering(60_000)
    partition.feed([Record("lines", 0, 0, 0, b"k", b"v")])
    began = time.monotonic()
    partition.quiesce()
    assert time.monotonic() - began < 5
    pool.shutdown(wait=True)
    assert transactions.began_at == []
