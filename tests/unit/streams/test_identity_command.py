"""``sada identity check`` says what the rules come to."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import build


@pytest.mark.parametrize(
    ("near", "said"),
    [
        ("off", "Near matches: off"),
        ("{review: 0.6}", "from 60% on a person is asked (`sada identity review`); none is linked"),
        ("{automatic: 0.99}", "from 50% on a person is asked, from 99% on they are linked"),
    ],
)
def test_near_matches_are_explained(tmp_path: Path, near: str, said: str) -> None:
    """What will happen to whom, without running anything."""
    file = tmp_path / "identity.yaml"
    file.write_text(f"version: 1\nnear: {near}\n")
    answer = CliRunner().invoke(build(["identity"]), ["identity", "check", str(file)])
    assert (answer.exit_code, said in answer.output) == (0, True), answer.output
