"""Each guard of exactly-once, on a real broker: with it the counts are true, without it they are not."""

import signal
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.kafka

Floor = Any  # the fixture's class lives in conftest.py, which tests cannot import


@pytest.mark.parametrize("accident", ["kill_before_commit=7", "kill_after_commit=7"])
def test_kill_9_in_mid_commit_loses_and_doubles_nothing(floor: Floor, accident: str) -> None:
    """Whether or not the broker heard of the commit, the next owner finds out and goes on from there."""
    floor.create_word_count(1)
    floor.send_lines(3000)
    assert floor.start(accident, "hide_offsets").wait(20) == -signal.SIGKILL
    assert 0 < sum(floor.state().values()) < sum(floor.truth.values())
    floor.start()
    floor.wait_counted()
    assert floor.state() == floor.truth
    assert floor.repeats_of(b"salam") == 0


def _count_then_kill(floor: Floor) -> None:
    floor.create_word_count(1)
    floor.send_lines(500)
    first = floor.start("hide_offsets")
    floor.wait_counted()
    first.kill()
    first.wait()


def test_position_record_is_where_reading_goes_on(floor: Floor) -> None:
    """Killed before it could show its offsets to the group, the worker still does not count twice."""
    _count_then_kill(floor)
    floor.start()
    floor.send_lines(100, begin=500)
    floor.wait_counted()
    assert floor.state() == floor.truth


def test_without_the_position_record_counts_double(floor: Floor) -> None:
    """The test above fails when the guard is taken out."""
    _count_then_kill(floor)
    floor.start("no_position_record")
    floor.send_lines(100, begin=500)
    floor.wait(lambda: sum(floor.state().values()) > sum(floor.truth.values()))


def _pause_past_the_session(floor: Floor, tmp_path: Path, *variants: str) -> Any:
    """Stop a worker in the middle of a batch until another has done its work; then let it go on."""
    floor.create_word_count(1)
    floor.send_lines(300)
    flag = tmp_path / "stop"
    zombie = floor.start(f"stop_in_job={flag}", *variants)
    floor.wait_counted()
    flag.touch()
    floor.send_lines(50, begin=300)
    floor.wait(lambda: not flag.exists())
    floor.start(*variants)
    floor.wait_counted()
    zombie.send_signal(signal.SIGCONT)
    return zombie


def test_zombie_is_fenced_and_ends(floor: Floor, tmp_path: Path) -> None:
    """A worker that wakes after its partitions went to another cannot commit what it had in flight, and ends."""
    zombie = _pause_past_the_session(floor, tmp_path)
    assert zombie.wait(20) == 70
    assert "FencedError" in floor.log_of(zombie)
    floor.send_lines(50, begin=350)
    floor.wait_counted()
    assert floor.state() == floor.truth
    assert floor.repeats_of(b"salam") == 0


def test_without_the_fence_a_zombie_commits(floor: Floor, tmp_path: Path) -> None:
    """The test above fails when the guard is taken out: the batch is there twice."""
    _pause_past_the_session(floor, tmp_path, "no_fence")
    floor.wait(lambda: floor.repeats_of(b"salam") > 0)
