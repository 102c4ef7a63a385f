"""Where partitions were, as the workers' logs tell: proof that rebalances moved them."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_RECOVERED = re.compile(r"customers\[(\d+)\]: \d+ keys recovered in")


class Recovered(NamedTuple):
    """A worker has a partition from now on. ``at``: ISO 8601, UTC."""

    at: str
    worker: str
    partition: int


def recovered(logs: Path) -> list[Recovered]:
    """Return which worker took which partition of the customers, in order of time."""
    found = []
    for log in logs.glob("worker-*.log*"):
        worker = log.name.split(".")[0]
        with log.open(errors="replace") as lines:
            found += [each for line in lines if (each := _read(line, worker)) is not None]
    return sorted(found)


def _read(line: str, worker: str) -> Recovered | None:
    """Return what a line tells; none where it is of something else, or torn: its process was killed."""
    match = _RECOVERED.search(line)
    if match is None:
        return None
    try:
        return Recovered(json.loads(line)["timestamp"], worker, int(match[1]))
    except json.JSONDecodeError:
        return None


def owners(story: Iterable[Recovered]) -> dict[int, str]:
    """Return each partition's worker now."""
    return {each.partition: each.worker for each in story}


def moves(story: Iterable[Recovered]) -> int:
    """Return how often a partition has come to another worker than the one that had it."""
    had: dict[int, str] = {}
    count = 0
    for each in story:
        count += had.get(each.partition, each.worker) != each.worker
        had[each.partition] = each.worker
    return count
