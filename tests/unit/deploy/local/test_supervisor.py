"""The supervisor with small children of its own."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.processes import ProcessSpec, StackError
from deploy.local.supervisor import Patience, State, Supervisor, held_in
from tests.peers.waiting import await_that

IMPATIENT = Patience(
    first_delay_s=0.02,
    most_delay_s=0.1,
    loop_deaths=4,
    loop_window_s=30,
    loop_delay_s=0.2,
    start_deaths=3,
    probe_every_s=0.05,
    silent_probes=2,
)
FOREVER = "import time; time.sleep(600)"


class Stage:
    """A supervisor and what it said."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.held = folder / "held"
        self.held.mkdir()
        self.supervisor = Supervisor(folder, self.said.append, patience=IMPATIENT, held=held_in(self.held))

    def tick_until(self, reached: Callable[[], bool], *, within_s: float = 10) -> None:
        """Tick until something holds."""
        deadline = time.monotonic() + within_s
        while not reached():
            assert time.monotonic() < deadline, self.said
            self.supervisor.tick()
            time.sleep(0.01)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    found = Stage(tmp_path)
    yield found
    found.supervisor.stop()


def python(name: str, code: str, **more: object) -> ProcessSpec:
    """A child that runs Python code."""
    settings = {"ready": lambda: True, "stop_grace_s": 5.0, **more}
    return ProcessSpec(name, (sys.executable, "-I", "-S", "-c", code), **settings)  # type: ignore[arg-type]  # table


