"""Compose file and Dockerfile, by their structure: no Docker daemon runs where these tests do."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local import kafka
from streams.cli import COMMANDS
from streams.settings import Settings

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("sada:")}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
KNOWN = {f"SADA_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert {"mem_limit", "cpus", "pids_limit"} <= set(service)
    assert service["logging"]["options"]["max-size"]
    assert not service.get("privileged")


@pytest.mark.parametrize("name", OURS)
def test_ours_are_read_only_and_called_by_known_commands(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert " ".join(service["command"]) in {command.words for command in COMMANDS}
    assert set(service["environment"]) <= KNOWN


def test_all_processes_of_sada_run() -> None:
    assert set(OURS) == {"topics", "gateway", "worker", "deliver", "serve"}


def test_what_runs_for_ever_is_started_again() -> None:
    assert {name for name, service in SERVICES.items() if service["restart"] != "unless-stopped"} == {"topics"}


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_kafka_and_redis_are_reached_from_inside_alone() -> None:
    assert COMPOSE["networks"]["inside"]["internal"] is True
    for name in ("kafka", "redis"):
        assert SERVICES[name]["networks"] == ["inside"]
        assert "ports" not in SERVICES[name]


def test_images_are_pinned() -> None:
    images = [service["image"] for service in SERVICES.values()] + re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert all(":" in image and not image.endswith(":latest") for image in images), images


def test_the_broker_is_set_up_like_the_local_one(tmp_path: Path) -> None:
    local = kafka._settings(tmp_path, 1, 2)
    theirs = SERVICES["kafka"]["environment"]
    named = {name: theirs.get("KAFKA_" + name.upper().replace(".", "_")) for name in local}
    shared = {name for name, value in named.items() if value is not None}
    elsewhere = {
        "controller.quorum.voters",
        "listeners",
        "advertised.listeners",
        "listener.security.protocol.map",
        "log.dirs",
    }
    assert {name for name in shared - elsewhere if named[name] != local[name]} == set()
    assert {"auto.create.topics.enable", "transaction.state.log.min.isr"} <= shared


def test_every_secret_is_asked_for_and_explained() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    asked = set(re.findall(r"\$\{(\w+):\?", text))
    explained = set(re.findall(r"^#?(\w+)=", (DEPLOY / "compose.env.example").read_text(), re.MULTILINE))
    secrets = {"SADA_NODE_KEY", "SADA_SNAPSHOT_KEY", "SADA_SEAL_KEY", "SADA_INBOX_SECRET", "SADA_REDIS_PASSWORD"}
    assert secrets <= asked <= explained


def test_mounts_exist() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = re.sub(r"\$\{\w+:-(.+?)\}", r"\1", volume).partition(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], volume


def test_the_image_runs_as_nobody() -> None:
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)[-1] == "10001:10001"


def test_the_image_copies_what_is_there_and_not_ignored() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert "*" in ignored
    sources = [
        part for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for part in line.split()
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in kept, source


def test_the_image_holds_every_part() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for part in packages["packages"]:
        assert f"\nCOPY {part} {part}\n" in DOCKERFILE


def test_the_image_sets_known_settings() -> None:
    assert set(re.findall(r"(SADA_\w+)=", DOCKERFILE)) <= KNOWN


def test_every_process_shows_its_metrics_where_the_image_says() -> None:
    """On loopback no probe and no Prometheus would reach them from outside the container."""
    calls = [
        ast.unparse(node)
        for part in ("streams", "connectors")
        for path in (ROOT / part).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("metrics.serve", "metrics.serve_in_thread")
    ]
    assert len(calls) == len(OURS) - 1  # all but `sada topics`
    assert [call for call in calls if "host=settings.metrics_host" not in call] == []


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][\w.-]*)==(\S+)", lock.read_text(), re.MULTILINE))


def test_the_image_has_the_tested_versions() -> None:
    """What runs in production is what the tests ran with."""
    assert pins(DEPLOY / "requirements.lock").items() <= pins(ROOT / "requirements.lock").items()


def test_the_image_has_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["rocksdb"], *extras["parquet"]]
    names = {re.split(r"[\[<>=~!; ]", line)[0].lower() for line in wanted}
    # A dot in a name is a dash in a lock.
    assert {name.replace(".", "-") for name in names} <= set(pins(DEPLOY / "requirements.lock"))


@pytest.mark.parametrize("lock", ["requirements.lock", "deploy/requirements.lock", "deploy/local/build.lock"])
def test_locks_hold_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    for entry in re.split(r"\n(?=[a-z0-9])", text)[1:]:
        assert "--hash=sha256:" in entry, entry
