"""The rights in deploy/kubernetes/base/users.yaml, on a real broker with TLS, SCRAM and an authorizer.

All of Sada runs with them, each process as its own user, and does its work; and none may do another's.
"""

import base64
import contextlib
import dataclasses
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from deploy.local import jars, kafka, keys, topology
from deploy.local.processes import ProcessSpec, StackError, free_port, run_to_end, running
from deploy.local.services import redis_running
from deploy.local.supervisor import Supervisor

USERS = Path(kafka.__file__).parents[1] / "kubernetes" / "base" / "users.yaml"
PASSWORD = "of-nobody-else"

_RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactionalId": ResourceType.TRANSACTIONAL_ID,
}
_PATTERNS = {"literal": ResourcePatternType.LITERAL, "prefix": ResourcePatternType.PREFIXED}
_OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Delete": AclOperation.DELETE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}


@dataclasses.dataclass(frozen=True)
class SecuredKafka:
    """Where it is and how to reach it."""

    bootstrap: str
    ca: Path

    def settings(self, user: str, password: str = PASSWORD) -> dict[str, str]:
        """Return what tells a process of Sada to come as a user."""
        return {
            "SADA_KAFKA": self.bootstrap,
            "SADA_KAFKA_SECURITY": "SASL_SSL",
            "SADA_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "SADA_KAFKA_CA": str(self.ca),
            "SADA_KAFKA_USER": user,
            "SADA_KAFKA_PASSWORD": password,
        }

    def connection(self, user: str, password: str = PASSWORD) -> dict[str, str]:
        """Return the connection part of a confluent-kafka configuration."""
        return {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": password,
            "ssl.ca.location": str(self.ca),
        }


