"""Alert rules and the board, against a real Prometheus that really scrapes the metrics of the code."""

import json
import re
import runpy
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.rules.yml"))
CASES = sorted((Path(__file__).parent / "prometheus").glob("*.test.yml"))
BOARD = ROOT / "deploy/grafana/dashboards/sada.json"
EXHIBIT = Path(__file__).parent / "prometheus/exhibit.py"

# What names a metric in an expression, once strings and label lists are taken out.
_NAME = re.compile(r"\b(?:sada[_:]|kafka_|model:|origin:|process_|up\b)[\w:]*")
_SELECTOR = re.compile(r"\b[a-z_:]+\{[^}]*\}")
_LABELS = re.compile(r"\b(?:by|on|group_left|group_right|ignoring|without) \(([^)]*)\)")
# Two scrapes for rate(), and an evaluation of rules that build upon rules: a second each; more on a busy machine.
WITHIN_S = 90.0
# Importing everything that makes metrics and starting Prometheus: 10 s, and a minute where all cores are busy.
pytestmark = pytest.mark.timeout(240)


def groups() -> list[dict[str, Any]]:
    return [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for group in groups() for rule in group["rules"] if "alert" in rule]


def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(BOARD.read_text())
    return found


def panels() -> list[tuple[str, str]]:
    """Return each expression of the board, with its panel's title."""
    return [(panel["title"], target["expr"]) for panel in board()["panels"] for target in panel.get("targets", ())]


def names_of(expression: str) -> set[str]:
    """Return the metrics that an expression reads."""
    bare = re.sub(r"\{[^}]*\}", "", re.sub(r'"[^"]*"', "", _LABELS.sub("", expression)))
    return set(_NAME.findall(bare))


def promtool(*arguments: str | Path, page: bytes | None = None) -> None:
    """Run promtool; what it complains of is the test's failure."""
    ran = subprocess.run(["promtool", *map(str, arguments)], input=page, capture_output=True, check=False)
    assert ran.returncode == 0, (ran.stdout + ran.stderr).decode()


