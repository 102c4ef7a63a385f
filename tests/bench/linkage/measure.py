"""FEBRL 1, 2 and 3 without soc_sec_id: near matches as a stream beside ECM and Splink, which see all data at once.

Ours has one set of parameters and one threshold (``cluster.REVIEW``: even odds), both in the code; each reference is
given the threshold that is best for it, chosen with the truth.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.local.running import ROOT
from streams.core.near.cluster import REVIEW
from tests.bench.linkage.staged import staged
from tests.bench.linkage.stream import Measured, Record, measured, shuffled, visit_us

REPORT = ROOT / "var" / "reports" / "identity.json"
PYTHON = ROOT / "var" / "peers" / "linkage" / "bin" / "python"
LOCK = Path(__file__).parents[1] / "linkage.lock"
DATASETS = ("febrl1", "febrl2", "febrl3")
GOALS = {"febrl1": 0.993, "febrl2": 0.985, "febrl3": 0.985}
GOAL_PRECISION = 0.995
SHUFFLES = 10
# Of the stage as it runs in a worker: a learner for each.
PARTITIONS = (1, 12)
# Shown beside the threshold in use: what a more careful one would find.
CAREFUL = 0.9

Row = dict[str, Any]


def _peers() -> Path:
    """Make the environment of the references; once per lock."""
    stamp = PYTHON.parents[1] / "made-from.lock"
    if not PYTHON.exists() or not stamp.exists() or stamp.read_bytes() != LOCK.read_bytes():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "-q", "--clear", str(PYTHON.parents[1]), "--python", sys.executable], check=True)
        install = [*uv, "pip", "install", "-q", "--python", str(PYTHON), "--require-hashes", "-r", str(LOCK)]
        subprocess.run(install, check=True)
        stamp.write_bytes(LOCK.read_bytes())
    return PYTHON


def _references(folder: Path, progress: Progress) -> dict[tuple[str, str], Row]:
    found: dict[tuple[str, str], Row] = {}
    task = progress.add_task("ECM and Splink, whole data at once", total=2 * len(DATASETS))
    command = [str(_peers()), "-W", "ignore", str(Path(__file__).with_name("references.py")), str(folder)]
    log = folder / "log"
    with log.open("wb") as stream, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stream, text=True) as run:
        for line in run.stdout or ():
            row = json.loads(line)
            found[row["dataset"], row["method"]] = row
            progress.advance(task)
    if run.returncode:
        raise RuntimeError(f"the references ended with {run.returncode}:\n{log.read_text()[-3000:]}")
    return found


def _ours(folder: Path, dataset: str, shuffles: int, progress: Progress) -> dict[str, Any]:
    stored = json.loads((folder / f"{dataset}.json").read_text())
    records: list[Record] = [(number, traits) for number, traits in stored["records"]]
    truth = {(one, other) for one, other in stored["truth"]}
    task = progress.add_task(f"{dataset}: as a stream, 2 thresholds, {shuffles} orders", total=2 + shuffles)
    steps = progress.add_task(f"{dataset}: through the real stages", total=len(PARTITIONS) * len(records))

    def run(order: list[Record], least: float = REVIEW) -> Measured:
        found = measured(order, truth, least=least)
        progress.advance(task)
        return found

    return {
        "even": run(records),
        "careful": run(records, CAREFUL),
        "orders": [run(shuffled(records, seed)) for seed in range(shuffles)],
        "staged": {
            number: staged(records, truth, partitions=number, seen=lambda: progress.advance(steps))
            for number in PARTITIONS
        },
        "visit_us": visit_us(records),
    }


def measure(console: Console, *, shuffles: int = SHUFFLES) -> dict[str, Any]:
    """Run all three, show one table, write ``identity.json``; return the details."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with (
        Progress(*columns, TimeElapsedColumn(), console=console) as progress,
        tempfile.TemporaryDirectory(prefix="sada-linkage-") as name,
    ):
        theirs = _references(Path(name), progress)
        ours = {dataset: _ours(Path(name), dataset, shuffles, progress) for dataset in DATASETS}
    _show(console, theirs, ours)
    report = {
        dataset: {
            **{name: round(getattr(ours[dataset]["even"], name), 4) for name in ("precision", "recall", "f1")},
            "splink_f1": round(theirs[dataset, "splink"]["f1"], 4),
            "ecm_f1": round(theirs[dataset, "ecm"]["f1"], 4),
        }
        for dataset in DATASETS
    }
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n")
    console.print(f"written to {REPORT}")
    return {
        dataset: {
            "f1_of_orders": [round(each.f1, 4) for each in found["orders"]],
            "precision_of_orders": [round(each.precision, 4) for each in found["orders"]],
            "f1_of_stage": {number: round(each.f1, 4) for number, each in found["staged"].items()},
            "us_per_card": round(found["even"].us_per_card, 1),
            "us_per_block_of_20": round(found["visit_us"], 1),
        }
        for dataset, found in ours.items()
    }


def _show(console: Console, theirs: dict[tuple[str, str], Row], ours: dict[str, dict[str, Any]]) -> None:
    table = Table(title="pairs of one person, without soc_sec_id")
    for column in ("", "method", "precision", "recall", "F1", "goal", ""):
        table.add_column(column, justify="right" if column in {"precision", "recall", "F1", "goal"} else "left")
    for dataset in DATASETS:
        found = ours[dataset]
        even, orders = found["even"], found["orders"]
        reached = even.f1 >= GOALS[dataset] and even.precision >= GOAL_PRECISION
        verdict = "[green]reached[/]" if reached else "[red]not reached[/]"
        table.add_row(dataset, "ours, a stream", *_figures(even), f"≥ {GOALS[dataset]:.3f}", verdict)
        table.add_row("", f"  the same from {CAREFUL}", *_figures(found["careful"]), "", "")
        if orders:
            low, high = min(orders, key=lambda each: each.f1), max(orders, key=lambda each: each.f1)
            table.add_row("", f"  worst of {len(orders)} orders", *_figures(low), "", "")
            table.add_row("", "  best", *_figures(high), "", "")
        for number, each in found["staged"].items():
            table.add_row("", f"  the real stages, {number} partitions", *_figures(each), "", "")
        for method in ("ecm", "splink"):
            row = theirs[dataset, method]
            at_best = (f"{row[name]:.4f}" for name in ("precision", "recall", "f1"))
            table.add_row(
                "", f"{method}, all at once", *at_best, "", "at its best threshold", end_section=method == "splink"
            )
    console.print(table)
    for dataset in DATASETS:
        per_card, per_block = ours[dataset]["even"].us_per_card, ours[dataset]["visit_us"]
        console.print(f"{dataset}: {per_card:.0f} us CPU a card in all, {per_block:.0f} us against a block of 20")


def _figures(found: Measured) -> tuple[str, str, str]:
    return f"{found.precision:.4f}", f"{found.recall:.4f}", f"{found.f1:.4f}"
