"""Rotation of logs that are being written."""

from pathlib import Path

from deploy.local.logs import rotate


def test_a_small_log_stays(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * 9)
    assert not rotate(log, at_bytes=10)
    assert [file.name for file in tmp_path.iterdir()] == ["a.log"]


def test_no_log_yet(tmp_path: Path) -> None:
    assert not rotate(tmp_path / "none.log")


def test_a_writer_goes_on_in_the_emptied_log(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"first" * 4)
        assert rotate(log, at_bytes=10)
        writer.write(b"second")
    assert log.read_bytes() == b"second"
    assert (tmp_path / "a.log.1").read_bytes() == b"first" * 4


def test_the_oldest_is_dropped(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    for number in range(5):
        log.write_bytes(b"%d" % number * 10)
        assert rotate(log, at_bytes=10, keep=2)
    kept = {file.name: file.read_bytes()[:1] for file in tmp_path.iterdir()}
    assert kept == {"a.log": b"", "a.log.1": b"4", "a.log.2": b"3"}
