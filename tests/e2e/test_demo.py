"""The demo in its short form, and a worker killed in the middle of it: nothing lost, nothing twice, nothing left."""

import json
import os
import signal
import subprocess
import sys
import time
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


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(400)  # on two cores that others use as well; alone it takes a minute
def test_a_worker_is_killed_in_the_middle_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    var = tmp_path / "demo"
    command = [sys.executable, "-m", "streams.cli", "demo", "--short", "--var", str(var)]
    with (tmp_path / "log").open("wb") as log:
        demo = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        up = await_file(var / "up.json", demo, within_s=200)
        time.sleep(6.0)  # in the middle of it, with transactions open
        os.kill(up["pids"]["worker-1"], signal.SIGKILL)
        again = up
        while again["pids"]["worker-1"] == up["pids"]["worker-1"]:
            again = await_file(var / "up.json", demo, within_s=60)
            time.sleep(0.2)
        code = demo.wait(300)
    finally:
        if demo.poll() is None:
            demo.send_signal(signal.SIGTERM)
            demo.wait(90)
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
    assert not [name for name, pid in again["pids"].items() if is_alive(pid)]
    assert not is_alive(up["supervisor"])
