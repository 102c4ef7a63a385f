"""A word-count worker as a process of its own, with guards taken out, or accidents put in, by name.

``python worker.py BOOTSTRAP PREFIX [NAME[=VALUE] ...]``: the names are the functions of ``VARIANTS``.
"""

import asyncio
import dataclasses
import logging
import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streams.lane import lane as lane_module
from streams.lane.app import build, run
from streams.lane.config import LaneConfig
from streams.lane.examples.word_count import stage
from streams.lane.faust_consumer import LaneConsumerThread
from streams.lane.job import Batch, Result, State
from streams.lane.partition import Partition
from streams.lane.position import Position
from streams.lane.transactions import Transactions

Change = Callable[[LaneConfig, str], LaneConfig]


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_before_commit(config: LaneConfig, nth: str) -> LaneConfig:
    """Die when all of the nth transaction lies at the broker, but nothing was said about committing it."""
    real, calls = Transactions.commit, _counter(int(nth))

    def commit(self: Transactions) -> None:
        if calls():
            self._producer.flush()
            _kill()
        real(self)

    Transactions.commit = commit  # type: ignore[method-assign]  # an accident
    return config


def kill_after_commit(config: LaneConfig, nth: str) -> LaneConfig:
    """Die when the nth transaction is committed and this process does not yet know."""
    real, calls = Transactions.commit, _counter(int(nth))

    def commit(self: Transactions) -> None:
        real(self)
        if calls():
            _kill()

    Transactions.commit = commit  # type: ignore[method-assign]  # an accident
    return config


def _counter(nth: int) -> Callable[[], bool]:
    lock, seen = threading.Lock(), [0]

    def is_nth() -> bool:
        with lock:
            seen[0] += 1
            return seen[0] == nth

    return is_nth


def hide_offsets(config: LaneConfig, _: str) -> LaneConfig:
    """Never show the group how far the work has come, as if killed before it could."""

    async def show_offsets(self: LaneConsumerThread, offsets: Any) -> None:
        return None

    LaneConsumerThread.show_offsets = show_offsets  # type: ignore[method-assign]  # an accident
    return config


def no_position_record(config: LaneConfig, _: str) -> LaneConfig:
    """Take the guard out: nothing is known but what the group was shown, which ``hide_offsets`` made nothing."""
    real = Partition.become_ready

    def become_ready(self: Partition[Any]) -> int:
        keys = real(self)
        self.position = Position()
        return keys

    Partition.become_ready = become_ready  # type: ignore[method-assign]  # the guard taken out
    return config


def no_fence(config: LaneConfig, _: str) -> LaneConfig:
    """Take the guard out: a transactional id that nobody else has fences nobody."""
    own = uuid.uuid4().hex
    vars(lane_module)["Transactions"] = lambda config, name: Transactions(config, f"{name}-{own}")
    return config


def stop_in_job(config: LaneConfig, path: str) -> LaneConfig:
    """SIGSTOP this process in the middle of a batch, once, when the file at the path exists."""
    flag = Path(path)

    def hooked(prefix: str, **kwargs: Any) -> Any:
        real = stage(prefix, **kwargs)

        def job(state: State[int], batch: Batch) -> Result[int]:
            result = real.job(state, batch)
            if batch.records and flag.exists():
                flag.unlink()
                os.kill(os.getpid(), signal.SIGSTOP)
            return result

        return dataclasses.replace(real, job=job)

    globals()["new_stage"] = hooked
    return config


def session(config: LaneConfig, seconds: str) -> LaneConfig:
    """Set the session timeout, with three heartbeats in it."""
    return dataclasses.replace(config, session_timeout_s=float(seconds), heartbeat_s=float(seconds) / 3)


def rocksdb(config: LaneConfig, path: str) -> LaneConfig:
    """Keep state in RocksDB."""
    return dataclasses.replace(config, store="rocksdb", directory=Path(path))


def sealed(config: LaneConfig, seal_keys: str) -> LaneConfig:
    """Seal totals that are odd: a word's secret comes and goes with each line. The seal key, and the one of before."""

    def with_vault(prefix: str, **kwargs: Any) -> Any:
        return dataclasses.replace(stage(prefix, **kwargs), vault=f"{prefix}vault", personal=_is_odd)

    globals()["new_stage"] = with_vault
    now, _, before = seal_keys.partition(":")
    return dataclasses.replace(config, seal_key=bytes.fromhex(now), seal_key_before=bytes.fromhex(before) or None)


def _is_odd(total: int) -> bool:
    return total % 2 == 1


def another_stage(config: LaneConfig, prefix: str) -> LaneConfig:
    """Run a second stage beside the first: it counts keys over two topics that share their partitions' states."""

    def count(state: State[int], batch: Batch) -> Result[int]:
        totals: dict[bytes, int] = {}
        for record in batch.records:
            key = record.key or b""
            totals[key] = totals.get(key, state.get(key) or 0) + 1
        return Result(totals)

    changelog = f"{prefix}keys-changelog"
    words = stage(prefix)
    more_stages.append(
        dataclasses.replace(words, name="keys", sources=(f"{prefix}a", f"{prefix}b"), changelog=changelog, job=count)
    )
    return config


def beside_fails(config: LaneConfig, _: str) -> LaneConfig:
    """Run a coroutine beside the lane that fails."""

    async def fail() -> None:
        await asyncio.sleep(0.5)
        raise RuntimeError("the metrics server cannot listen")

    besides.append(fail)
    return config


VARIANTS: dict[str, Change] = {
    change.__name__: change
    for change in (
        kill_before_commit,
        kill_after_commit,
        hide_offsets,
        no_position_record,
        no_fence,
        stop_in_job,
        session,
        sealed,
        rocksdb,
        another_stage,
        beside_fails,
    )
}
more_stages: list[Any] = []
besides: list[Any] = []
new_stage: Callable[..., Any] = stage


def main(bootstrap: str, prefix: str, *names: str) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    config = LaneConfig(app=f"{prefix}word-count", bootstrap=bootstrap, session_timeout_s=2, heartbeat_s=0.5)
    for name in names:
        variant, _, value = name.partition("=")
        config = VARIANTS[variant](config, value)
    return run(build(config, [new_stage(prefix, max_batch=100), *more_stages]), beside=besides)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
