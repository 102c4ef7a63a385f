"""`sada import` into a real Kafka: exactly once, killed or not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from connectors.files.located import FileError
from connectors.files.session import INTERRUPTED, Options, run
from schemas.admin import create_topics
from schemas.topics import DEAD_LETTERS, signals
from streams.settings import Settings
from tests.peers.shop_orders import GROUPED, ORDERS, mapping, read_all, row, write

pytestmark = pytest.mark.kafka

QUIET = Console(quiet=True)


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    made = Settings(
        kafka=kafka, topic_prefix=topic_prefix, node_key=SecretStr("22" * 32), partitions=2, var=tmp_path / "var"
    )
    create_topics(made.librdkafka(), customers=2, prefix=topic_prefix)
    return made


def environment(settings: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "SADA_KAFKA": settings.kafka,
        "SADA_TOPIC_PREFIX": settings.topic_prefix,
        "SADA_NODE_KEY": "22" * 32,
        "SADA_VAR": str(settings.var),
    }


def sada_import(settings: Settings, file: Path, rules: Path) -> "subprocess.Popen[bytes]":
    code = "import typer; from connectors.files.command import import_file; typer.run(import_file)"
    return subprocess.Popen(
        [sys.executable, "-c", code, str(file), "--mapping", str(rules)],
        env=environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def checkpoints(settings: Settings) -> list[bytes]:
    return [path.read_bytes() for path in (settings.var / "imports").glob("*.json")]


def await_checkpoint(settings: Settings, process: "subprocess.Popen[bytes]", other_than: list[bytes]) -> None:
    """Wait until a chunk is committed."""
    deadline = time.monotonic() + 30
    while (now := checkpoints(settings)) == other_than or not now:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def report(settings: Settings) -> dict[str, object]:
    return dict(json.loads((settings.var / "reports" / "import-shop-orders.json").read_text()))


def test_a_second_import_adds_nothing(settings: Settings, tmp_path: Path) -> None:
    """Signals once; bad rows in the rejects and the dead letters; the same again is a no-op, --again is not."""
    bad = ["o7,not a time,c7,m7@shop.example,tea,1,1", "o8,2024-01-01,,,tea,1,1", "o9,ragged"]
    file = write(tmp_path / "orders.csv", [row(1), *bad, row(2)])
    options = Options(file=file, mapping=mapping(tmp_path / "m.yaml", ORDERS), dead_letter=True)
    assert run(settings, options, console=QUIET) == 0
    found = read_all(settings, signals("file"), "signal")
    assert sorted(s["transaction"]["order_id"] for s in found) == ["o1", "o2"]
    first = found[0]
    assert first["transaction"]["amount_minor"] == 900
    assert [i["kind"] for i in first["identifiers"]] == ["crm_id", "email"]
    rejects = next((settings.var / "imports").glob("*.rejects.csv")).read_text().splitlines()
    assert [line.split(",")[:2] for line in rejects[1:]] == [
        ["3", "bad-time"],
        ["4", "no-identifier"],
        ["5", "ragged"],
    ]
    letters = read_all(settings, DEAD_LETTERS, "dead_letter")
    assert [(letter["code"], letter["offset"]) for letter in letters] == [
        ("bad-time", 3),
        ("no-identifier", 4),
        ("ragged", 5),
    ]
    assert run(settings, options, console=QUIET) == 0
    assert len(read_all(settings, signals("file"), "signal")) == 2
    assert report(settings)["state"] == "imported"
    assert run(settings, options._replace(again=True), console=QUIET) == 0
    again = read_all(settings, signals("file"), "signal")
    assert (len(again), len({s["id"] for s in again})) == (4, 2)


def test_killed_in_the_middle_it_goes_on_exactly_there(settings: Settings, tmp_path: Path) -> None:
    """kill -9 again and again, the checkpoint file lost once: in the end every order once, every reject once."""
    total = 40_000
    lines = [row(n) if n % 1000 else f"o{n},bad" for n in range(total)]
    file = write(tmp_path / "orders.csv", lines)
    rules = mapping(tmp_path / "m.yaml", ORDERS)
    for kills in range(3):
        before = checkpoints(settings)
        process = sada_import(settings, file, rules)
        await_checkpoint(settings, process, other_than=before)
        time.sleep(0.1 * kills)  # so that the kills fall into different parts of a chunk
        assert process.poll() is None
        process.kill()
        process.communicate()
        if kills == 1:
            for saved in (settings.var / "imports").glob("*.json"):
                saved.unlink()
    process = sada_import(settings, file, rules)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    found = read_all(settings, signals("file"), "signal")
    ids = [s["transaction"]["order_id"] for s in found]
    assert len(ids) == len(set(ids)) == total - total // 1000
    rejects = next((settings.var / "imports").glob("*.rejects.csv")).read_text().splitlines()
    assert len(rejects) == 1 + total // 1000
    assert report(settings)["rows"] == total


def test_ctrl_c_leaves_a_checkpoint(settings: Settings, tmp_path: Path) -> None:
    """SIGINT: exit 130, what was read is committed; the next run brings the rest."""
    file = write(tmp_path / "orders.csv", [row(n) for n in range(30_000)])
    rules = mapping(tmp_path / "m.yaml", ORDERS)
    process = sada_import(settings, file, rules)
    await_checkpoint(settings, process, other_than=[])
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == INTERRUPTED, errors.decode()
    state = report(settings)
    assert state["state"] == "interrupted"
    assert len(read_all(settings, signals("file"), "signal")) == state["signals"]
    assert run(settings, Options(file, rules), console=QUIET) == 0
    found = read_all(settings, signals("file"), "signal")
    assert (len(found), len({s["id"] for s in found})) == (30_000, 30_000)


def test_a_group_is_one_signal_or_none(settings: Settings, tmp_path: Path) -> None:
    """Lines become one order; an order with a broken line, or in two places, is rejected whole."""
    lines = [
        row(1),
        row(1, "sugar", "1.25", "1"),
        row(2),
        "o2,ragged",
        row(2, "milk"),
        row(3),
        row(1, "late"),
    ]
    file = write(tmp_path / "orders.csv", lines)
    assert run(settings, Options(file, mapping(tmp_path / "m.yaml", GROUPED)), console=QUIET) == 0
    found = {s["transaction"]["order_id"]: s["transaction"] for s in read_all(settings, signals("file"), "signal")}
    assert sorted(found) == ["o1", "o3"]
    assert found["o1"]["amount_minor"] == 900 + 125
    assert [item["item_id"] for item in found["o1"]["items"]] == ["tea", "sugar"]
    assert report(settings)["rejected_by_code"] == {"ragged": 1, "incomplete-group": 2, "split-group": 1}


def test_rejects_never_overwrite_what_is_imported(settings: Settings, tmp_path: Path) -> None:
    file = write(tmp_path / "orders.csv", [row(1), "o2,bad"])
    rules = mapping(tmp_path / "m.yaml", ORDERS)
    before = file.read_bytes()
    for target in (file, tmp_path / "x" / ".." / "orders.csv", rules):
        with pytest.raises(FileError, match="overwrite"):
            run(settings, Options(file, rules, rejects=target), console=QUIET)
    assert file.read_bytes() == before


def test_a_dry_run_writes_nothing(settings: Settings, tmp_path: Path) -> None:
    file = write(tmp_path / "orders.csv", [row(1), "o2,bad"])
    options = Options(file, mapping(tmp_path / "m.yaml", ORDERS), dry_run=True)
    assert run(settings, options, console=QUIET) == 0
    assert read_all(settings, signals("file"), "signal") == []
    assert not (settings.var / "imports").exists()
    assert (report(settings)["state"], report(settings)["signals"], report(settings)["rejected"]) == ("checked", 1, 1)
