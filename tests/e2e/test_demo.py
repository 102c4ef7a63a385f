"""The demo in its short form, a worker killed in its middle, Ctrl-C: nothing lost, nothing twice, nothing left."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROMISED = {
    "signals", "customers", "merges", "decisions", "delivered", "outcomes",
    "auc_churn", "auc_intent", "uplift", "uplift_low", "uplift_high",
}  # fmt: skip


def await_file(path: Path, process: subprocess.Popen[bytes], within_s: float) -> dict[str, Any]:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        assert process.poll() is None, "the demo ended early"
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            time.sleep(0.1)
        else:
            return found
    raise AssertionError(f"{path} did not come within {within_s:.0f} s")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A killed child whose parent has not asked yet is no process any more.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@contextlib.contextmanager
def demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `sada demo` in FOLDER/demo, its output in FOLDER/log."""
    command = [sys.executable, "-m", "streams.cli", "demo", "--var", str(folder / "demo"), *options]
    # A shell's background job ignores Ctrl-C, and so would what it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    signal.signal(signal.SIGINT, before)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(90)


def left_of(up: dict[str, Any]) -> list[str]:
    """Return what still runs of a stack."""
    return [name for name, pid in {**up["pids"], "sada up": up["supervisor"]}.items() if is_alive(pid)]


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ctrl_c_in_the_middle_leaves_nothing_running(tmp_path: Path) -> None:
    with demo(tmp_path, "--short") as process:
        up = await_file(tmp_path / "demo" / "up.json", process, within_s=200)
        time.sleep(2.0)
        assert len(left_of(up)) == len(up["pids"]) + 1
        process.send_signal(signal.SIGINT)
        assert process.wait(90) == 130
    assert left_of(up) == []
    said = (tmp_path / "log").read_text()
    assert "Stopped; nothing is left running." in said
    assert "Traceback" not in said


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_keep_leaves_it_running_until_ctrl_c(tmp_path: Path) -> None:
    with demo(tmp_path, "--customers", "20", "--days", "2", "--keep") as process:
        up = await_file(tmp_path / "demo" / "up.json", process, within_s=200)
        await_file(tmp_path / "reports" / "demo.json", process, within_s=90)
        while "Ctrl-C ends it." not in (tmp_path / "log").read_text():
            assert process.poll() is None, "the demo ended early"
            time.sleep(0.1)
        time.sleep(1.0)
        assert process.poll() is None
        assert len(left_of(up)) == len(up["pids"]) + 1
        with urllib.request.urlopen(up["metrics"][0], timeout=10) as answer:  # noqa: S310 - our own, on loopback
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(90) == 0
    assert left_of(up) == []


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(400)  # on two cores that others use as well; alone it takes a minute
def test_a_worker_is_killed_in_the_middle_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    var = tmp_path / "demo"
    with demo(tmp_path, "--short") as process:
        up = await_file(var / "up.json", process, within_s=200)
        time.sleep(6.0)  # in the middle of it, with transactions open
        os.kill(up["pids"]["worker-1"], signal.SIGKILL)
        again = up
        while again["pids"]["worker-1"] == up["pids"]["worker-1"]:
            again = await_file(var / "up.json", process, within_s=60)
            time.sleep(0.2)
        code = process.wait(300)
    assert code == 0, (tmp_path / "log").read_text()[-3_000:]
    found = json.loads((tmp_path / "reports" / "demo.json").read_text())
    assert set(found) >= PROMISED
    assert found["lost"] == 0
    assert found["wrong"] == []
    assert found["restarts"] == 1
    assert found["signals"] == found["folded"] + sum(found["dead_letters"].values())
    assert found["signals"] > 2_000
    assert found["customers"] > 100
    assert found["merges"] > 50
    assert found["decisions"] > 1_000
    assert 0 < found["delivered"] <= found["outcomes"]
    assert found["matching"]["precision"] > 0.95
    assert "<svg" in (var / "report.html").read_text()
    assert left_of(again) == []
