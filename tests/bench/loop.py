"""(b) The full loop on realistic signals: signals per second on one worker and on two, CPU per signal.

The signals lie in Kafka before the workers start. What counts is the steady part: from the moment when every worker
works and a tenth is done (imports, assignment and recovery are over) until nine tenths are.
"""

import time
from typing import Any, NamedTuple

from rich.console import Console

from tests.bench import rig, stages
from tests.bench.rig import Rig, Worker, spread, total
from tests.bench.traffic import PER_CUSTOMER, SPAN_MS, Sent, traffic, write
from tests.peers.load import cpu_s

# Half a second: a scrape costs the worker some 10 ms.
LOOK_EVERY_S = 0.5
FROM, TO = 0.1, 0.9
# A drain that stands still for so long has failed.
STALLED_S = 120.0


class Drain(NamedTuple):
    """What one drain came to."""

    per_s: float
    cpu_us: float
    outputs: float
    changes: float
    commit_ms: float


class _Look(NamedTuple):
    at: float
    done: list[float]
    cpu_s: float
    outputs: float
    changes: float
    commits: float
    commit_s: float


def _look(workers: list[Worker]) -> _Look:
    found = [worker.scrape() for worker in workers]

    def every(name: str) -> float:
        return sum(total(samples, name, stage="customers") for samples in found)

    return _Look(
        time.monotonic(),
        [total(samples, "sada_signals_total") for samples in found],
        sum(cpu_s(worker.pid) for worker in workers),
        every("sada_lane_outputs_total"),
        every("sada_lane_changes_total"),
        every("sada_lane_commit_seconds_count"),
        every("sada_lane_commit_seconds_sum"),
    )


def watch(workers: list[Worker], signals: int) -> list[_Look]:
    """Look at workers until they have folded so many signals.

    Raises
    ------
    RuntimeError
        when they stand still, or one ends
    """
    looks: list[_Look] = []
    moved_at, before = time.monotonic(), -1.0
    while before < signals:
        time.sleep(LOOK_EVERY_S)
        look = _look(workers)
        done = sum(look.done)
        if done > before:
            moved_at, before = look.at, done
        elif look.at - moved_at > STALLED_S:
            raise RuntimeError(f"{done:.0f} of {signals} signals after {STALLED_S:.0f} s without progress")
        looks.append(look)
    return looks


def drain(rigged: Rig, sent: list[Sent], workers: int) -> Drain:
    """Write signals, start workers, and measure the steady part of the drain."""
    write(rigged.bootstrap, sent, prefix=rigged.prefix)
    with rigged.workers(workers) as started:
        looks = watch(started, len(sent))
    begin = next(look for look in looks if all(look.done) and sum(look.done) >= FROM * len(sent))
    end = next(look for look in looks if sum(look.done) >= TO * len(sent))
    done = sum(end.done) - sum(begin.done)
    if end.at - begin.at < 2 * LOOK_EVERY_S or done <= 0:
        raise RuntimeError(f"{len(sent)} signals were done within {end.at - begin.at:.1f} s: send more")
    return Drain(
        done / (end.at - begin.at),
        (end.cpu_s - begin.cpu_s) / done * 1e6,
        (end.outputs - begin.outputs) / done,
        (end.changes - begin.changes) / done,
        (end.commit_s - begin.commit_s) / max(1.0, end.commits - begin.commits) * 1e3,
    )


def measure(console: Console, *, signals: int, runs: int) -> dict[str, Any]:
    """Run the drains in turn, one worker and two, then profile the job alone.

    Returns
    -------
    signals_per_s_1, signals_per_s_2, cpu_us_per_signal, and under ``details`` where the time goes
    """
    start_ms = int(time.time() * 1000) - SPAN_MS - 3_600_000
    sent = traffic(signals // PER_CUSTOMER, start_ms=start_ms, hasher=rig.hasher())
    found: dict[int, list[Drain]] = {1: [], 2: []}
    with rig.broker() as (bootstrap, folder):
        for run in range(runs):
            for workers in (1, 2):
                rigged = rig.fresh(bootstrap, folder, f"loop{run}x{workers}.")
                drained = drain(rigged, sent, workers)
                found[workers].append(drained)
                console.print(
                    f"loop, run {run + 1}, {workers} worker(s): {drained.per_s:,.0f} signals/s,"
                    f" {drained.cpu_us:.0f} us of CPU each, commit {drained.commit_ms:.1f} ms"
                )
    one, two = found[1], found[2]
    cpu_us = spread([each.cpu_us for each in one], 1)
    return {
        "signals_per_s_1": spread([each.per_s for each in one]),
        "signals_per_s_2": spread([each.per_s for each in two]),
        "cpu_us_per_signal": cpu_us,
        "details": {
            "signals": len(sent),
            "ratio_2_to_1": spread([b.per_s / a.per_s for a, b in zip(one, two, strict=True)], 2),
            "per_s_of_a_worker_core": spread([1e6 / each.cpu_us for each in one]),
            "cpu_us_per_signal_2": spread([each.cpu_us for each in two], 1),
            "outputs_per_signal": spread([each.outputs for each in one], 2),
            "state_writes_per_signal": spread([each.changes for each in one], 2),
            "commit_ms": spread([each.commit_ms for each in one], 1),
            "stages": stages.measure(sent, whole_us=cpu_us["median"]),
        },
    }
