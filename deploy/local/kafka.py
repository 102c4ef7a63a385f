"""A real Apache Kafka on this machine: one KRaft node on the loopback interface, for trying, developing and testing."""

import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from deploy.local import jars
from deploy.local.processes import POLL_S, ProcessSpec, StackError, listening

_LOG4J = Path(__file__).with_name("log4j2.properties")

# 512 MB: 206 MB resident at start, 320 MB after ten million records. The serial collector and the first compiler only
# start in 2.5 s and leave both cores to the system under test.
JVM = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")

# Formatting writes two small files; most of the time is the start of the JVM.
_FORMAT_TIMEOUT_S = 60


def node(
    folder: Path,
    *,
    port: int,
    controller_port: int,
    cache: Path,
    settings: Mapping[str, str] | None = None,
    format_options: tuple[str, ...] = (),
) -> ProcessSpec:
    """Prepare a broker: jars fetched, settings written, storage formatted the first time.

    Parameters
    ----------
    folder : its state; kept between runs
    port, controller_port : loopback ports that are free
    cache : where the jars are kept
    settings : broker settings over ours
    format_options : more for the formatting of the storage, as first users

    Raises
    ------
    StackError
        when Java or Maven is missing, or formatting fails
    """
    java = jars.java()
    classpath = f"{jars.kafka_jars(cache)}/*"
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    values = {**_settings(folder, port, controller_port), **(settings or {})}
    properties.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    command = (java, *JVM, f"-Dlog4j2.configurationFile={_LOG4J}", "-cp", classpath)
    if not (folder / "log" / "meta.properties").exists():
        _format(command, properties, format_options)
    return ProcessSpec(
        name="kafka",
        args=(*command, "kafka.Kafka", str(properties)),
        ready=lambda: answers({"bootstrap.servers": f"127.0.0.1:{port}"}),
        start_timeout_s=90,  # after a kill the logs are checked first
        stop_grace_s=30,
    )


def answers(connection: Mapping[str, object], *, timeout_s: float = 2.0) -> bool:
    """Say whether a broker is a member of its cluster and answers a metadata request.

    Parameters
    ----------
    connection : the connection part of a confluent-kafka configuration
    """
    from confluent_kafka import KafkaException  # noqa: PLC0415 - 60 ms that `sada --help` need not spend
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415

    host, _, port = str(connection["bootstrap.servers"]).partition(",")[0].rpartition(":")
    if host == "127.0.0.1" and not listening(int(port)):
        return False  # librdkafka would print its complaint
    try:
        # log_level 0: what we wait for is no error to show
        admin = AdminClient({**connection, "log_level": 0})
        return bool(admin.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return False


def await_answer(connection: Mapping[str, object], *, timeout_s: float) -> None:
    """Wait for a Kafka that is not ours.

    Raises
    ------
    StackError
        when it does not answer in time
    """
    deadline = time.monotonic() + timeout_s
    while not answers(connection):
        if time.monotonic() > deadline:
            raise StackError(
                f"No Kafka answers at {connection['bootstrap.servers']} (SADA_KAFKA). Is it running and reachable from "
                "here, and do SADA_KAFKA_SECURITY, _USER, _PASSWORD and _CA fit it?"
            )
        time.sleep(POLL_S)


def _format(command: tuple[str, ...], properties: Path, options: tuple[str, ...]) -> None:
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    result = subprocess.run(
        [*command, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(properties), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_FORMAT_TIMEOUT_S,
    )
    if result.returncode != 0:
        raise StackError(f"Kafka's storage could not be formatted ({properties}); it said:\n{result.stdout[-4000:]}")


def _settings(folder: Path, port: int, controller_port: int) -> dict[str, str]:
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(folder / "log"),
        # Topics are made by `sada topics` alone: a misspelt name must fail.
        "auto.create.topics.enable": "false",
        # One node holds one replica; few partitions start faster than the default 50.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        # The default waits 3 s for further members; sessions shorter than 6 s let tests see a failover soon.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # A broker that was killed may come back only when its old registration has ended: 3 s, not 9.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # A week of signals; 128 MB segments, since a compacted topic's last segment is never compacted.
        "log.retention.hours": "168",
        "log.segment.bytes": str(128 << 20),
        # 1 MB of index serves 512 MB of log; the default reserves 10 MB for each of hundreds of partitions.
        "log.index.size.max.bytes": str(1 << 20),
        # 600,000 keys per cleaning pass; the default takes 128 MB of our 512.
        "log.cleaner.dedupe.buffer.size": str(16 << 20),
        "num.network.threads": "2",
        "num.io.threads": "4",
    }
