"""Recovery reads here or in a process of its own: the same records, to the end; clear words when it cannot."""

import os
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer

from streams.lane import replay as replaying
from streams.lane.config import LaneConfig, LibrdkafkaConfig
from streams.lane.due import NEVER, to_bytes
from streams.lane.errors import PositionError, TransactionError
from streams.lane.replay import Source, replay
from streams.lane.runs import CHUNK, Run, Span, runs, runs_of_another
from streams.lane.store import MemoryStore
from streams.lane.timers import Timers

pytestmark = pytest.mark.kafka

Floor = Any  # the fixture's class lives in conftest.py, which tests cannot import
Reading = Callable[[LibrdkafkaConfig, Sequence[Span]], Generator[list[Run], None, None]]
# More than one chunk, with the commit markers.
COUNT = CHUNK + 500
State = dict[bytes, tuple[bytes, bytes]]


def written(floor: Floor) -> list[State]:
    """Write two partitions of three, the end aborted; return value and due time of each key that is left."""
    floor.create({"log": 3}, compacted=("log",))
    producer = Producer({"bootstrap.servers": floor.bootstrap, "transactional.id": floor.prefix + "writer"})
    producer.init_transactions(20)
    truth: list[State] = [{}, {}, {}]

    def write(partition: int, key: bytes, value: bytes | None, due: bytes) -> None:
        headers: list[tuple[str, str | bytes | None]] = [("due", due)] if value is not None else []
        producer.produce(floor.prefix + "log", value, key, partition, headers=headers)
        producer.poll(0)

    for begin in range(0, COUNT, 4_000):
        producer.begin_transaction()
        for number in range(begin, min(begin + 4_000, COUNT)):
            partition, key, value = int(number % 50 == 0), b"key-%d" % (number % 3_000), b"%d" % number
            due = to_bytes(number) if number % 3 else NEVER
            write(partition, key, value, due)
            truth[partition][key] = value, due
        producer.commit_transaction(20)
    producer.begin_transaction()
    for key in (b"key-1", b"key-2"):
        write(0, key, None, NEVER)
        del truth[0][key]
    producer.commit_transaction(20)
    producer.begin_transaction()
    write(0, b"key-3", b"aborted", NEVER)
    producer.flush(20)
    producer.abort_transaction(20)
    return truth


def recovered(floor: Floor, read: Callable[[list[Source]], bool]) -> list[State]:
    """Return what recovery makes of the three partitions."""
    sources = [Source(floor.prefix + "log", number, MemoryStore(), Timers(), set()) for number in range(3)]
    assert read(sources)
    found = []
    for source in sources:
        assert not source.undated
        left = {key: to_bytes(at) for at, key in source.timers.take(COUNT, COUNT)}
        found.append({key: (value, left.get(key, NEVER)) for key, value in source.store.items()})
    return found


@pytest.mark.parametrize("many", [0, COUNT * 2])
def test_what_is_read_is_what_was_committed(floor: Floor, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own, or here: partitions of several chunks, of a few records, and of none."""
    truth = written(floor)
    asked: list[str] = []
    for name in ("runs", "runs_of_another"):
        monkeypatch.setattr(replaying, name, _noting(asked, name, getattr(replaying, name)))
    monkeypatch.setattr(replaying, "MANY", many)
    progress: list[int] = []
    config = LaneConfig(app=floor.prefix, bootstrap=floor.bootstrap)
    found = recovered(floor, lambda s: replay(config, s, progress=progress.append, stopped=lambda: False))
    assert found == truth
    assert asked == ["runs" if many else "runs_of_another"]
    assert sum(progress) == COUNT + 2


def _noting(asked: list[str], name: str, original: Reading) -> Reading:
    def noting(config: LibrdkafkaConfig, spans: Sequence[Span]) -> Generator[list[Run], None, None]:
        asked.append(name)
        return original(config, spans)

    return noting


@pytest.mark.parametrize("reading", [runs, runs_of_another])
def test_what_cannot_be_read_is_told(floor: Floor, reading: Reading) -> None:
    floor.create({"log": 1})
    config = replaying._config(LaneConfig(app=floor.prefix, bootstrap=floor.bootstrap))
    with pytest.raises((KafkaException, TransactionError), match="_AUTO_OFFSET_RESET"):
        for _ in reading(config | {"auto.offset.reset": "error"}, [Span(f"{floor.prefix}log", 0, 3, 5, dated=False)]):
            pass


def test_a_reader_that_ends_too_early_is_told(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(TransactionError, match="ended with code 1"):
        list(runs_of_another({}, [Span("log", 0, 0, 5, dated=False)]))


def test_a_reader_ends_with_who_listens(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the middle, nothing is left of it: neither a process nor a wait for its end."""
    written(floor)
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    monkeypatch.setattr(replaying, "MANY", 0)
    config = LaneConfig(app=floor.prefix, bootstrap=floor.bootstrap)
    source = Source(floor.prefix + "log", 0, MemoryStore(), Timers())
    assert not replay(config, [source], progress=lambda _: None, stopped=lambda: True)
    (process,) = started
    assert process.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    # Taken up again, it goes on from where it was.
    assert replay(config, [source], progress=lambda _: None, stopped=lambda: False)
    assert source.store.get(b"key-7") is not None


def test_a_due_time_that_nobody_of_ours_wrote_is_told(floor: Floor) -> None:
    floor.create({"log": 1})
    producer = Producer({"bootstrap.servers": floor.bootstrap})
    producer.produce(floor.prefix + "log", b"v", b"k", 0, headers=[("due", b"tomorrow, I think")])
    assert producer.flush(20) == 0
    config = LaneConfig(app=floor.prefix, bootstrap=floor.bootstrap)
    source = Source(floor.prefix + "log", 0, MemoryStore(), Timers(), set())
    with pytest.raises(PositionError, match="due time that has not 8 bytes, up to offset 0"):
        replay(config, [source], progress=lambda _: None, stopped=lambda: False)
