"""Prometheus and Grafana configuration."""

import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.local import topology

DEPLOY = Path(__file__).parents[3] / "deploy"


@pytest.mark.parametrize("name", ["prometheus.yml", "local.yml"])
def test_promtool_accepts_it(name: str) -> None:
    checked = subprocess.run(
        ["promtool", "check", "config", DEPLOY / "prometheus" / name], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_the_local_targets_are_the_processes_of_up() -> None:
    (job,) = yaml.safe_load((DEPLOY / "prometheus" / "local.yml").read_text())["scrape_configs"]
    found = {target: group["labels"]["process"] for group in job["static_configs"] for target in group["targets"]}
    names = [row.name for row in topology.ROWS for _ in range(row.count)]
    assert found == {f"127.0.0.1:{topology.METRICS_PORTS_FROM + n}": name for n, name in enumerate(names)}


def test_the_composed_targets_are_its_services() -> None:
    (job,) = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert found["names"] == [row.name for row in topology.ROWS]
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert set(found["names"]) <= set(services)


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "sada.yaml").read_text())["providers"]
    grafana = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["grafana"]
    assert source["url"].removeprefix("$") in grafana["environment"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
