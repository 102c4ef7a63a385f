"""The Kubernetes manifests, by their structure: no cluster runs where these tests do."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.privacy.theirs import Theirs
from deploy.kubernetes import topics
from schemas.codecs import Codecs
from schemas.identifiers import Hasher
from schemas.identity_rules import IdentityRules
from schemas.topics import TOPICS
from streams.cli import COMMANDS
from streams.settings import Settings

FOLDER = Path(topics.__file__).parent
BASE = FOLDER / "base"
KNOWN = {f"SADA_{name.upper()}" for name in Settings.model_fields}

Resource = dict[str, Any]


def read(path: Path) -> list[Resource]:
    return [resource for resource in yaml.safe_load_all(path.read_text()) if resource]


KUSTOMIZATION = read(BASE / "kustomization.yaml")[0]
RESOURCES = [resource for name in KUSTOMIZATION["resources"] for resource in read(BASE / name)]


def of_kind(kind: str) -> dict[str, Resource]:
    return {resource["metadata"]["name"]: resource for resource in RESOURCES if resource["kind"] == kind}


WORKLOADS = of_kind("Deployment")
SETTINGS = of_kind("ConfigMap")["sada-settings"]["data"]


def container(name: str) -> Resource:
    (found,) = WORKLOADS[name]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_topics_are_those_of_the_table() -> None:
    """Made anew by `python -m deploy.kubernetes.topics > deploy/kubernetes/base/topics.yaml`."""
    assert (BASE / "topics.yaml").read_text() == topics.manifest()


def test_every_file_of_the_base_is_used() -> None:
    assert {path.name for path in BASE.iterdir()} == {"kustomization.yaml", *KUSTOMIZATION["resources"]}


def test_names_are_unique() -> None:
    names = [(resource["kind"], resource["metadata"]["name"]) for resource in RESOURCES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", WORKLOADS)
def test_pods_fit_the_restricted_standard(name: str) -> None:
    pod = WORKLOADS[name]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} <= set(container(name)["resources"])


@pytest.mark.parametrize("name", WORKLOADS)
def test_pods_run_a_command_with_known_settings(name: str) -> None:
    assert f"sada-{' '.join(container(name)['args'])}" == name
    assert container(name)["args"][0] in {command.words for command in COMMANDS}
    assert {entry["name"] for entry in container(name)["env"]} <= KNOWN


def test_settings_are_known_and_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(SETTINGS) <= KNOWN
    for variable, value in SETTINGS.items():
        monkeypatch.setenv(variable, value)
    assert Settings().partitions == topics.PARTITIONS


@pytest.mark.parametrize("name", WORKLOADS)
def test_liveness_and_readiness_are_asked_apart(name: str) -> None:
    assert container(name)["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container(name)["readinessProbe"]["httpGet"]["path"] == "/readyz"
    ports = {port["name"]: port["containerPort"] for port in container(name)["ports"]}
    assert ports["metrics"] == 9400


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_has_its_own_kafka_user(name: str) -> None:
    env = {entry["name"]: entry for entry in container(name)["env"]}
    assert env["SADA_KAFKA_USER"]["value"] == name
    assert env["SADA_KAFKA_PASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": name, "key": "password"}
    assert name in of_kind("KafkaUser")


SECRETS = {
    "sada-gateway": {"SADA_NODE_KEY", "SADA_INBOX_SECRET", "SADA_REDIS"},
    "sada-worker": {"SADA_NODE_KEY", "SADA_SNAPSHOT_KEY", "SADA_SEAL_KEY", "SADA_SEAL_KEY_BEFORE"},
    "sada-deliver": {"SADA_INBOX_SECRET", "SADA_REDIS"},
    "sada-serve": {"SADA_NODE_KEY", "SADA_REDIS"},
}


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_has_the_secrets_it_needs_and_no_other(name: str) -> None:
    """Who takes over the delivery process cannot sign a model."""
    spec = container(name)
    given = {
        entry["name"]
        for entry in spec["env"]
        if entry.get("valueFrom", {}).get("secretKeyRef", {}).get("name") == "sada"
    }
    assert given == SECRETS[name]
    sources = [source["secretRef"]["name"] for source in spec["envFrom"] if "secretRef" in source]
    assert sources == (["sada-channels"] if name == "sada-deliver" else [])


@pytest.mark.parametrize("name", WORKLOADS)
def test_selectors_find_their_pods(name: str) -> None:
    spec = WORKLOADS[name]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert of_kind("PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_policies_and_monitors_find_the_pods() -> None:
    """They select by a label that Kustomize adds: to the templates too, or they select nothing."""
    (labels,) = KUSTOMIZATION["labels"]
    assert labels["includeTemplates"] is True
    wanted = [
        of_kind("NetworkPolicy")["sada-default"]["spec"]["podSelector"],
        of_kind("PodMonitor")["sada"]["spec"]["selector"],
    ]
    assert all(selector["matchLabels"] == labels["pairs"] for selector in wanted)


def test_mounted_volumes_are_declared() -> None:
    for name, workload in WORKLOADS.items():
        declared = {volume["name"] for volume in workload["spec"]["template"]["spec"]["volumes"]}
        assert {mount["name"] for mount in container(name)["volumeMounts"]} == declared


def test_scaling_stops_at_the_partitions() -> None:
    worker = of_kind("ScaledObject")["sada-worker"]["spec"]
    assert worker["maxReplicaCount"] == topics.PARTITIONS
    assert worker["triggers"][0]["metadata"]["consumerGroup"] == Settings.model_fields["app"].default


@pytest.mark.parametrize("name", of_kind("ScaledObject"))
def test_scaled_objects_have_targets_and_credentials(name: str) -> None:
    spec = of_kind("ScaledObject")[name]["spec"]
    assert spec["scaleTargetRef"]["name"] in WORKLOADS
    assert "replicas" not in WORKLOADS[name]["spec"], "two would count the pods"
    for trigger in spec["triggers"]:
        assert trigger["authenticationRef"]["name"] in of_kind("TriggerAuthentication")
        assert trigger["metadata"].get("topic", "actions.email") in TOPICS
        assert trigger["metadata"]["bootstrapServers"] == SETTINGS["SADA_KAFKA"]


def rights(name: str, operation: str) -> set[str]:
    """Return the topics on which a user may do something."""
    acls = of_kind("KafkaUser")[name]["spec"]["authorization"]["acls"]
    found = set()
    for acl in acls:
        rule = acl["resource"]
        if rule["type"] == "topic" and operation in acl["operations"]:
            fits = str.startswith if rule["patternType"] == "prefix" else str.__eq__
            matching = {topic for topic in TOPICS if fits(topic, rule["name"])}
            assert matching, f"{rule['name']} is no topic"
            found |= matching
    return found


def test_rights_on_topics_are_the_least() -> None:
    """Only the worker writes state; serve writes nothing; deliver cannot read signals."""
    state = {"profiles", "identities", "customers-changelog", "customers-vault", "learners-changelog", "models"}
    assert state <= rights("sada-worker", "Write")
    doors = {topic for topic in TOPICS if topic.startswith("signals.")} | {"dead-letters", "rulings"}
    assert rights("sada-gateway", "Write") <= doors
    assert rights("sada-serve", "Write") == set()
    assert not any(topic.startswith("signals.") for topic in rights("sada-deliver", "Read"))
    assert rights("sada-gateway", "Read") == {"generations"}


def test_rights_suffice_for_the_loop() -> None:
    signals = {topic for topic in TOPICS if topic.startswith("signals.")}
    actions = {topic for topic in TOPICS if topic.startswith("actions.")}
    assert signals <= rights("sada-gateway", "Write") & rights("sada-worker", "Read")
    assert actions <= rights("sada-worker", "Write") & rights("sada-deliver", "Read")
    assert "signals.outcome" in rights("sada-deliver", "Write")
    assert "rulings" in rights("sada-gateway", "Write") & rights("sada-worker", "Read")
    assert {"profiles", "identities", "rulings", "merges"} <= rights("sada-serve", "Read")
    nobody = {"members": [], "customer": "00" * 16}
    exported = Theirs(nobody, Codecs(str), Hasher(b"k" * 32), IdentityRules()).topics
    assert exported.keys() <= rights("sada-serve", "Read"), "an export reads them all"
    assert all("generations" in rights(name, "Read") for name in WORKLOADS)
    written_or_read = set.union(*(rights(name, "Write") | rights(name, "Read") for name in WORKLOADS))
    assert written_or_read == set(TOPICS)


def test_the_example_patches_what_is_there() -> None:
    """Kustomize would refuse a path that does not exist; here without Kustomize."""
    for patch in read(FOLDER / "example" / "kustomization.yaml")[0]["patches"]:
        target = patch["target"]
        for operation in yaml.safe_load(patch["patch"]):
            if operation["op"] != "replace":
                continue
            found = [
                resource
                for resource in RESOURCES
                if target.get("kind", resource["kind"]) == resource["kind"]
                and target.get("name", resource["metadata"]["name"]) == resource["metadata"]["name"]
                and resource["apiVersion"].startswith(target.get("group", ""))
            ]
            assert found
            for resource in found:
                place: Any = resource
                for step in operation["path"].strip("/").split("/"):
                    place = place[int(step) if step.isdigit() else step.replace("~1", "/")]
                assert isinstance(place, str)
