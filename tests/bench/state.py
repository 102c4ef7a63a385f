"""(e) Resident bytes per customer and (f) recovery per 100,000 customers, on one and the same state.

A worker folds the signals of a few customers first: by then its libraries, buffers and caches of names have their size.
What it grows by with the others gives (e): encoded state, what is decoded for use, and timers. Then it is killed, and a
new one replays the changelog: (f).
"""

import time
from typing import Any, NamedTuple

from rich.console import Console

from tests.bench import rig
from tests.bench.loop import watch
from tests.bench.rig import Rig, Worker, resident_bytes, spread, total
from tests.bench.traffic import SPAN_MS, Sent, traffic, write

# Share of the customers that come first.
FIRST = 0.25
# Per customer: a year of a middling one.
SIGNALS_PER_CUSTOMER = 30


class Recovery(NamedTuple):
    """What a worker took to come back."""

    recovery_s: float
    keys: float
    ready_s: float
    resident: int


def measure(console: Console, *, customers: int, runs: int) -> dict[str, Any]:
    """Fill one worker per run, then kill and restart it.

    Returns
    -------
    bytes_per_customer, recovery_s_per_100k, and ``details``
    """
    grown: list[float] = []
    back: list[Recovery] = []
    few = int(customers * FIRST)
    first, rest = _signals(few, 0), _signals(customers - few, few)
    with rig.broker() as (bootstrap, folder):
        for run in range(runs):
            rigged = rig.fresh(bootstrap, folder, f"state{run}.")
            with rigged.workers(1) as (worker,):
                worker.await_ready()
                before = _fold(rigged, worker, first, 0)
                after = _fold(rigged, worker, rest, len(first))
                grown.append((after - before) / (customers - few))
                worker.kill()
            back.append(_restart(rigged))
            console.print(
                f"state, run {run + 1}: {grown[-1]:,.0f} bytes per customer;"
                f" {back[-1].keys:,.0f} keys recovered in {back[-1].recovery_s:.2f} s,"
                f" ready after {back[-1].ready_s:.1f} s"
            )
    return {
        "bytes_per_customer": spread(grown),
        "recovery_s_per_100k": spread([each.recovery_s / customers * 100_000 for each in back], 2),
        "details": {
            "customers": customers,
            "signals_per_customer": (len(first) + len(rest)) / customers,
            "resident_mb_after_restart": spread([each.resident / 1e6 for each in back], 1),
            "keys_per_customer": spread([each.keys / customers for each in back], 2),
            "ready_s": spread([each.ready_s for each in back], 1),
        },
    }


def _signals(customers: int, first: int) -> list[Sent]:
    start_ms = int(time.time() * 1000) - SPAN_MS - 3_600_000
    per_customer = SIGNALS_PER_CUSTOMER
    return traffic(
        customers, start_ms=start_ms, hasher=rig.hasher(), per_customer=per_customer, waves=3, seed=first, first=first
    )


def _fold(rigged: Rig, worker: Worker, sent: list[Sent], before: int) -> int:
    """Have a worker fold signals after as many others; return what it holds in memory then."""
    write(rigged.bootstrap, sent, prefix=rigged.prefix)
    watch([worker], before + len(sent))
    _settle(worker)
    return resident_bytes(worker.pid)


def _settle(worker: Worker) -> None:
    """Wait until no message between nodes is under way: nothing is committed any more."""
    before, calm = -1.0, 0
    while calm < 4:
        time.sleep(0.5)
        now = total(worker.scrape(), "sada_lane_records_total", stage="customers")
        calm = calm + 1 if now == before else 0
        before = now


def _restart(rigged: Rig) -> Recovery:
    worker = rigged.start_worker()
    try:
        worker.await_ready()
        ready_s = time.monotonic() - worker.started_at
        samples = worker.scrape()
        resident = resident_bytes(worker.pid)
    finally:
        worker.kill()
    # All partitions of a worker are recovered by one reader: each shows how long all of them took.
    recovery = [s.value for s in samples if s.name == "sada_lane_recovery_seconds" and s.labels["stage"] == "customers"]
    keys = total(samples, "sada_lane_recovered_keys", stage="customers")
    if not keys:
        raise RuntimeError("the worker that was restarted recovered nothing")
    return Recovery(max(recovery), keys, ready_s, resident)
