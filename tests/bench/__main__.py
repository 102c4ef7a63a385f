"""``make bench``: the figures of the README, measured on this machine. ``python -m tests.bench --help`` explains."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from deploy.local.running import ROOT
from tests.bench import report

console = Console()

# Beside which load the latency is measured when the loop never was, signals per second.
DEFAULT_LOAD = 1_000.0


class Sizes(NamedTuple):
    """How much is measured, and how often."""

    runs: int
    lane_records: int
    loop_signals: int
    latency_s: float
    gateway_single: int
    gateway_batched: int
    customers: int
    scale_customers: int
    scale_signals: int


FULL = Sizes(3, 1_400_000, 120_000, 30.0, 20_000, 100_000, 20_000, 1_000_000, 20_000)
SHORT = Sizes(1, 200_000, 12_000, 8.0, 2_000, 10_000, 1_000, 20_000, 4_000)

Found = tuple[dict[str, Any], dict[str, Any]]


def _lane(sizes: Sizes, _: argparse.Namespace) -> Found:
    from deploy.local.services import kafka_running
    from tests.bench import lane_peers

    with tempfile.TemporaryDirectory(prefix="sada-bench-") as folder, kafka_running(Path(folder)) as bootstrap:
        found = lane_peers.measure(bootstrap, rounds=sizes.runs, records=sizes.lane_records)
    return {"lane": {name: found[name] for name in lane_peers.PEERS}}, {"lane": {"ratios": found["ratios"]}}


def _loop(sizes: Sizes, _: argparse.Namespace) -> Found:
    from tests.bench import loop

    return _apart("loop", loop.measure(console, signals=sizes.loop_signals, runs=sizes.runs))


def _latency(sizes: Sizes, options: argparse.Namespace) -> Found:
    from tests.bench import latency

    known = report.read()["loop"]["signals_per_s_1"]["median"] / 2 if "loop" in report.read() else DEFAULT_LOAD
    per_s = known if options.rate is None else options.rate
    found = latency.measure(
        console,
        var=options.var,
        per_s=per_s,
        partitions=options.partitions,
        seconds=sizes.latency_s,
        runs=sizes.runs,
    )
    return _apart("latency_ms", found)


def _gateway(sizes: Sizes, _: argparse.Namespace) -> Found:
    from tests.bench import gateway

    found = gateway.measure(console, single=sizes.gateway_single, batched=sizes.gateway_batched, runs=sizes.runs)
    return _apart("gateway", found)


def _state(sizes: Sizes, _: argparse.Namespace) -> Found:
    from tests.bench import state

    found = state.measure(console, customers=sizes.customers, runs=sizes.runs)
    details = found.pop("details")
    return found, {"state": details}


def _linkage(_: Sizes, options: argparse.Namespace) -> Found:
    from tests.bench.linkage import measure

    return {}, {"linkage": measure.measure(console, shuffles=3 if options.short else measure.SHUFFLES)}


def _scale(sizes: Sizes, options: argparse.Namespace) -> Found:
    from tests.bench import scale

    customers = sizes.scale_customers if options.customers is None else options.customers
    scale.measure(console, customers=customers, live=sizes.scale_signals)
    return {}, {}


def _apart(name: str, found: dict[str, Any]) -> Found:
    details = found.pop("details")
    return {name: found}, {name: details}


# In the order in which they run: the latency's load is half of what the loop has just shown.
PARTS: dict[str, Callable[[Sizes, argparse.Namespace], Found]] = {
    "lane": _lane,
    "loop": _loop,
    "latency": _latency,
    "gateway": _gateway,
    "state": _state,
    "linkage": _linkage,
    "scale": _scale,
}

# Only when it is named: a million customers take half an hour.
ON_DEMAND = frozenset({"scale"})


def main() -> int:
    """Measure; return the process's exit code: goals that are missed are shown, they fail nothing."""
    options = _options()
    sizes = _sizes(options)
    for name, part in PARTS.items():
        if name in (options.parts or PARTS.keys() - ON_DEMAND):
            console.rule(name)
            merged = report.merge(*part(sizes, options))
    report.show(console, *merged)
    console.print(f"written to {report.REPORT} and, with what stands behind it, {report.DETAILS}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description="Measure Sada on this machine. Parts that are not named keep their place in the report.",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; none means all but scale")
    parser.add_argument(
        "--short", action="store_true", help="small sizes and one run: three minutes, figures are rough"
    )
    parser.add_argument("--runs", type=int, help=f"of each measurement; the median counts ({FULL.runs})")
    parser.add_argument("--signals", type=int, help=f"of one drain of the loop ({FULL.loop_signals:,})")
    parser.add_argument(
        "--customers", type=int, help=f"whose state is measured ({FULL.customers:,}; scale: {FULL.scale_customers:,})"
    )
    parser.add_argument("--rate", type=float, help="signals/s beside which the latency is measured (half the loop's)")
    parser.add_argument("--partitions", type=int, default=1, help="of the stack whose latency is measured (1)")
    parser.add_argument("--var", type=Path, default=ROOT / "var" / "bench", help="folder of the latency's stack")
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    return options


def _sizes(options: argparse.Namespace) -> Sizes:
    chosen = {"runs": options.runs, "loop_signals": options.signals, "customers": options.customers}
    sizes = SHORT if options.short else FULL
    return sizes._replace(**{name: value for name, value in chosen.items() if value is not None})


if __name__ == "__main__":
    sys.exit(main())
