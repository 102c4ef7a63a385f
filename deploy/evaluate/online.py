"""The sample through everything: file → ``sada import`` → Kafka → workers → labels → learners → examples."""

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from deploy.local.processes import StackError
from deploy.local.running import ROOT, Running, read_topic, running
from schemas import topics
from schemas.views import ExampleView
from schemas.wire import codec_of
from streams.core.labels import DAY_MS, INSTACART
from streams.evaluate import report, scored_of, write_report
from streams.instacart import Order, read_orders

MAPPING = Path(__file__).parent / "instacart.yaml"
PARTITIONS = 4
# Orders a second. The sample's 15,000 orders are a year of a small shop; imported as fast as the disk gives them, most
# would be scored before the first model had been learned, which says nothing about a year.
RATE = 400

# The sample's orders ask one question, Instacart's; time is the file's.
SETTINGS = {
    "SADA_PARTITIONS": str(PARTITIONS),
    "SADA_TICK_S": "0",
    "SADA_CHURN_ANCHOR": INSTACART.anchor,
    "SADA_CHURN_HORIZON_S": str(INSTACART.churn_horizon_ms // 1000),
    "SADA_CHURN_GAP_S": str(INSTACART.churn_gap_ms // 1000),
}


def run(name: str, var: Path, reports: Path) -> None:
    """Import the sample, wait for its labels, and report.

    Raises
    ------
    StackError
        when the stack or the import fails
    SampleError
        when the sample is not installed
    """
    console = Console()
    orders = read_orders()
    with running(var, settings=SETTINGS) as stack:
        path = _write_file(orders, var / f"{name}.csv")
        console.print(f"{len(orders):,} orders in {path}; importing them ...")
        _import(path, stack)
        stack.drain()
        # Time goes on past the last order, so that the last labels run out.
        _tick(stack, orders[-1].at_ms + INSTACART.churn_horizon_ms + DAY_MS)
        stack.drain()
        decode = codec_of("example").decode
        examples = [
            cast("ExampleView", decode(raw)) for _, raw in read_topic(stack.kafka, topics.EXAMPLES) if raw is not None
        ]
    figures = report(scored_of(examples), orders)
    table = Table("", "AUC", "log loss", title=f"Instacart, lapse within 14 days, second half: {figures.n} orders")
    table.add_row("Sada, running system", f"{figures.auc:.3f}", f"{figures.log_loss:.3f}")
    table.add_row("River logistic regression", f"{figures.river_lr_auc:.3f}", f"{figures.river_lr_log_loss:.3f}")
    table.add_row("rule: mean gap", f"{figures.rule_auc:.3f}", "")
    console.print(table)
    console.print(f"written to {write_report(figures._asdict(), reports)}")


def _write_file(orders: list[Order], path: Path) -> Path:
    """Write the sample as a shop would export it: one line per product, with the order's date."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["order_id", "user_id", "at_ms", "product_id"])
        for order in orders:
            for product in order.products or ("none",):
                writer.writerow([order.order_id, order.user_id, order.at_ms, product])
    return path


def _import(path: Path, stack: Running) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "import", str(path), "--mapping", str(MAPPING), "--rate", str(RATE)],
        cwd=ROOT,
        env={**os.environ, **stack.environment(), "SADA_PARTITIONS": str(PARTITIONS)},
        check=False,
    )
    if done.returncode:
        raise StackError(f"the import ended with exit code {done.returncode}")


def _tick(stack: Running, at_ms: int) -> None:
    producer = Producer({"bootstrap.servers": stack.kafka})
    value = codec_of("tick").encode({"at_ms": at_ms})
    for partition in range(PARTITIONS):
        producer.produce(topics.TICKS, value, partition=partition)
    producer.flush(30)
