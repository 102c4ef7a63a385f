"""Child processes of the local stack: what one is, how it starts, becomes ready and ends.

One description, ``ProcessSpec``, serves the tests (``running``) and the supervisor of `sada up`.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# How often readiness and exit are looked at, in seconds: 20 looks a second cost nothing and delay a start by 50 ms.
POLL_S = 0.05

# Lines of a log shown when a child fails: enough for a Java or Python traceback's end.
TAIL_LINES = 15

_TETHER = Path(__file__).with_name("tether.py")


class StackError(Exception):
    """The local stack cannot start or go on; the message says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One long-running child process.

    Parameters
    ----------
    name : unique in the stack; also the log's name
    args : the command
    ready : says whether it serves; quick, and raises nothing
    alive : says whether it still makes progress; None where only its end is noticed
    env : set over the parent's environment
    start_timeout_s : how long it may take to become ready
    stop_grace_s : between SIGTERM and SIGKILL
    """

    name: str
    args: tuple[str, ...]
    ready: Callable[[], bool]
    alive: Callable[[], bool] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    start_timeout_s: float = 60.0
    stop_grace_s: float = 15.0


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody held a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listening(port: int, *, timeout_s: float = 0.25) -> bool:
    """Say whether somebody accepts connections on a loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s):
            return True
    except OSError:
        return False


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, indented; at most 64 KiB of it are read."""
    if not log.exists():
        return "  (no log)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 65_536))
        last = file.read().decode(errors="replace").splitlines()[-lines:]
    return "\n".join(f"  {line}" for line in last) or "  (its log is empty)"


def spawn(spec: ProcessSpec, log: Path, *, inherited: Mapping[str, str] = os.environ) -> subprocess.Popen[bytes]:
    """Start a child that dies with us, its output appended to a log.

    It gets a process group of its own, so that Ctrl-C in the terminal reaches the supervisor only, which then stops the
    children in order. Call it from the main thread (see ``tether``). ``inherited`` is the environment under the spec's.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *spec.args)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**inherited, **spec.env},
            process_group=0,
        )


def stop(process: subprocess.Popen[bytes], grace_s: float) -> int:
    """End a child: SIGTERM, then SIGKILL after the grace time; return its exit code."""
    terminate(process)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace_s)
    return kill(process)


def terminate(process: subprocess.Popen[bytes]) -> None:
    """Ask a child to end."""
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        _signal_group(process.pid, signal.SIGCONT)  # a paused process would never see it


def kill(process: subprocess.Popen[bytes]) -> int:
    """End a child and whatever it started in its process group, at once; return its exit code."""
    _signal_group(process.pid, signal.SIGKILL)
    return process.wait()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def await_ready(spec: ProcessSpec, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a child serves.

    Raises
    ------
    StackError
        when it ends first or takes longer than its ``start_timeout_s``; with the end of its log
    """
    deadline = time.monotonic() + spec.start_timeout_s
    while True:
        code = process.poll()
        if code is not None:
            raise StackError(
                f"{spec.name} ended with exit code {code} before it was ready; its log {log} ends:\n{tail(log)}"
            )
        if spec.ready():
            return
        if time.monotonic() > deadline:
            raise StackError(
                f"{spec.name} was not ready after {spec.start_timeout_s:.0f} s; its log {log} ends:\n{tail(log)}"
            )
        time.sleep(POLL_S)


@contextlib.contextmanager
def running(spec: ProcessSpec, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a child while the block runs: ready at the start, gone at the end."""
    process = spawn(spec, log)
    try:
        await_ready(spec, process, log)
        yield process
    finally:
        stop(process, spec.stop_grace_s)


def run_to_end(
    spec: ProcessSpec, log: Path, *, timeout_s: float = 120.0, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Run a command that ends by itself; ``meanwhile`` is called while waiting and may raise.

    Raises
    ------
    StackError
        when it fails or takes too long; with the end of its log
    """
    process = spawn(spec, log)
    try:
        deadline = time.monotonic() + timeout_s
        while process.poll() is None:
            meanwhile()
            if time.monotonic() > deadline:
                raise StackError(f"{spec.name} did not end within {timeout_s:.0f} s; its log {log} ends:\n{tail(log)}")
            time.sleep(POLL_S)
    finally:
        code = kill(process)
    if code != 0:
        raise StackError(f"{spec.name} failed with exit code {code}; its log {log} ends:\n{tail(log)}")