def gone(pid: int) -> bool:
    """Say whether no such process runs; a zombie counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_child_that_dies_comes_back(stage: Stage) -> None:
    stage.supervisor.start([python("one", FOREVER)])
    (child,) = stage.supervisor.children
    first = child.process.pid
    os.kill(first, signal.SIGKILL)
    stage.tick_until(lambda: child.restarts == 1 and child.state is State.READY)
    assert child.process.pid != first
    assert any("one ended with signal 9" in sentence for sentence in stage.said)


def test_tick_says_when_a_pid_changed(stage: Stage) -> None:
    stage.supervisor.start([python("one", FOREVER)])
    assert not stage.supervisor.tick()
    os.kill(stage.supervisor.children[0].process.pid, signal.SIGKILL)
    stage.supervisor.children[0].process.wait()
    assert stage.supervisor.tick()


def test_a_death_leaves_the_others_alone(stage: Stage) -> None:
    stage.supervisor.start([python("one", FOREVER), python("two", FOREVER)])
    one, two = stage.supervisor.children
    other = two.process.pid
    os.kill(one.process.pid, signal.SIGKILL)
    stage.tick_until(lambda: one.restarts == 1)
    assert (two.process.pid, two.restarts, two.state) == (other, 0, State.READY)


def test_the_pause_before_a_restart_doubles_up_to_a_bound(tmp_path: Path) -> None:
    """A child that cannot run does not use a core."""
    now, pauses = 0.0, []
    patience = Patience(first_delay_s=1, most_delay_s=5, loop_deaths=100, loop_window_s=1000)
    supervisor = Supervisor(tmp_path, lambda _: None, patience=patience, clock=lambda: now)
    supervisor.start([python("one", FOREVER)])
    (child,) = supervisor.children
    for _ in range(5):
        os.kill(child.process.pid, signal.SIGKILL)
        child.process.wait()
        supervisor.tick()
        pauses.append(child.restart_at - now)
        now = child.restart_at
        supervisor.tick()
    supervisor.stop()
    assert pauses == [1, 2, 4, 5, 5]


def test_old_deaths_are_forgiven(tmp_path: Path) -> None:
    """One death a day is no crash loop."""
    now = 0.0
    patience = Patience(loop_deaths=2, loop_window_s=60)
    supervisor = Supervisor(tmp_path, lambda _: None, patience=patience, clock=lambda: now)
    supervisor.start([python("one", FOREVER)])
    (child,) = supervisor.children
    for _ in range(3):
        os.kill(child.process.pid, signal.SIGKILL)
        child.process.wait()
        supervisor.tick()
        assert child.state is State.WAITING
        now += 3600
        supervisor.tick()
    supervisor.stop()


def test_a_crash_loop_is_reported_with_the_end_of_the_log_and_tried_on(stage: Stage, tmp_path: Path) -> None:
    switch = tmp_path / "break"
    code = f"import os, sys, time\nwhile not os.path.exists({str(switch)!r}): time.sleep(0.01)\nsys.exit('out of luck')"
    stage.supervisor.start([python("one", code)])
    (child,) = stage.supervisor.children
    switch.touch()
    stage.tick_until(lambda: child.state is State.LOOPING)
    report = stage.said[-1]
    assert "one ended with exit code 1, 4 times within 30 s" in report
    assert "out of luck" in report
    assert str(child.log) in report
    switch.unlink()
    stage.tick_until(lambda: child.state is State.READY)


def test_a_child_that_never_runs_ends_the_start(stage: Stage) -> None:
    with pytest.raises(
        StackError, match=r"one ended with exit code 3, 3 times in a row; its log .*\n  no module of that name"
    ):
        stage.supervisor.start(
            [python("one", "import sys; print('no module of that name'); sys.exit(3)", ready=lambda: False)]
        )


def test_a_child_that_needs_a_person_is_not_tried_three_times(stage: Stage) -> None:
    """EX_CONFIG: a worker without its topics, a process without its key."""
    with pytest.raises(StackError, match="one ended with exit code 78, once; its log"):
        stage.supervisor.start([python("one", "raise SystemExit(78)", ready=lambda: False)])


def test_a_child_that_comes_to_need_a_person_is_reported_at_once(stage: Stage, tmp_path: Path) -> None:
    switch = tmp_path / "break"
    code = f"import os, time\nwhile not os.path.exists({str(switch)!r}): time.sleep(0.01)\nraise SystemExit(78)"
    stage.supervisor.start([python("one", code)])
    switch.touch()
    stage.tick_until(lambda: stage.supervisor.children[0].state is State.LOOPING)
    assert "exit code 78, 1 times within" in stage.said[-1]


def test_a_child_that_is_never_ready_ends_the_start(stage: Stage) -> None:
    never = python("one", FOREVER, ready=lambda: False, start_timeout_s=0.05)
    with pytest.raises(StackError, match="one was not ready after 0 s"):
        stage.supervisor.start([never])


def test_a_failed_start_leaves_nothing_after_stop(stage: Stage) -> None:
    broken = python("two", "raise SystemExit(1)", ready=lambda: False)
    with pytest.raises(StackError):
        stage.supervisor.start([python("one", FOREVER), broken])
    pids = [child.process.pid for child in stage.supervisor.children]
    stage.supervisor.stop()
    assert all(gone(pid) for pid in pids)


def test_a_child_without_progress_is_killed_and_restarted(stage: Stage) -> None:
    """Faust can stall without ending: what `/livez` says counts."""
    lively = [True]
    stage.supervisor.start([python("one", FOREVER, alive=lambda: lively[0])])
    (child,) = stage.supervisor.children
    first = child.process.pid
    lively[0] = False
    stage.tick_until(lambda: child.restarts == 1)
    lively[0] = True
    assert gone(first)
    assert any("made no progress in 2 looks" in sentence for sentence in stage.said)


def test_one_missed_look_is_no_reason(stage: Stage) -> None:
    answers = iter([False, True] * 3)
    stage.supervisor.start([python("one", FOREVER, alive=lambda: next(answers, True))])
    (child,) = stage.supervisor.children
    stage.tick_until(lambda: next(answers, None) is None)
    assert child.restarts == 0


def test_tiers_stop_in_reverse_order(stage: Stage, tmp_path: Path) -> None:
    order = tmp_path / "order"

    def noting(name: str) -> ProcessSpec:
        code = (
            f"import signal, sys, time\ndef end(*_):\n  time.sleep(0.1)\n"
            f"  open({str(order)!r}, 'a').write({name!r}); sys.exit()\n"
            f"signal.signal(signal.SIGTERM, end)\nopen({str(tmp_path / name)!r}, 'w')\ntime.sleep(600)"
        )
        return python(name, code, ready=(tmp_path / name).exists)

    for name in "abc":
        stage.supervisor.start([noting(name)])
    stage.supervisor.stop()
    assert order.read_text() == "cba"


def test_a_child_that_ignores_sigterm_is_killed_with_its_own_children(stage: Stage, tmp_path: Path) -> None:
    note = tmp_path / "grandchild"
    code = (
        "import signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"child = subprocess.Popen([sys.executable, '-c', {FOREVER!r}])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid))\ntime.sleep(600)"
    )
    stage.supervisor.start(
        [python("one", code, ready=lambda: note.exists() and note.read_text() != "", stop_grace_s=0.2)]
    )
    pid = stage.supervisor.children[0].process.pid
    stage.supervisor.stop()
    assert gone(pid)
    await_that(lambda: gone(int(note.read_text())))  # killed, but not waited for: it is no child of ours
    assert "one did not end within 0 s and was killed" in stage.said


def test_a_paused_child_stops_in_good_order(stage: Stage, tmp_path: Path) -> None:
    """A worker under SIGSTOP must wake up to see its SIGTERM, or its last work is lost to a kill."""
    up, ended = tmp_path / "up", tmp_path / "ended"
    code = (
        f"import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: (open({str(ended)!r}, 'w'), sys.exit()))\n"
        f"open({str(up)!r}, 'w')\ntime.sleep(600)"
    )
    stage.supervisor.start([python("one", code, ready=up.exists)])
    os.kill(stage.supervisor.children[0].process.pid, signal.SIGSTOP)
    stage.supervisor.stop()
    assert ended.exists()


def test_a_second_ctrl_c_stops_at_once(stage: Stage) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    stage.supervisor.start([python("one", deaf, stop_grace_s=60)])
    began = time.monotonic()
    stage.supervisor.stop(hurry=lambda: True)
    assert time.monotonic() - began < 5


def test_a_held_child_ends_in_good_order_and_stays_away_until_it_is_wanted(stage: Stage, tmp_path: Path) -> None:
    up, ended = tmp_path / "up", tmp_path / "ended"
    code = (
        f"import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: (open({str(ended)!r}, 'w'), sys.exit()))\n"
        f"open({str(up)!r}, 'w')\ntime.sleep(600)"
    )
    stage.supervisor.start([python("one", code, ready=up.exists), python("two", FOREVER)])
    one, two = stage.supervisor.children
    other = two.process.pid
    (stage.held / "one").touch()
    stage.tick_until(lambda: one.state is State.STOPPED)
    assert ended.exists()
    assert "one ended with exit code 0; it is held and not started again" in stage.said
    for _ in range(20):
        assert not stage.supervisor.tick()
    (stage.held / "one").unlink()
    stage.tick_until(lambda: one.state is State.READY)
    assert not gone(one.process.pid)
    assert (two.process.pid, two.restarts) == (other, 0)


def test_a_held_child_that_was_killed_stays_away(stage: Stage) -> None:
    stage.supervisor.start([python("one", FOREVER)])
    (child,) = stage.supervisor.children
    os.kill(child.process.pid, signal.SIGKILL)
    stage.tick_until(lambda: child.state is State.WAITING)
    (stage.held / "one").touch()
    stage.tick_until(lambda: child.state is State.STOPPED)
    time.sleep(2 * IMPATIENT.first_delay_s)
    stage.supervisor.tick()
    assert (child.state, child.restarts) == (State.STOPPED, 0)


def test_a_held_child_that_ignores_sigterm_is_killed(stage: Stage, tmp_path: Path) -> None:
    up = tmp_path / "up"
    code = (
        f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nopen({str(up)!r}, 'w')\ntime.sleep(600)"
    )
    stage.supervisor.start([python("one", code, ready=up.exists, stop_grace_s=0.1)])
    (child,) = stage.supervisor.children
    (stage.held / "one").touch()
    stage.tick_until(lambda: child.state is State.STOPPED)
    assert gone(child.process.pid)
    assert "one ended with signal 9; it is held and not started again" in stage.said


def test_a_child_that_is_wanted_again_while_it_stops_comes_back(stage: Stage) -> None:
    stage.supervisor.start([python("one", FOREVER)])
    (child,) = stage.supervisor.children
    first = child.process.pid
    (stage.held / "one").touch()
    stage.supervisor.tick()
    (stage.held / "one").unlink()
    stage.tick_until(lambda: child.state is State.READY)
    assert (gone(first), child.process.pid != first) == (True, True)