@contextlib.contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """Run the broker with an administrator and the users of the manifests."""
    certificate, keystore = _certificate(folder)
    port, controller_port = free_port(), free_port()
    found = SecuredKafka(f"127.0.0.1:{port}", certificate)
    spec = kafka.node(
        folder / "kafka",
        port=port,
        controller_port=controller_port,
        cache=jars.cache_folder(folder / "cache"),
        settings=_settings(port, controller_port, keystore),
        format_options=("--add-scram", f"SCRAM-SHA-512=[name=admin,password={PASSWORD}]"),
    )
    administrator = found.connection("admin")
    spec = dataclasses.replace(spec, ready=lambda: kafka.answers(administrator))
    with running(spec, folder / "kafka.log"):
        _make_users(AdminClient(dict(administrator)))
        yield found


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate that is its own authority; return it, and a PEM keystore with its key."""
    key, certificate, keystore = (folder / name for name in ("key.pem", "ca.pem", "keystore.pem"))
    folder.mkdir(parents=True, exist_ok=True)
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=kafka"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    keystore.write_bytes(key.read_bytes() + certificate.read_bytes())
    return certificate, keystore


def _settings(port: int, controller_port: int, keystore: Path) -> dict[str, str]:
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return {
        "listeners": f"SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"SASL_SSL://127.0.0.1:{port}",
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "SASL_SSL",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            f'{module} required username="admin" password="{PASSWORD}";'
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(keystore.with_name("ca.pem")),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # The controller's own listener has no names.
        "super.users": "User:admin;User:ANONYMOUS",
    }


def _make_users(admin: AdminClient) -> None:
    bindings = []
    credentials = []
    for user in yaml.safe_load_all(USERS.read_text()):
        name = user["metadata"]["name"]
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        credentials.append(UserScramCredentialUpsertion(name, info, PASSWORD.encode()))
        for acl in user["spec"]["authorization"]["acls"]:
            rule = acl["resource"]
            place = (_RESOURCES[rule["type"]], rule["name"], _PATTERNS[rule["patternType"]], f"User:{name}", "*")
            bindings += [
                AclBinding(*place, _OPERATIONS[operation], AclPermissionType.ALLOW) for operation in acl["operations"]
            ]
    for future in (*admin.alter_user_scram_credentials(credentials).values(), *admin.create_acls(bindings).values()):
        future.result()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    folder = tmp_path_factory.mktemp("secured")
    with secured_kafka(folder) as found:
        topics = ProcessSpec("topics", topology.sada("topics"), lambda: True, env=found.settings("admin"))
        run_to_end(topics, folder / "topics.log")
        yield found


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_every_process_does_its_work_as_its_own_user(secured: SecuredKafka, tmp_path: Path) -> None:
    """From a signal at the gateway to the profile in Kafka. A Redis of its own: the names in it have no prefix."""
    made = keys.load_or_make(tmp_path / "secrets.json")
    port = free_port()
    rows = topology.with_workers(1)
    with redis_running(tmp_path) as redis_url, topology.PortClaims() as claims:
        settings = {
            **topology.addresses(kafka=secured.bootstrap, redis=redis_url, gateway_port=port, var=str(tmp_path)),
            **topology.secrets(made),
        }
        specs = [
            dataclasses.replace(spec, env={**spec.env, **secured.settings(f"sada-{spec.name}")})
            for spec in topology.specs(rows, settings, topology.metrics_ports(rows, claims))
        ]
        supervisor = Supervisor(tmp_path / "logs", print)
        try:
            supervisor.start(specs)
            track(port, made.write_key)
            assert profile_appears(secured)
        finally:
            supervisor.stop()
    lines = [line for log in (tmp_path / "logs").glob("*.log") for line in log.read_text().splitlines()]
    assert [line for line in lines if "uthorization failed" in line] == []


def track(port: int, write_key: str) -> None:
    """Send a signal as an SDK does."""
    event = json.dumps({"type": "track", "userId": "u-1", "event": "Looked Around", "messageId": "m-1"}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/track", data=event)
    request.add_header("Authorization", "Basic " + base64.b64encode(f"{write_key}:".encode()).decode())
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - as above
        assert answer.status == 200


def profile_appears(secured: SecuredKafka, *, within_s: float = 60) -> bool:
    """Say whether a golden record comes out."""
    settings = {"group.id": "test", "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
    consumer = Consumer({**secured.connection("admin"), **settings})
    consumer.subscribe(["profiles"])
    deadline = time.monotonic() + within_s
    try:
        while time.monotonic() < deadline:
            message = consumer.poll(1)
            if message is not None and message.error() is None:
                return True
        return False
    finally:
        consumer.close()


def produce(secured: SecuredKafka, user: str, topic: str) -> KafkaError | None:
    """Write a record as a user; return what the broker said against it."""
    errors: list[KafkaError | None] = []
    producer = Producer({**secured.connection(user), "message.timeout.ms": 10_000, "log_level": 0})
    producer.produce(topic, b"x", on_delivery=lambda error, _: errors.append(error))
    producer.flush(15)
    return errors[0]


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        ("sada-gateway", "profiles"),
        ("sada-gateway", "customers.inbox"),
        ("sada-gateway", "models"),
        ("sada-deliver", "actions.email"),
        ("sada-deliver", "models"),
        ("sada-serve", "profiles"),
        ("sada-worker", "catalogue"),
    ],
)
def test_nobody_writes_what_is_not_theirs(secured: SecuredKafka, user: str, topic: str) -> None:
    """Who takes over the gateway cannot forge a model, a profile, or a message between customers."""
    error = produce(secured, user, topic)
    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_theirs_they_write(secured: SecuredKafka) -> None:
    """The other tests fail for the right reason."""
    assert produce(secured, "sada-gateway", "dead-letters") is None


def test_a_foreign_transaction_cannot_be_fenced(secured: SecuredKafka) -> None:
    """Only workers take the lane's transactional ids: another could throw a worker out."""
    producer = Producer({**secured.connection("sada-gateway"), "transactional.id": "sada-customers-0", "log_level": 0})
    with pytest.raises(KafkaException) as caught:
        producer.init_transactions(15)
    assert caught.value.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


def test_a_wrong_password_is_told_with_what_to_look_at(secured: SecuredKafka) -> None:
    with pytest.raises(
        StackError, match=r"No Kafka answers at 127.0.0.1:\d+ .*SADA_KAFKA_SECURITY, _USER, _PASSWORD"
    ) as e:
        kafka.await_answer(secured.connection("sada-worker", "not-this"), timeout_s=1)
    assert "not-this" not in str(e.value)


def test_an_unknown_authority_is_no_answer(secured: SecuredKafka, tmp_path: Path) -> None:
    """Nobody between us and the broker passes for it."""
    stranger, _ = _certificate(tmp_path)
    assert kafka.answers(secured.connection("admin"))
    assert not kafka.answers({**secured.connection("admin"), "ssl.ca.location": str(stranger)})
