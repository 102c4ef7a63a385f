"""``sada rules check``."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import build

RULES = Path("deploy/local/rules.yaml")


def test_what_this_machine_runs_is_good() -> None:
    """The file that `sada up` uses."""
    found = CliRunner().invoke(build(["rules"]), ["rules", "check", str(RULES)])
    assert found.exit_code == 0
    assert "good. 6 fields say which value survives, 5 rules are held." in found.stdout


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            b"fields: {name: oldest}\nsignalz: 1\n",
            ("bad.yaml:1:1: version: must be 1", "1:10: fields.name: must be one of newest", "did you mean signals?"),
        ),
        (b"\xff", ("byte 0 is not UTF-8",)),
        (None, ("cannot be read",)),
    ],
)
def test_every_problem_is_named(tmp_path: Path, text: bytes | None, messages: tuple[str, ...]) -> None:
    """All at once, by line and field; the command fails."""
    path = tmp_path / "bad.yaml"
    if text is not None:
        path.write_bytes(text)
    found = CliRunner().invoke(build(["rules"]), ["rules", "check", str(path)])
    assert found.exit_code == 1
    assert [message for message in messages if message not in found.stderr] == []
