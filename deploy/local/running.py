"""A stack of one's own, for commands that measure or prove: started fresh, waited for, stopped whatever happens."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from deploy.local.processes import StackError

ROOT = Path(__file__).parents[2]

# A worker imports River and SciPy: 5 s on an idle core, a minute on a busy machine.
START_WITHIN_S = 300.0
STOP_WITHIN_S = 120.0
# More than this behind is far behind: not worth counting exactly.
_FAR = 5_000


class Running:
    """A running stack.

    Parameters
    ----------
    process : its ``sada up``
    var : its folder
    """

    def __init__(self, process: subprocess.Popen[bytes], var: Path) -> None:
        self.process = process
        self.var = var
        self.up: dict[str, Any] = json.loads((var / "up.json").read_text())
        self.kafka: str = self.up["kafka"]

    def environment(self) -> dict[str, str]:
        """Return the settings with which another command reaches this stack."""
        secrets = json.loads((self.var / "secrets.json").read_text())
        return {
            "SADA_KAFKA": self.kafka,
            "SADA_REDIS": self.up["redis"],
            "SADA_VAR": str(self.var),
            "SADA_NODE_KEY": secrets["node_key"],
            "SADA_SNAPSHOT_KEY": secrets["snapshot_key"],
        }

    def drain(self, *, timeout_s: float = 600.0) -> None:
        """Wait until the workers have committed all that was written, and nothing follows from it any more.

        Raises
        ------
        StackError
            when it takes longer
        """
        deadline = time.monotonic() + timeout_s
        calm = 0
        while calm < 4:  # a message on its way from partition to partition may hide from one look
            lag = lag_of(self.kafka)
            calm = calm + 1 if lag == 0 else 0
            if time.monotonic() > deadline:
                raise StackError(f"{lag} records are still waiting after {timeout_s:.0f} s; see {self.var}/logs")
            time.sleep(0.3)


@contextmanager
def running(
    var: Path, *, settings: Mapping[str, str] | None = None, arguments: Sequence[str] = ()
) -> Iterator[Running]:
    """Start a fresh stack on free ports in a folder of its own, and stop it at the end.

    Parameters
    ----------
    var : its folder; an earlier run's state in it is removed
    settings : environment besides what is set already; any SADA_* of the caller is left out
    arguments : more for ``sada up``

    Raises
    ------
    StackError
        when it does not start, with its last words
    """
    var = var.resolve()
    if var.exists() and any(var.iterdir()) and not (var / "secrets.json").exists():
        raise StackError(f"{var} holds something that is not a stack of Sada; name another folder")
    shutil.rmtree(var, ignore_errors=True)
    var.mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SADA_")}
    command = [sys.executable, "-m", "streams.cli", "up", "--var", str(var)]
    command += ["--gateway-port", "0", "--kafka-port", "0", "--redis-port", "0", *arguments]
    with (var / "up.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**environment, **(settings or {})}, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _wait(process, var)
        yield Running(process, var)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], var: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while not (var / "up.json").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise StackError(f"the stack did not start:\n{(var / 'up.log').read_text()[-2_000:]}")
        time.sleep(0.1)


def lag_of(kafka: str, group: str = "sada") -> int:
    """Return how many records the workers have not committed yet; ticks, which never end, left out.

    The end of a topic that transactions write is a commit marker, not a record: what lies behind the committed
    offset is read and counted.
    """
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 2})
    (future,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
    committed = [p for p in future.result().topic_partitions if not p.topic.endswith("ticks")]
    ends = admin.list_offsets({TopicPartition(p.topic, p.partition): OffsetSpec.latest() for p in committed})
    reached = {(p.topic, p.partition): max(0, p.offset) for p in committed}
    behind = []
    gap = 0
    for place, end in ends.items():
        offset = reached[place.topic, place.partition]
        if end.result().offset > offset:
            behind.append(TopicPartition(place.topic, place.partition, offset))
            gap += end.result().offset - offset
    return gap if gap > _FAR else sum(1 for _ in read(kafka, behind))


def read(kafka: str, places: Iterable[TopicPartition]) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Yield (key, value), ``read_committed``, from some places to the ends of their partitions, one after another."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": "reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }
    )
    try:
        for place in places:
            consumer.assign([place])
            ended = False
            while not ended:
                for message in consumer.consume(2_000, 0.2):
                    error = message.error()
                    if error is None:
                        yield message.key(), message.value()
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name in this client
                        ended = True
                    elif not error.retriable():
                        raise KafkaException(error)
    finally:
        consumer.close()


def read_topic(kafka: str, topic: str) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Yield (key, value) of a whole topic, partition by partition, in order."""
    partitions = AdminClient({"bootstrap.servers": kafka}).list_topics(topic, timeout=30).topics[topic].partitions
    yield from read(kafka, [TopicPartition(topic, partition, 0) for partition in partitions])
