"""The bench's two products: a table for people and ``var/reports/bench.json`` for scripts.

``bench.json`` holds what the issue names and nothing else; ``bench-details.json`` what stands behind it. A run of some
parts replaces these parts and leaves the others.
"""

import json
import operator
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from deploy.local.running import ROOT

REPORT = ROOT / "var" / "reports" / "bench.json"
DETAILS = ROOT / "var" / "reports" / "bench-details.json"


class Goal(NamedTuple):
    """A line of the table: what, where it stands in report or details, and what was aimed at (None: only measured)."""

    what: str
    path: str
    goal: float | None
    digits: int = 0
    reached: Callable[[float, float], bool] = operator.ge


GOALS = (
    Goal("lane: records/s", "lane.ours", None),
    Goal("lane: times stock Faust", "details.lane.ratios.stock_faust", 40, 1),
    Goal("lane: times Quix Streams exactly-once", "details.lane.ratios.quix_exactly_once", 5, 1),
    Goal("lane: times Kafka Streams exactly_once_v2", "details.lane.ratios.kafka_streams_eos", 1, 2),
    Goal("loop: signals/s, one worker", "loop.signals_per_s_1", None),
    Goal("loop: signals/s, two workers", "loop.signals_per_s_2", None),
    Goal("loop: two workers to one", "details.loop.ratio_2_to_1", 1.8, 2),
    Goal("loop: CPU us per signal", "loop.cpu_us_per_signal", 100, 1, operator.le),
    Goal("loop: signals/s per worker core", "details.loop.per_s_of_a_worker_core", 10_000),
    Goal("latency p50, ms", "latency_ms.p50", None, 1),
    Goal("latency p95, ms", "latency_ms.p95", None, 1),
    Goal("latency p99, ms", "latency_ms.p99", 60, 1, operator.le),
    Goal("gateway: single events/s per core", "gateway.single_per_s", 4_000),
    Goal("gateway: batched events/s per core", "gateway.batched_per_s", 20_000),
    Goal("bytes per customer, in memory", "bytes_per_customer", None),
    Goal("recovery of 100,000 customers, s", "recovery_s_per_100k", None, 2),
)


def merge(found: Mapping[str, Any], details: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Put what was measured now into both reports, and return them."""
    return _update(REPORT, found), _update(DETAILS, details)


def read() -> dict[str, Any]:
    """Return the report as it stands; empty before the first."""
    found: dict[str, Any] = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    return found


def _update(path: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    report.update(found)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")
    return report


def show(console: Console, report: Mapping[str, Any], details: Mapping[str, Any]) -> None:
    """Print goals beside what was measured, and where the loop's time goes."""
    table = Table(title="bench: median (min to max)")
    for column in ("what", "goal", "measured", ""):
        table.add_column(column, justify="left" if column == "what" else "right")
    for goal in GOALS:
        value = _at({**report, "details": details}, goal.path)
        if value is None:
            continue
        low, middle, high = (f"{value[name]:,.{goal.digits}f}" for name in ("min", "median", "max"))
        verdict, sign = "", ""
        if goal.goal is not None:
            sign = f"{'≥' if goal.reached is operator.ge else '≤'} {goal.goal:,g}"
            yes = goal.reached(value["median"], goal.goal)
            verdict = "[green]reached[/]" if yes else "[red]not reached[/]"
        table.add_row(goal.what, sign, f"{middle} ({low} to {high})", verdict)
    console.print(table)
    stages = _at({"details": details}, "details.loop.stages")
    if stages:
        _show_stages(console, stages)


def _show_stages(console: Console, stages: Mapping[str, Mapping[str, float]]) -> None:
    table = Table(title="where the time of a signal goes, one worker")
    for column in ("stage", "us", "share"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for name, stage in stages.items():
        table.add_row(name, f"{stage['us']:.1f}", f"{stage['share']:.1%}")
    console.print(table)


def _at(report: Mapping[str, Any], path: str) -> Any:
    found: Any = report
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
