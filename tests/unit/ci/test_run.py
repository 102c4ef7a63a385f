"""The gate itself: `.ci/run` with commands that pass and fail on purpose."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with `.ci/run` and a make of our own."""
    shutil.copytree(ROOT / ".ci", tmp_path / "checkout" / ".ci")
    return tmp_path / "checkout"


def run(checkout: Path, make: str) -> "subprocess.CompletedProcess[str]":
    program = checkout / "bin" / "make"
    program.parent.mkdir()
    program.write_text(f"#!/bin/bash\n{make}\n")
    program.chmod(0o755)
    env = {"PATH": f"{program.parent}:/usr/bin:/bin"}
    return subprocess.run([checkout / ".ci" / "run"], env=env, capture_output=True, text=True, check=False)


def test_success_shows_each_step_and_pytests_last_line(checkout: Path) -> None:
    done = run(checkout, "echo '=========== 7 passed in 1.23s ==========='; echo later output")
    assert done.returncode == 0
    end = done.stdout[done.stdout.rindex("later output") :]
    assert "test         ok" in end
    assert "7 passed in 1.23s" in end
    assert "CI passed" in end


def test_a_failed_step_fails_the_gate_and_ends_it(checkout: Path) -> None:
    script = checkout / ".ci" / "run"
    script.write_text(script.read_text() + "\nstep after echo never\n")
    done = run(checkout, "echo '===== 1 failed, 6 passed in 1.23s ====='; exit 2")
    assert done.returncode == 2
    assert "never" not in done.stdout
    assert "1 failed, 6 passed in 1.23s" in done.stdout[done.stdout.index("FAILED") :]


def test_what_failed_once_is_run_again_alone(checkout: Path) -> None:
    """On a noisy machine a test of timing may fail once; the second run is of what failed, and is told."""
    done = run(checkout, '[[ "$*" == *--last-failed* || "$1" != test ]] || { echo flaky; exit 2; }')
    assert done.returncode == 0
    assert "FAILED once" in done.stdout


def test_steps_see_ci_and_no_input(checkout: Path) -> None:
    done = run(checkout, 'echo "CI=$CI"; read -r line || echo "no input"')
    assert "CI=true" in done.stdout
    assert "no input" in done.stdout


def test_make_alone_explains_every_target() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for target in ("setup", "up", "demo", "test", "lint", "chaos", "bench", "lock"):
        assert f"  make {target} " in shown
