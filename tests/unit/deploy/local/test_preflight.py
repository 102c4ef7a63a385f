"""What keeps the stack from starting, and what it says then."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import preflight
from deploy.local.processes import StackError, free_port


def test_a_nearly_full_disk_is_refused_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=rf"disk is nearly full: 100 MB are free in {tmp_path}.* needs 2048 MB"):
        preflight.check_space(tmp_path, free=lambda _: 100 << 20)


def test_enough_room_is_enough(tmp_path: Path) -> None:
    preflight.check_space(tmp_path, free=lambda _: preflight.NEEDED_BYTES)


def test_free_bytes_are_those_of_the_disk(tmp_path: Path) -> None:
    stat = os.statvfs(tmp_path)
    assert abs(preflight.free_bytes(tmp_path) - stat.f_bavail * stat.f_frsize) < 1 << 30


def test_a_taken_port_is_named_with_its_holder() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(StackError) as caught:
            preflight.check_port(port, what="the gateway", choose="--gateway-port")
    assert f"Port {port}, wanted for the gateway, is taken by " in str(caught.value)
    assert f"(pid {os.getpid()})" in str(caught.value)
    assert "--gateway-port" in str(caught.value)


def test_a_free_port_is_accepted() -> None:
    preflight.check_port(free_port(), what="the gateway", choose="--gateway-port")


def test_nobody_holds_a_free_port() -> None:
    assert preflight.holder(free_port()) is None


def test_a_folder_is_held_by_one_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from deploy.local import preflight\n"
        "with preflight.owned(Path(sys.argv[1])):\n  print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert preflight.owner(tmp_path) == other.pid
        with (
            pytest.raises(StackError, match=rf"already runs in {tmp_path} \(pid {other.pid}\).*sada down"),
            preflight.owned(tmp_path),
        ):
            pytest.fail("two hold it")
        other.kill()
    assert preflight.owner(tmp_path) is None
    with preflight.owned(tmp_path):  # a killed owner holds nothing
        assert preflight.owner(tmp_path) == os.getpid()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with (
        pytest.raises(StackError, match=rf"The folder {blocked} cannot be written: .*--var"),
        preflight.owned(blocked),
    ):
        pytest.fail("held")


def test_an_untouched_folder_has_no_owner(tmp_path: Path) -> None:
    assert preflight.owner(tmp_path / "new") is None
