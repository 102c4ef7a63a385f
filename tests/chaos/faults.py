"""Faults against a running stack: kill -9, pauses past the session timeout, restarts of the broker and of Redis."""

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The workers' session timeout is 10 s: after a pause of 13 s another worker owns their partitions.
PAUSE_S = 13.0
# Between two faults; the supervisor has begun to restart what died.
GAP_S = 3.0


@dataclass(slots=True)
class Faults:
    """What was done."""

    kills: int = 0
    pauses: int = 0
    broker_restarts: int = 0
    redis_restarts: int = 0
    done: list[str] = field(default_factory=list)


def pids(var: Path) -> dict[str, int]:
    """Return the processes of the stack that run now; those that are starting are there too."""
    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
        found: dict[str, Any] = json.loads((var / "up.json").read_text())
        return {row["name"]: row["pid"] for row in found["processes"] if row["state"] in ("ready", "starting")}
    return {}


def wait_for(var: Path, name: str, *, timeout_s: float = 120.0) -> int:
    """Return the pid of a process that runs; wait for its restart.

    Raises
    ------
    TimeoutError
        when it does not come back
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        pid = pids(var).get(name)
        if pid and _alive(pid):
            return pid
        time.sleep(0.1)
    raise TimeoutError(f"{name} did not come back within {timeout_s:.0f} s; see {var}/logs/{name}.log")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def run(
    var: Path, *, kills: int, pauses: int, restarts: bool, seed: int, stop: threading.Event, say: Callable[[str], None]
) -> Faults:
    """Do the faults, in a shuffled order, until all are done or ``stop`` is set."""
    rnd = random.Random(seed)
    plan = ["kill"] * kills + ["pause"] * pauses + (["broker", "redis"] if restarts else [])
    rnd.shuffle(plan)
    faults = Faults()
    for number, what in enumerate(plan):
        if stop.wait(GAP_S + rnd.random() * GAP_S):
            break
        name = {"broker": "kafka", "redis": "redis"}.get(what, f"worker-{1 + number % 2}")
        pid = wait_for(var, name)
        if what == "pause":
            os.kill(pid, signal.SIGSTOP)
            time.sleep(PAUSE_S)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            faults.pauses += 1
        else:
            os.kill(pid, signal.SIGKILL)
            faults.kills += what == "kill"
            faults.broker_restarts += what == "broker"
            faults.redis_restarts += what == "redis"
        faults.done.append(f"{what} {name}")
        say(f"{number + 1}/{len(plan)}: {what} {name} (pid {pid})")
    return faults
