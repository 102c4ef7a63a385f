"""Parts of `sada up` that need no Kafka."""

import socket
import sys
from pathlib import Path

import pytest

from deploy.local import topology, up
from deploy.local.keys import Keys
from deploy.local.processes import StackError
from deploy.local.up import Options, Plan

PLAN = Plan(brokers=(), settings={}, rows=(), ports={}, keys=Keys(node_key="00"))


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that gets a line for each catalogue published; publishing `bad` fails."""
    log = tmp_path / "published"
    log.touch()
    code = (
        "import pathlib, sys; text = pathlib.Path(sys.argv[3]).read_text()\n"
        f"open({str(log)!r}, 'a').write(text + '\\n'); sys.exit(text == 'bad')"
    )
    monkeypatch.setattr(topology, "sada", lambda *words: (sys.executable, "-c", code, *words))
    return log


def publish(folder: Path, content: str) -> None:
    file = folder / "catalogue.yaml"
    file.write_text(content)
    up._publish_catalogue(Options(var=folder / "var"), PLAN, file, lambda: None)


def test_a_catalogue_is_published_when_new_or_changed(tmp_path: Path, published: Path) -> None:
    """What was published by hand since is not undone by a restart."""
    for content in ("one", "one", "two", "two"):
        publish(tmp_path, content)
    assert published.read_text().split() == ["one", "two"]


def test_a_refused_catalogue_ends_the_start_and_is_tried_again(tmp_path: Path, published: Path) -> None:
    for _ in range(2):
        with pytest.raises(StackError, match="catalogue failed with exit code 1"):
            publish(tmp_path, "bad")
    assert published.read_text().split() == ["bad", "bad"]


def test_a_missing_catalogue_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"The catalogue .*nowhere\.yaml cannot be read: No such file"):
        up._publish_catalogue(Options(var=tmp_path), PLAN, tmp_path / "nowhere.yaml", lambda: None)


def test_workers_are_as_many_as_wished() -> None:
    with topology.PortClaims() as claims:
        ports = topology.metrics_ports(topology.with_workers(3), claims)
    assert list(ports) == ["gateway", "worker-1", "worker-2", "worker-3", "deliver", "serve"]
    assert len(set(ports.values())) == len(ports)


def test_two_stacks_that_start_at_once_choose_different_ports() -> None:
    """Neither listens yet when the other chooses."""
    with topology.PortClaims() as one, topology.PortClaims() as other:
        ports = topology.metrics_ports(topology.ROWS, one)
        assert not set(ports.values()) & set(topology.metrics_ports(topology.ROWS, other).values())
        for port in ports.values():
            with socket.create_server(("127.0.0.1", port)):  # what is claimed is free for its process
                assert not other.take(port)
    with topology.PortClaims() as later:
        assert later.take(ports["gateway"])


def test_each_process_is_told_its_own_metrics_port() -> None:
    rows = topology.ROWS
    with topology.PortClaims() as claims:
        ports = topology.metrics_ports(rows, claims)
    specs = topology.specs(rows, {"SADA_KAFKA": "k"}, ports)
    assert {spec.name: spec.env["SADA_METRICS_PORT"] for spec in specs} == {n: str(p) for n, p in ports.items()}
    assert all(spec.env["SADA_KAFKA"] == "k" for spec in specs)


def test_a_health_page_that_is_not_there_is_no_answer() -> None:
    assert not topology.says_yes(1, "/readyz")()
