"""Keys: hashed, private, reloaded, and a broken file changes nothing."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.gateway import keys
from connectors.gateway.keys import RIGHTS, KeyFileError, KeyRing
from streams.cli import build


def test_only_the_hash_is_kept(tmp_path: Path) -> None:
    """And only its owner may read the file."""
    file = tmp_path / "deep" / "keys.json"
    made = keys.add(file, "shop", "write", now_ms=7, channel="web")
    assert made not in file.read_text()
    assert json.loads(file.read_text())["keys"][0]["hash"] == keys.hash_of(made)
    assert file.stat().st_mode & 0o077 == 0
    found = KeyRing(file).find(made)
    assert found is not None
    assert (found.name, found.role, found.channel, found.created_at_ms) == ("shop", "write", "web", 7)
    assert KeyRing(file).find(made + "x") is None


def test_changes_are_noticed(tmp_path: Path) -> None:
    """New keys hold and revoked ones end, without a restart; a file that appears later counts."""
    file = tmp_path / "keys.json"
    ring = KeyRing(file)
    one = keys.add(file, "one", "write", now_ms=1)
    assert ring.find(one) is None
    ring.refresh()
    assert ring.find(one) is not None
    assert keys.revoke(file, "one", now_ms=2) == 1
    ring.refresh()
    assert ring.find(one) is None
    assert keys.revoke(file, "one", now_ms=3) == 0


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b'{"keys": [{"name": 1}]}',
        b'{"keys": [], "more": 1}',
        b"\xff",
        b'{"keys":[{"name":"a","hash":"b","role":"god"}]}',
    ],
)
def test_a_broken_file_changes_nothing(tmp_path: Path, content: bytes) -> None:
    """At the start it is refused by name; later the old keys stay."""
    file = tmp_path / "keys.json"
    made = keys.add(file, "shop", "write", now_ms=1)
    ring = KeyRing(file)
    file.write_bytes(content)
    ring.refresh()
    assert ring.find(made) is not None
    with pytest.raises(KeyFileError, match=r"keys\.json"):
        KeyRing(file)


def test_a_name_is_one_live_key_s(tmp_path: Path) -> None:
    """Its signals would not be told apart; after revoking, the name is free again."""
    file = tmp_path / "keys.json"
    keys.add(file, "shop", "write", now_ms=1)
    with pytest.raises(KeyFileError, match="exists"):
        keys.add(file, "shop", "read", now_ms=1)
    keys.revoke(file, "shop", now_ms=2)
    assert keys.add(file, "shop", "write", now_ms=3)


def test_no_role_but_admin_has_all() -> None:
    """Deny by default: who sends cannot look, who looks cannot send."""
    assert RIGHTS["write"] == {"collect"}
    assert RIGHTS["read"] == {"lookup"}
    assert "collect" not in RIGHTS["agent"]
    assert [role for role, rights in RIGHTS.items() if "rule" in rights] == ["operator", "admin"]
    assert [role for role, rights in RIGHTS.items() if "privacy" in rights] == ["privacy", "admin"]
    assert RIGHTS["privacy"] == {"privacy"}


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prints the key once, lists no secret, revokes, and says what is wrong."""
    monkeypatch.setenv("SADA_VAR", str(tmp_path))
    monkeypatch.delenv("SADA_KEYS", raising=False)
    run = CliRunner().invoke
    made = run(build(["keys"]), ["keys", "add", "shop", "--role", "write", "--origin", "https://shop.example"])
    assert made.exit_code == 0
    key = made.stdout.strip()
    found = KeyRing(tmp_path / "keys.json").find(key)
    assert found is not None
    assert found.origins == ("https://shop.example",)
    listed = run(build(["keys"]), ["keys", "list"]).stdout
    assert "shop\twrite\tlive" in listed
    assert key not in listed
    assert run(build(["keys"]), ["keys", "revoke", "shop"]).exit_code == 0
    assert "revoked" in run(build(["keys"]), ["keys", "list"]).stdout
    assert run(build(["keys"]), ["keys", "revoke", "shop"]).exit_code == 1
    assert run(build(["keys"]), ["keys", "add", "x", "--role", "god"]).exit_code == 2
    assert run(build(["keys"]), ["keys", "add", "x", "--role", "write", "--channel", "moon"]).exit_code == 2
