"""``make fuzz``: the identity protocol under as many random graphs as you like, on every core.

As many graphs of each: signals alone, cuts and splits against an offline union-find, a wrong link undone, rulings in
the middle of everything, customers erased. Ctrl-C ends it early. Prints what failed with the command that plays it
again; writes var/reports/fuzz.json.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.property.identity_rulings import ALL, play
from tests.property.identity_world import fuzz

REPORT = Path("var/reports/fuzz.json")
SIGNALS_ALONE = "signals alone"
NAMES = (SIGNALS_ALONE, *ALL)
# A share takes a second or two: the bar moves, and Ctrl-C is soon obeyed.
SHARE = 500


def play_share(name: str, seed: int, first: int, count: int) -> list[str]:
    """Play some worlds of one scenario; return what failed."""
    failures = []
    for number in range(first, first + count):
        try:
            if name == SIGNALS_ALONE:
                fuzz(1, seed * 1_000_000_000 + number)
            else:
                play(name, seed, number)
        except Exception as exc:  # noqa: BLE001 - every kind of failure is a finding: it is reported and counted
            failures.append(f"{name}:{seed}:{number}: {type(exc).__name__}: {exc}")
    return failures


def shares(graphs: int, seed: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield shares of the scenarios in turn."""
    each = -(-graphs // len(NAMES))
    for first in range(0, each, SHARE):
        for name in NAMES:
            yield name, seed, first, min(SHARE, each - first)


def again(address: str) -> None:
    """Play one world again, and let its failure show."""
    name, seed, number = address.rsplit(":", 2)
    if name == SIGNALS_ALONE:
        fuzz(1, int(seed) * 1_000_000_000 + int(number))
    else:
        play(name, int(seed), int(number))
    print(f"{address}: nothing failed")


def _play(graphs: int, seed: int) -> tuple[int, list[str]]:
    """Play so many graphs, or those until Ctrl-C; return how many were played, and what failed."""
    played, failures = 0, list[str]()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Workers are deaf to Ctrl-C: it ends the run, not a world.
    deaf = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(os.cpu_count(), initializer=deaf) as pool, Progress(*columns) as progress:
        task = progress.add_task(f"seed {seed}", total=graphs)
        waiting = {pool.submit(play_share, *share): share for share in shares(graphs, seed)}
        try:
            for done in as_completed(waiting):
                failures += done.result()
                played += waiting[done][3]
                progress.update(task, completed=played)
        except KeyboardInterrupt:
            progress.console.print("ending early: the report is of what was played")
            pool.shutdown(cancel_futures=True)
            ended = [future for future in waiting if future.done() and not future.cancelled()]
            played, failures = sum(waiting[f][3] for f in ended), [text for f in ended for text in f.result()]
    return played, failures


def main() -> None:
    """Run the fuzz."""
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=...", description=__doc__)
    parser.add_argument("--graphs", type=int, default=1_000_000, help="random graphs (default 1000000)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: the time, so each run is another")
    parser.add_argument("--again", metavar="NAME:SEED:NUMBER", help="play one world again and show its failure")
    asked = parser.parse_args()
    if asked.again:
        again(asked.again)
        return
    started = time.monotonic()
    played, failures = _play(asked.graphs, asked.seed)
    seconds = time.monotonic() - started
    for failure in failures[:20]:
        print(f"FAILED {failure}")
    print(f"{played:,} graphs in {seconds:,.0f} s: {len(failures)} failures (seed {asked.seed})")
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps({"graphs": played, "seconds": round(seconds, 1), "failures": len(failures)}) + "\n")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
