"""A stack of one's own: its folder, its environment, its end."""

import sys
from pathlib import Path

import msgspec
import pytest

from deploy.local import preflight, running
from deploy.local.processes import StackError
from deploy.local.running import LOG, Running, fresh, is_up, launched
from deploy.local.supervisor import HELD, State, held_in
from deploy.local.up import Process, UpFile

SLEEPS = "import time; time.sleep(60)"
PRINTS = "import os; print({n: v for n, v in os.environ.items() if n.startswith('SADA_')}, flush=True)"


def program(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(running, "sada", lambda *_: (sys.executable, "-c", code))


def test_only_a_folder_of_its_own_is_emptied(tmp_path: Path) -> None:
    own = tmp_path / "own"
    fresh(own)
    (own / "old").touch()
    fresh(own)
    assert [path.name for path in own.iterdir()] == [LOG]
    customers = tmp_path / "var"
    customers.mkdir()
    (customers / "secrets.json").touch()  # a `sada up` was here
    with pytest.raises(StackError, match="holds something else"):
        fresh(customers)
    assert (customers / "secrets.json").exists()


def test_a_folder_in_which_a_stack_runs_is_left_alone(tmp_path: Path) -> None:
    fresh(tmp_path / "own")
    with preflight.owned(tmp_path / "own"), pytest.raises(StackError, match="A stack runs in"):
        fresh(tmp_path / "own")


def test_a_stack_gets_none_of_its_callers_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, PRINTS)
    monkeypatch.setenv("SADA_KAFKA", "the user's own")
    with launched(tmp_path, settings={"SADA_TICK_S": "0"}) as process:
        process.wait(30)
    assert (tmp_path / LOG).read_text() == "{'SADA_TICK_S': '0'}\n"


def test_a_stack_is_gone_whatever_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, SLEEPS)
    seen = []

    def interrupted() -> None:
        with launched(tmp_path) as process:
            seen.append((process, process.poll()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    process, before = seen[0]
    assert before is None
    assert process.poll() is not None


def test_a_stack_that_does_not_start_says_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, "import sys; sys.exit('no such luck')")
    with launched(tmp_path) as process:
        process.wait(30)
        with pytest.raises(StackError, match=r"did not start; .*\n.*no such luck"):
            is_up(process, tmp_path, deadline=0)


def test_a_stack_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(monkeypatch, SLEEPS)
    with launched(tmp_path) as process, pytest.raises(StackError, match="not up in time"):
        is_up(process, tmp_path, deadline=0)


def up_file(state: State) -> bytes:
    process = Process("worker-2", 7, state, 0)
    return msgspec.json.encode(UpFile("k", "r", "g", "d", [], "w", "a", 1, {"worker-2": 7}, [process]))


def test_one_process_is_held_released_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor of the stack asks the same folder; a state that does not come says which it was."""
    program(monkeypatch, SLEEPS)
    with launched(tmp_path) as process:
        (tmp_path / "up.json").write_bytes(up_file(State.STOPPED))
        stack = Running(process, tmp_path)
        stack.release("worker-2")  # of what is not held: nothing
        stack.hold("worker-2")
        assert held_in(tmp_path / HELD)("worker-2")
        assert not held_in(tmp_path / HELD)("worker-1")
        assert stack.await_state("worker-2", State.STOPPED).pid == 7
        stack.release("worker-2")
        assert not held_in(tmp_path / HELD)("worker-2")
        with pytest.raises(StackError, match=r"worker-2 is not ready after 0 s: stopped; see .*worker-2\.log"):
            stack.await_state("worker-2", State.READY, timeout_s=0.05)
        with pytest.raises(StackError, match="worker-9 is not ready after 0 s: not there"):
            stack.await_state("worker-9", State.READY, timeout_s=0.05)
