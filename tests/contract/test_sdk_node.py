"""The real Node.js SDKs of Segment and RudderStack, unchanged, against the running gateway and a real Kafka."""

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.peers.gateway import Door, gateway

pytestmark = pytest.mark.kafka

HERE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script beside its locked packages: those of `make setup-test`, or installed now."""
    if (HERE / "node_modules").is_dir():
        return HERE / "calls.mjs"
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "calls.mjs"):
        shutil.copy(HERE / name, folder)
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=110,
    )
    return folder / "calls.mjs"


@pytest.fixture(scope="module")
def door(kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with gateway(kafka, redis_url, f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("sdk")) as found:
        yield found


def _run(calls: Path, sdk: str, door: Door, key: str, user: str) -> subprocess.CompletedProcess[str]:
    command = ["node", str(calls), sdk, door.url, key, user]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("sdk", ["segment", "rudder"])
def test_every_call_arrives(door: Door, calls: Path, sdk: str) -> None:
    """identify, track, page, screen, group and alias, each once, with its meaning."""
    user = f"u-{uuid.uuid4().hex}"
    ended = _run(calls, sdk, door, door.keys["write"], user)
    assert ended.returncode == 0, ended.stderr
    found = door.signals("web", lambda s: any(i["value"] == user for i in s["identifiers"]), 6)
    by_name = {signal["name"]: signal for signal in found}
    assert sorted(by_name) == ["aliased", "grouped", "identified", "order_completed", "page_viewed", "screen_viewed"]
    assert {"kind": "email", "value": f"{user}@example.com", "original": ""} in by_name["identified"]["identifiers"]
    order = by_name["order_completed"]
    assert order["transaction"]["amount_minor"] == 1250
    assert abs(order["occurred_at_ms"] - datetime(2026, 1, 2, tzinfo=UTC).timestamp() * 1000) < 60_000
    assert len({signal["id"] for signal in found}) == 6


def test_a_wrong_key_is_an_error_to_the_sdk(door: Door, calls: Path) -> None:
    """It must not believe that it delivered."""
    assert _run(calls, "segment", door, "wrong", "u").returncode == 1
