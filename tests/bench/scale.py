"""A million customers on one worker process and a real broker: memory, recovery, speed, latency, merges, a hot key.

The customers are prepared, not lived: see ``people``; the table says so too. Everything after that is real: the worker
recovers them from the changelog, takes live signals of them through the whole loop, and is killed and started again.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.local.running import ROOT
from tests.bench import people, rig
from tests.bench.crowd import drain, hot_key, merges, ready_worker, signals
from tests.bench.freshness import fresh
from tests.bench.people import FIRST, Person
from tests.bench.rig import Rig, Worker, resident_bytes, settled_bytes, total
from tests.bench.traffic import SPAN_MS, traffic

REPORT = ROOT / "var" / "reports" / "scale.json"
# What growth is compared with.
FEW = 10_000
SIGNALS_PER_CUSTOMER = 30
# One, as many as there are workers: each makes transactions of its own, which cost broker and worker 10 ms a batch.
PARTITIONS = 1
# Loads at which the latency is measured besides half of what a drain takes: how it grows says where the limit is.
CALMER_PER_S = (50, 150)
GOALS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "bytes_per_customer_memory": ("≤ 2,500", lambda v: v <= 2_500),
    "rss_gb_rocksdb": ("≤ 1.5", lambda v: v <= 1.5),
    "recovery_s_changelog": ("≤ 30", lambda v: v <= 30),
    "recovery_s_local": ("≤ 5", lambda v: v <= 5),
    "p99_ms_profile": ("≤ 150", lambda v: v <= 150),
    "cpu_ratio_1m_over_10k": ("≤ 1.25", lambda v: v <= 1.25),
}


def measure(console: Console, *, customers: int, live: int) -> dict[str, Any]:
    """Prepare the customers, then measure; write ``var/reports/scale.json``.

    Parameters
    ----------
    customers : how many
    live : signals of each drain
    """
    hasher = rig.hasher()
    start_ms = int(time.time() * 1000) - SPAN_MS - 7_200_000
    few = min(FEW, customers // 10)
    with _progress(console) as progress, rig.broker() as (bootstrap, folder):
        task = progress.add_task(f"folding a sample of {people.SAMPLE:,}", total=None)
        sample = people.fold(
            traffic(
                min(people.SAMPLE, few),
                start_ms=start_ms,
                hasher=hasher,
                per_customer=SIGNALS_PER_CUSTOMER,
                waves=3,
                first=FIRST,
            )
        )
        progress.update(task, total=1, completed=1)
        small, large = (
            rig.fresh(bootstrap, folder, f"scale{count}.", partitions=PARTITIONS) for count in (few, customers)
        )
        for rigged, count in ((small, few), (large, customers)):
            task = progress.add_task(f"writing {count:,} customers to the changelog", total=count)
            people.seed(
                rigged,
                sample,
                count,
                hasher=hasher,
                told=lambda n: progress.update(task, completed=n),  # noqa: B023 - called at once
            )
        found = _measure(progress, sample, small, large, sizes=(few, customers), live=live)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=1) + "\n")
    _show(console, found)
    return found


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield progress


def _measure(
    progress: Progress, sample: list[Person], small: Rig, large: Rig, *, sizes: tuple[int, int], live: int
) -> dict[str, Any]:
    few, many = sizes
    steps = progress.add_task("measuring", total=5)

    def step(what: str) -> None:
        progress.update(steps, description=what, advance=1)

    def found(**values: float) -> None:
        told = ", ".join(f"{name} {value:,.2f}" for name, value in values.items())
        progress.console.print(f"  {told}")

    step(f"{few:,} customers in memory")
    with ready_worker(small) as worker:
        base = settled_bytes(worker.pid)
        alone = drain(small, worker, signals(live, 11))
        found(cpu_us_per_signal=alone.cpu_us)
    step(f"{many:,} customers in memory: recovery from the changelog, live signals, merges, a hot key")
    with ready_worker(large) as worker:
        recovery_s, keys = _recovered(worker)
        # Both have recovered, given back what that took, and have seen no signal: what differs is state.
        grown = settled_bytes(worker.pid) - base
        found(recovery_s=recovery_s, bytes_per_customer=grown / (many - few))
        crowd = drain(large, worker, signals(live, 11))
        found(signals_per_s=crowd.per_s, cpu_us_per_signal=crowd.cpu_us)
        merges_per_s = merges(large, worker, live // 4)
        hot = hot_key(large, worker, live)
        found(merges_per_s=merges_per_s, hot_slowdown=hot.slowdown, hot_cost_ratio=hot.cost_ratio)
        # Decoded customers and names, both bounded, and what a batch needs: the same whatever lies in the state.
        caches = resident_bytes(worker.pid) - base - grown
    step("until a profile is in Redis, at half of that load")
    rates = (*CALMER_PER_S, round(crowd.per_s / 2))
    by_rate = dict(zip(rates, fresh(large, sample, rates), strict=True))
    p99 = by_rate[rates[-1]].p99_ms
    for rate, seen in by_rate.items():
        found(beside_signals_per_s=rate, p99_ms=seen.p99_ms, cpu_us_per_signal=seen.cpu_us)
    step(f"{many:,} customers in RocksDB")
    large.settings["SADA_STORE"] = "rocksdb"
    with ready_worker(large) as worker:
        port = worker.port
        from_nothing_s, _ = _recovered(worker)
        found(recovery_s_from_nothing=from_nothing_s)
        disk = drain(large, worker, signals(live, 12))
    with ready_worker(large, port=port) as worker:
        local_s, _ = _recovered(worker)
        drain(large, worker, signals(live, 13))
        resident = resident_bytes(worker.pid)
        found(recovery_s_local=local_s, rss_gb=resident / 1e9)
    progress.update(steps, completed=5)
    return {
        "customers": many,
        "signals_per_s": round(crowd.per_s),
        "bytes_per_customer_memory": round(grown / (many - few)),
        "rss_gb_rocksdb": round(resident / 1e9, 2),
        "recovery_s_changelog": round(recovery_s, 1),
        "recovery_s_local": round(local_s, 1),
        "p99_ms_profile": round(p99, 1),
        "cpu_ratio_1m_over_10k": round(crowd.cpu_us / alone.cpu_us, 2),
        "hot_key_slowdown": round(hot.slowdown, 2),
        "merges_per_s": round(merges_per_s),
        "details": {
            "compared_with_customers": few,
            "keys_per_customer": round(keys / many, 2),
            "cpu_us_per_signal": {
                "few": round(alone.cpu_us, 1), "many": round(crowd.cpu_us, 1), "rocksdb": round(disk.cpu_us, 1),
            },
            "signals_per_s_rocksdb": round(disk.per_s),
            "recovery_s_rocksdb_from_nothing": round(from_nothing_s, 1),
            "rss_mb": {
                "base": round(base / 1e6), "state": round(grown / 1e6), "after_live_signals": round(caches / 1e6),
            },
            "at_signals_per_s": {
                str(rate): {"p99_ms": round(seen.p99_ms, 1), "cpu_us_per_signal": round(seen.cpu_us, 1)}
                for rate, seen in by_rate.items()
            },
            "hot_signal_cost_ratio": round(hot.cost_ratio, 2),
            "hot_flagged": hot.flagged,
        },
    }  # fmt: skip


def _recovered(worker: Worker) -> tuple[float, float]:
    """Return how long recovery took, all partitions together, and how many keys it found."""
    samples = worker.scrape()
    took = [s.value for s in samples if s.name == "sada_lane_recovery_seconds" and s.labels["stage"] == "customers"]
    return max(took), total(samples, "sada_lane_recovered_keys", stage="customers")


def _show(console: Console, found: dict[str, Any]) -> None:
    """Print what was measured beside the goals."""
    table = Table(
        title=f"scale: {found['customers']:,} customers in {PARTITIONS} partition, prepared: {people.SAMPLE:,} were "
        "folded signal by signal, the others are copies under numbers of their own"
    )
    for column in ("what", "goal", "measured", ""):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, value in found.items():
        if name == "details":
            continue
        goal, reached = GOALS.get(name, ("", None))
        verdict = "" if reached is None else "[green]reached[/]" if reached(value) else "[red]not reached[/]"
        table.add_row(name, goal, f"{value:,}", verdict)
    console.print(table)
    console.print(f"written to {REPORT}")
