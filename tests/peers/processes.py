"""Sada's own processes for tests, each started by its command, and what lies in the topics that they write."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from deploy.local.processes import ProcessSpec, await_ready, free_port, spawn, stop, terminate
from deploy.local.topology import sada, says_yes
from tests.peers.gateway import NODE_KEY, PARTITIONS

# As `sada up` waits: a worker imports for some 9 s of CPU, and the machine may be busy with others.
_START_S = 180.0


class Raw(NamedTuple):
    """A record as it lies in the topic."""

    key: bytes | None
    value: bytes | None
    partition: int
    offset: int


def environment(kafka: str, redis: str, prefix: str, folder: Path, **settings: str) -> dict[str, str]:
    """Return the settings of every process of a test's deployment."""
    return {
        "SADA_KAFKA": kafka,
        "SADA_REDIS": redis,
        "SADA_TOPIC_PREFIX": prefix,
        "SADA_VAR": str(folder),
        "SADA_PARTITIONS": str(PARTITIONS),
        "SADA_NODE_KEY": NODE_KEY,
        "SADA_SNAPSHOT_KEY": NODE_KEY,
        "SADA_SEAL_KEY": NODE_KEY,
        **settings,
    }


@contextlib.contextmanager
def started(env: Mapping[str, str], folder: Path, *commands: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run Sada's commands, started together, while the block runs: each is ready at its start.

    The second of one name writes its log to ``<name>-2.log``.
    """
    children = []
    try:
        for place, command in enumerate(commands):
            port = free_port()
            spec = ProcessSpec(
                name=command,
                args=sada(command),
                ready=says_yes(port, "/readyz"),
                env={**env, "SADA_METRICS_PORT": str(port)},
                start_timeout_s=_START_S,
            )
            same = commands[:place].count(command)
            log = folder / (f"{command}-{same + 1}.log" if same else f"{command}.log")
            children.append((spec, spawn(spec, log), log))
        for child in children:
            await_ready(*child)
        yield [process for _, process, _ in children]
    finally:
        for _, process, _ in children:
            terminate(process)
        for spec, process, _ in children:
            stop(process, spec.stop_grace_s)


def records(
    kafka: str,
    topic: str,
    enough: Callable[[list[Raw]], bool],
    *,
    timeout_s: float = 30.0,
    isolation: str = "read_committed",
    settled_s: float = 0.0,
) -> list[Raw]:
    """Return what lies in a topic once it is enough; fail when it does not come to that.

    ``settled_s``: it is enough only when no more has come for so long.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"{topic}-reader",  # named, never joined
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "fetch.wait.max.ms": 50,
        }
    )
    found: list[Raw] = []
    try:
        parts = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in parts])
        deadline = time.monotonic() + timeout_s
        came = time.monotonic()
        while not enough(found) or time.monotonic() - came < settled_s:
            assert time.monotonic() < deadline, f"{topic}: {len(found)} records after {timeout_s:.0f} s: {found[-3:]}"
            for message in consumer.consume(500, timeout=0.2):
                assert message.error() is None, message.error()
                came = time.monotonic()
                found.append(Raw(message.key(), message.value(), message.partition() or 0, message.offset() or 0))
    finally:
        consumer.close()
    return found
