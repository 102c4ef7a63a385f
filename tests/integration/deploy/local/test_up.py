"""`sada up` with real Kafka and Redis: starts, serves, ends, and leaves nothing behind, however it ends."""

import importlib.util
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka.admin import AdminClient, NewTopic
from typer import Typer
from typer.testing import CliRunner

from deploy.local import command, preflight, up
from deploy.local.processes import StackError
from deploy.local.topology import PortClaims, Row
from deploy.local.up import Options, prepare
from tests.peers.waiting import await_that

PROGRAM = Path(__file__).with_name("small_stack.py")
CLI = Typer()
for function in (command.up, command.down, command.status):
    CLI.command()(function)


class Stack:
    """A `sada up` in a process of its own."""

    def __init__(self, var: Path, *children: str, env: dict[str, str] | None = None) -> None:
        self.var = var
        self.log = var.with_name(f"{var.name}.out")
        clean = {name: value for name, value in os.environ.items() if name not in ("SADA_KAFKA", "SADA_REDIS")}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, PROGRAM, var, *children], stdout=output, stderr=output, env={**clean, **(env or {})}
            )

    def up(self) -> dict[str, Any]:
        """Wait until all is up; return var/up.json."""
        path = self.var / "up.json"
        await_that(lambda: path.exists() or self.process.poll() is not None, within_s=60)
        assert self.process.poll() is None, self.said()
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def said(self) -> str:
        """Return what it printed."""
        return self.log.read_text()

    def end(self) -> int:
        """Stop it as Ctrl-C does; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


pytestmark = pytest.mark.slow


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Start stacks; whatever still runs at the end is stopped."""
    started: list[Stack] = []

    def begin(*children: str, env: dict[str, str] | None = None) -> Stack:
        started.append(Stack(tmp_path / "var", *children, env=env))
        return started[-1]

    yield begin
    for stack in started:
        stack.end()


