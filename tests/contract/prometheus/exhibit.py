"""A process that shows every metric of the code once, with each label that rules and board ask for.

It prints the port of its ``/metrics`` and ends when its standard input does. The metrics are found, not listed: every
module of ours that makes one is imported.
"""

import importlib
import itertools
import re
import sys
from pathlib import Path

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from streams.lane.metrics import PrometheusObserver
from streams.metrics import serve_in_thread

ROOT = Path(__file__).parents[3]
PARTS = ("streams", "connectors", "models")
_MAKES_ONE = re.compile(r"^from prometheus_client import .*\b(Counter|Gauge|Histogram)\b", re.MULTILINE)

# Values that rules or board match; test_prometheus.py sees that the code says them. Any other label is "x".
VALUES: dict[str, tuple[str, ...]] = {
    "event": ("merged", "refused", "suspended", "delivered", "failed", "bounced"),
    "group": ("treated", "control"),
    "hold": ("", "no-consent"),
    "result": ("unauthorised", "accepted"),
    "stage": ("customers", "learners", "near"),
    "status": ("200", "503"),
}


def modules() -> list[str]:
    """Return the modules that make metrics."""
    paths = sorted(
        path for part in PARTS for path in (ROOT / part).rglob("*.py") if _MAKES_ONE.search(path.read_text())
    )
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


def show(metric: MetricWrapperBase) -> None:
    """Give a metric a value, with every combination of its labels."""
    names = metric._labelnames  # prometheus_client tells them nowhere else
    for values in itertools.product(*(VALUES.get(name, ("x",)) for name in names)):
        child = metric.labels(*values) if names else metric
        if isinstance(child, Counter):
            child.inc()
        elif isinstance(child, Gauge):
            child.set(1)
        elif isinstance(child, Histogram):
            child.observe(0.01)


if __name__ == "__main__":
    for module in modules():
        importlib.import_module(module)
    PrometheusObserver("sada")
    for collector in list(REGISTRY._collector_to_names):  # there is no public way to the collectors
        if isinstance(collector, MetricWrapperBase):
            show(collector)
    sys.stdout.write(f"{serve_in_thread(0)}\n")
    sys.stdout.flush()
    sys.stdin.read()
