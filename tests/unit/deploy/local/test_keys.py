"""The local stack's secrets."""

import stat
from pathlib import Path

import pytest

from deploy.local import keys, topology
from deploy.local.processes import StackError
from streams.settings import Settings


def test_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    assert keys.load_or_make(path) == keys.load_or_make(path)


def test_no_two_stacks_share_one(tmp_path: Path) -> None:
    one, two = keys.load_or_make(tmp_path / "one.json"), keys.load_or_make(tmp_path / "two.json")
    values = [getattr(made, name) for made in (one, two) for name in keys.Keys.__struct_fields__]
    assert len(set(values)) == len(values)


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    keys.load_or_make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b"\xff\xfe", b'{"node_key": 1}'])
def test_a_damaged_file_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    """New keys in its place would make a new customer of everybody."""
    path = tmp_path / "secrets.json"
    path.write_bytes(content)
    with pytest.raises(StackError, match="cannot be read"):
        keys.load_or_make(path)
    assert path.read_bytes() == content


def test_a_key_of_a_later_version_is_added_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_text('{"node_key": "ab", "write_key": "w"}')
    made = keys.load_or_make(path)
    assert (made.node_key, made.write_key) == ("ab", "w")
    assert keys.load_or_make(path) == made


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "up.json"
    path.write_text("older")
    path.chmod(0o644)
    keys.write_private(path, b"newer")
    assert path.read_bytes() == b"newer"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_processes_accept_the_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in topology.secrets(keys.load_or_make(tmp_path / "secrets.json")).items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert len(settings.secret("node_key")) == 32
    assert len(settings.secret("snapshot_key")) == 32
    assert len(settings.secret("inbox_secret")) == 32