@pytest.fixture(scope="module")
def exhibit() -> Iterator[str]:
    """Address of a process that shows every metric of the code."""
    process = subprocess.Popen(
        [sys.executable, str(EXHIBIT)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(10)


class Prometheus:
    """A running Prometheus.

    Parameters
    ----------
    url : its address
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, **parameters: str) -> Any:
        """Return what its API answers; an expression that it cannot read raises HTTPError."""
        url = f"{self._url}/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - http, to the server started above
            return json.load(answer)["data"]

    def value(self, expression: str) -> list[Any]:
        """Return the samples of an expression."""
        found: list[Any] = self.ask("api/v1/query", query=expression)["result"]
        return found

    def names(self) -> set[str]:
        """Return the names of all series."""
        return set(self.ask("api/v1/label/__name__/values"))


@pytest.fixture(scope="module")
def prometheus(exhibit: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus with our rules that has scraped the exhibit twice and evaluated what it recorded."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in RULES],
        "scrape_configs": [
            {"job_name": "sada", "static_configs": [{"targets": [exhibit], "labels": {"process": "worker"}}]}
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        server = Prometheus(f"http://{address}")
        _wait(server, process, folder / "log")
        yield server
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder)


def _wait(server: Prometheus, process: "subprocess.Popen[bytes]", log: Path) -> None:
    recorded = {rule["record"] for group in groups() for rule in group["rules"] if "record" in rule}
    until = time.monotonic() + WITHIN_S
    missing = recorded
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            missing = recorded - server.names()
        except OSError:
            missing = recorded
        if not missing:
            return
        time.sleep(0.5)
    pytest.fail(f"not recorded within {WITHIN_S:.0f} s: {sorted(missing)}\n{log.read_text()[-3000:]}")


def test_metrics_keep_the_conventions(exhibit: str) -> None:
    """Names, units, help: as ``promtool check metrics`` wants them."""
    with urllib.request.urlopen(f"http://{exhibit}/metrics", timeout=10) as answer:
        page = answer.read()
    assert b"kafka_consumergroup_lag{" in page
    promtool("check", "metrics", page=page)


def test_rules_and_configurations_are_valid() -> None:
    promtool("check", "rules", *RULES)
    for path in sorted((ROOT / "deploy/prometheus").glob("*.yml")):
        promtool("check", "config", path)


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_alerts_fire_when_they_should_and_not_else(case: Path) -> None:
    promtool("test", "rules", case)


def test_every_alert_is_explained_and_tested() -> None:
    """Each says what is wrong and what to do, how urgent it is, and has a moment where it fires and one where not."""
    fires: set[str] = set()
    silent: set[str] = set()
    everything = {alert["alert"] for alert in alerts()}
    loaded: Mapping[str, set[str]] = {
        path.name: {
            rule["alert"]
            for group in yaml.safe_load(path.read_text())["groups"]
            for rule in group["rules"]
            if "alert" in rule
        }
        for path in RULES
    }
    for path in CASES:
        case = yaml.safe_load(path.read_text())
        here = set().union(*(loaded[Path(rule).name] for rule in case["rule_files"]))
        for moment in (moment for test in case["tests"] for moment in test["promql_expr_test"]):
            if 'ALERTS{alertstate="firing"' in moment["expr"]:
                found = set(re.findall(r'alertname="(\w+)"', str(moment["exp_samples"])))
                fires |= found
                silent |= here - found
    assert fires == everything
    assert silent == everything
    for alert in alerts():
        assert alert["labels"]["severity"] in {"page", "ticket"}, alert["alert"]
        assert len(alert["annotations"]["summary"]) > 20, alert["alert"]
        assert len(alert["annotations"]["description"]) > 80, alert["alert"]


@pytest.mark.parametrize(("title", "expression"), panels())
def test_every_panel_shows_something(prometheus: Prometheus, title: str, expression: str) -> None:
    """Each expression of the board is valid and finds series, so that no panel is empty for a wrong name or label."""
    found = prometheus.value(expression.replace("$__rate_interval", "1m"))
    assert found, f"{title}: nothing for {expression}"


def test_a_wrong_name_or_label_would_be_found(prometheus: Prometheus) -> None:
    assert not prometheus.value("sum(rate(sada_signal_total[1m]))")
    assert not prometheus.value('sada_deliveries_total{event="sent"}')


def test_rules_read_what_there_is(prometheus: Prometheus) -> None:
    """Every metric, selector and label of the rules exists."""
    names, labels = prometheus.names(), set(prometheus.ask("api/v1/labels"))
    for rule in (rule for group in groups() for rule in group["rules"]):
        expression = rule["expr"]
        assert names_of(expression), expression
        assert not names_of(expression) - names, expression
        asked = {label.strip() for found in _LABELS.findall(expression) for label in found.split(",")} - {""}
        assert not asked - labels, expression
        for selector in _SELECTOR.findall(expression):
            if not selector.startswith("up{"):
                assert prometheus.value(selector), selector


def test_every_metric_is_shown_or_watched(prometheus: Prometheus) -> None:
    """What is counted and never looked at costs memory and misleads."""
    used: set[str] = set()
    for expression in [expression for _, expression in panels()] + [alert["expr"] for alert in alerts()]:
        used |= names_of(expression)
    for group in groups():
        for rule in group["rules"]:
            if rule.get("record") in used:
                used |= names_of(rule["expr"])
    types = prometheus.ask("api/v1/metadata")
    ours = {name for name in types if name.startswith(("sada_", "kafka_")) and not name.endswith("_created")}
    assert len(ours) > 50
    series = {name: f"{name}_bucket" if types[name][0]["type"] == "histogram" else name for name in ours}
    assert not {name for name in ours if series[name] not in used}


def test_label_values_are_those_of_the_code() -> None:
    """What rules and board match is said in the code: an event that is renamed must not go on passing here."""
    values: dict[str, tuple[str, ...]] = runpy.run_path(str(EXHIBIT), run_name="exhibit")["VALUES"]
    code = "\n".join(path.read_text() for part in ("streams", "connectors") for path in (ROOT / part).rglob("*.py"))
    for label, some in values.items():
        for value in some:
            said = f"{value}," if label == "status" else f'"{value}"'
            assert said in code, (label, value)
