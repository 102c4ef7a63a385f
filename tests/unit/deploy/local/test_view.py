"""What `sada up` shows in a terminal and in a log."""

import io
import sys
from pathlib import Path

from rich.console import Console

from deploy.local.processes import ProcessSpec
from deploy.local.supervisor import Supervisor
from deploy.local.up import Process, UpFile
from deploy.local.view import StackView, status_table

UP = UpFile(
    kafka="127.0.0.1:9192",
    redis="redis://127.0.0.1:6479/0",
    gateway="http://127.0.0.1:8400",
    desk="http://127.0.0.1:8400/desk",
    metrics=[],
    write_key="the-write-key",
    api_key="the-api-key",
    supervisor=1,
    pids={"kafka": 7},
    processes=[Process("kafka", 7, "ready", 2)],
)


def shown(*, terminal: bool, folder: Path) -> str:
    """Return what a view writes for one small child."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120)
    supervisor = Supervisor(folder, lambda _: None)
    supervisor.start([ProcessSpec("sleeper", (sys.executable, "-c", "import time; time.sleep(60)"), lambda: True)])
    with StackView(console) as view:
        view.show(supervisor.children)
        view.say("a child wrote [bold]this[/bold] and [/nothing]")
        view.ready(UP)
    supervisor.stop()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_gets_a_table(tmp_path: Path) -> None:
    text = shown(terminal=True, folder=tmp_path)
    assert "sleeper" in text
    assert "ready" in text


def test_a_log_gets_lines_only(tmp_path: Path) -> None:
    text = shown(terminal=False, folder=tmp_path)
    assert "\x1b" not in text
    assert "sleeper" not in text


def test_what_a_child_wrote_is_never_markup(tmp_path: Path) -> None:
    assert "a child wrote [bold]this[/bold] and [/nothing]" in shown(terminal=False, folder=tmp_path)


def test_addresses_are_told_when_all_is_ready(tmp_path: Path) -> None:
    text = shown(terminal=False, folder=tmp_path)
    for part in (UP.desk, UP.gateway, UP.kafka, UP.write_key):
        assert part in text


def test_status_shows_every_process() -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(status_table(UP))
    assert isinstance(console.file, io.StringIO)
    row = next(line for line in console.file.getvalue().splitlines() if "kafka" in line)
    assert [part in row for part in ("7", "ready", "2", "logs/kafka.log")] == [True] * 4