def small_stack() -> Any:
    """Return the program's module: tests are no packages."""
    spec = importlib.util.spec_from_file_location("small_stack", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def running(folder: Path) -> list[str]:
    """Return the command lines of all processes that have to do with a folder, but for ourselves."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            text += bytes((process / "cwd").readlink())  # Redis writes its title over both
        except OSError:
            continue
        if str(folder).encode() in text and int(process.name) != os.getpid():
            found.append(f"{process.name} {text[:200]!r}")
    return found


def test_up_serves_keeps_its_state_and_leaves_nothing(start: Callable[..., Stack], tmp_path: Path) -> None:
    stack = start("serving")
    found = stack.up()
    assert set(found["pids"]) == {"kafka", "redis", "serving"}
    assert len(found["metrics"]) == 1
    assert stat.S_IMODE((stack.var / "up.json").stat().st_mode) == 0o600
    with redis.Redis.from_url(found["redis"]) as client:
        client.set("kept", "yes")
    admin = AdminClient({"bootstrap.servers": found["kafka"]})
    admin.create_topics([NewTopic("kept", 1)])["kept"].result()
    assert (stack.var / "logs" / "serving.log").read_text() == "serving\n"

    os.kill(found["pids"]["serving"], signal.SIGKILL)
    await_that(lambda: stack.up()["pids"]["serving"] != found["pids"]["serving"])

    assert stack.end() == 0, stack.said()
    assert not (stack.var / "up.json").exists()
    assert running(stack.var) == []

    again = start("serving").up()
    assert again["write_key"] == found["write_key"]
    with redis.Redis.from_url(again["redis"]) as client:
        assert client.get("kept") == b"yes"
    assert "kept" in AdminClient({"bootstrap.servers": again["kafka"]}).list_topics(timeout=10).topics


def test_a_killed_up_leaves_nothing_and_can_start_again(start: Callable[..., Stack]) -> None:
    stack = start("serving", "stubborn")
    before = stack.up()["pids"]
    assert len(running(stack.var)) >= 5
    stack.process.kill()
    stack.process.wait()
    await_that(lambda: running(stack.var) == [])
    again = start("serving")
    await_that(lambda: again.up()["pids"] != before, within_s=60)  # who was killed has left its up.json


def test_a_killed_broker_comes_back_on_its_port(start: Callable[..., Stack]) -> None:
    stack = start()
    found = stack.up()
    os.kill(found["pids"]["kafka"], signal.SIGKILL)
    await_that(lambda: stack.up()["pids"]["kafka"] != found["pids"]["kafka"])
    await_that(lambda: all(process["state"] == "ready" for process in stack.up()["processes"]))
    assert AdminClient({"bootstrap.servers": found["kafka"]}).list_topics(timeout=10).brokers


def test_a_child_that_cannot_run_ends_it_with_its_log_and_leaves_nothing(start: Callable[..., Stack]) -> None:
    stack = start("serving", "broken")
    assert stack.process.wait(60) == 1
    assert "StackError: broken ended with exit code 3, 3 times in a row" in stack.said()
    assert "no such luck" in stack.said()
    assert running(stack.var) == []


def test_own_servers_are_used(start: Callable[..., Stack], kafka: str, redis_url: str) -> None:
    stack = start("serving", env={"SADA_KAFKA": kafka, "SADA_REDIS": redis_url})
    found = stack.up()
    assert (found["kafka"], found["redis"]) == (kafka, redis_url)
    assert set(found["pids"]) == {"serving"}


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (("SADA_KAFKA", "127.0.0.1:1"), "No Kafka answers at 127.0.0.1:1 (SADA_KAFKA)"),
        (("SADA_REDIS", "redis://:hush@127.0.0.1:1/0"), "No Redis answers at 127.0.0.1:1/0 (SADA_REDIS)"),
    ],
)
def test_own_servers_that_do_not_answer_are_named(
    start: Callable[..., Stack], kafka: str, redis_url: str, own: tuple[str, str], message: str
) -> None:
    stack = start("serving", env={"SADA_KAFKA": kafka, "SADA_REDIS": redis_url} | dict([own]))
    assert stack.process.wait(60) == 1
    assert message in stack.said()
    assert "hush" not in stack.said()
    assert running(stack.var) == []


def test_status_and_down(start: Callable[..., Stack]) -> None:
    stack = start("serving")
    found = stack.up()
    cli = CliRunner()
    shown = cli.invoke(CLI, ["status", "--var", str(stack.var)])
    assert shown.exit_code == 0, shown.output
    assert f"{found['pids']['serving']}" in shown.output
    refused = cli.invoke(CLI, ["up", "--var", str(stack.var)])
    assert refused.exit_code == 1
    assert f"already runs in {stack.var} (pid {stack.process.pid})" in refused.stderr.replace("\n", " ")
    stopped = cli.invoke(CLI, ["down", "--var", str(stack.var)])
    assert stopped.exit_code == 0, stopped.output
    assert stack.process.wait(5) == 0
    assert preflight.owner(stack.var) is None
    assert running(stack.var) == []
    assert "Nothing runs" in cli.invoke(CLI, ["down", "--var", str(stack.var)]).output
    assert cli.invoke(CLI, ["status", "--var", str(stack.var)]).exit_code == 1


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        refused = CliRunner().invoke(CLI, ["up", "--var", str(tmp_path / "var"), "--gateway-port", str(port)])
    assert refused.exit_code == 1
    assert f"Port {port}, wanted for the gateway, is taken by" in refused.stderr
    assert running(tmp_path / "var") == []


def test_a_full_disk_is_refused_before_anything_starts(tmp_path: Path) -> None:
    options = Options(var=tmp_path, rows=(Row("serving", ("true",)),), free=lambda _: 1 << 20)
    with PortClaims() as claims, pytest.raises(StackError, match="disk is nearly full"):
        prepare(options, claims)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_ends_it_with_a_message_and_nothing_running(
    tmp_path: Path, kafka: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka that cannot write dies with a torn segment: it is stopped while it still can."""
    monkeypatch.setenv("SADA_KAFKA", kafka)
    monkeypatch.setenv("SADA_REDIS", redis_url)
    monkeypatch.setattr(up, "TIDY_EVERY_S", 0)
    row = Row("serving", (sys.executable, "-c", small_stack().SERVING))
    left = [preflight.NEEDED_BYTES]

    def fills_up(_: up.UpFile) -> None:
        assert running(tmp_path / "var")
        left[0] = preflight.LEAST_BYTES - 1

    options = Options(var=tmp_path / "var", gateway_port=0, steps=(), rows=(row,), free=lambda _: left[0])
    with pytest.raises(StackError, match=r"disk is nearly full: 255 MB are free in .* needs 256 MB"):
        up.run(options, print, ready=fills_up)
    assert running(tmp_path / "var") == []


def test_missing_java_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "redis-server").symlink_to("/usr/bin/redis-server")
    for name in ("JAVA_HOME", "SADA_KAFKA", "SADA_REDIS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    refused = CliRunner().invoke(
        CLI, ["up", "--var", str(tmp_path / "var"), "--gateway-port", "0", "--kafka-port", "0", "--redis-port", "0"]
    )
    assert refused.exit_code == 1
    assert "Java is missing" in refused.stderr
    assert running(tmp_path / "var") == []
