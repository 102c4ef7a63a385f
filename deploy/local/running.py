"""A stack of one's own, for commands that measure or prove: started fresh, waited for, stopped whatever happens."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from deploy.local.preflight import owner
from deploy.local.processes import ProcessSpec, StackError, spawn, stop, tail
from deploy.local.supervisor import HELD, State
from deploy.local.topology import sada
from deploy.local.up import Process, UpFile
from schemas.topics import TICKS, TOPICS

ROOT = Path(__file__).parents[2]

# A worker imports River and SciPy: 5 s on an idle core, a minute on a busy machine.
START_WITHIN_S = 300.0
STOP_WITHIN_S = 120.0
LOOK_EVERY_S = 0.1
# A silent broker is given up after so long.
SILENCE_S = 30.0
# The stack's output: a folder that holds it is one of these, and may be emptied for the next.
LOG = "up.log"
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
            "SADA_SEAL_KEY": secrets["seal_key"],
        }

    def hold(self, name: str) -> None:
        """Stop one process in good order, and do not start it again, until ``release``; it is not waited for."""
        (self.var / HELD).mkdir(exist_ok=True)
        (self.var / HELD / name).touch()

    def release(self, name: str) -> None:
        """Start a process again that is held; it is not waited for."""
        (self.var / HELD / name).unlink(missing_ok=True)

    def await_state(self, name: str, state: State, *, timeout_s: float = 180.0) -> Process:
        """Wait until a process is in some state, and return it.

        Raises
        ------
        StackError
            when it takes longer, or the stack has ended
        """
        deadline = time.monotonic() + timeout_s
        while True:
            up = read_up(self.var)
            found = next((each for each in up.processes if each.name == name), None) if up else None
            if found is not None and found.state == state:
                return found
            if self.process.poll() is not None or time.monotonic() > deadline:
                now = found.state if found else "not there"
                raise StackError(
                    f"{name} is not {state} after {timeout_s:.0f} s: {now}; see {self.var}/logs/{name}.log"
                )
            time.sleep(LOOK_EVERY_S)

    def drain(self, *, timeout_s: float = 600.0, besides: Sequence[str] = ()) -> None:
        """Wait until the workers have committed all that was written, and nothing follows from it any more.

        Parameters
        ----------
        besides : topics that are not waited for

        Raises
        ------
        StackError
            when it takes longer
        """
        deadline = time.monotonic() + timeout_s
        calm = 0
        while calm < 4:  # a message on its way from partition to partition may hide from one look
            lag = lag_of(self.kafka, besides=besides)
            calm = calm + 1 if lag == 0 else 0
            if time.monotonic() > deadline:
                raise StackError(f"{lag} records are still waiting after {timeout_s:.0f} s; see {self.var}/logs")
            time.sleep(0.3)


def fresh(var: Path) -> None:
    """Make a stack's folder, or empty it.

    Raises
    ------
    StackError
        when it holds something else, a customer's `sada up` for example, or a stack still runs in it
    """
    if var.exists() and any(var.iterdir()):
        if not (var / LOG).exists():
            raise StackError(
                f"{var} holds something else, and it would be emptied. Name another folder with --var, or remove it "
                "yourself."
            )
        pid = owner(var)
        if pid is not None:
            raise StackError(f"A stack runs in {var} (pid {pid}). Stop it with `sada down --var {var}`.")
        shutil.rmtree(var)
    var.mkdir(parents=True, exist_ok=True)
    (var / LOG).touch()


@contextmanager
def launched(
    var: Path, *, settings: Mapping[str, str] | None = None, arguments: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `sada up` in a ``fresh`` folder on free ports, not waited for, and stop it at the end, whatever happens.

    Parameters
    ----------
    settings : environment besides what is set already; any SADA_* of the caller is left out
    arguments : more for ``sada up``; its ports among them
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SADA_")}
    ports = ("--gateway-port", "0", "--kafka-port", "0", "--redis-port", "0")
    args = (*sada("up"), "--var", str(var), *ports, *arguments)
    process = spawn(ProcessSpec("up", args, lambda: True, env=settings or {}), var / LOG, inherited=inherited)
    try:
        yield process
    finally:
        stop(process, STOP_WITHIN_S)


@contextmanager
def running(
    var: Path, *, settings: Mapping[str, str] | None = None, arguments: Sequence[str] = ()
) -> Iterator[Running]:
    """Start a fresh stack on free ports in a folder of its own, and stop it at the end.

    Parameters
    ----------
    var : its folder; an earlier run's state in it is removed
    settings, arguments : as of ``launched``

    Raises
    ------
    StackError
        when it does not start, with its last words
    """
    var = var.resolve()
    fresh(var)
    with launched(var, settings=settings, arguments=arguments) as process:
        deadline = time.monotonic() + START_WITHIN_S
        while not is_up(process, var, deadline):
            time.sleep(LOOK_EVERY_S)
        yield Running(process, var)


def is_up(process: subprocess.Popen[bytes], var: Path, deadline: float) -> bool:
    """Say whether a launched stack is up.

    Raises
    ------
    StackError
        when it has ended, or the deadline (monotonic seconds) is past
    """
    if process.poll() is not None:
        raise StackError(f"The stack did not start; {var / LOG} ends:\n{tail(var / LOG)}")
    if read_up(var) is not None:
        return True
    if time.monotonic() > deadline:
        raise StackError(f"The stack was not up in time; {var / LOG} ends:\n{tail(var / LOG)}")
    return False


def read_up(var: Path) -> UpFile | None:
    """Return a stack's addresses and processes as they are now, None while not all is up."""
    try:
        return msgspec.json.decode((var / "up.json").read_bytes(), type=UpFile)
    except FileNotFoundError:
        return None


def lag_of(kafka: str, group: str = "sada", *, besides: Sequence[str] = ()) -> int:
    """Return how many records the workers have not committed yet; ticks, which never end, and ``besides`` left out.

    The end of a topic that transactions write is a commit marker, not a record: what lies behind the committed
    offset is read and counted. So is what an open transaction has written, which cannot be read yet.
    """
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 2})
    (future,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
    left_out = (TICKS, *besides)
    committed = [p for p in future.result().topic_partitions if not p.topic.endswith(left_out)]
    ends = admin.list_offsets({TopicPartition(p.topic, p.partition): OffsetSpec.latest() for p in committed})
    reached = {(p.topic, p.partition): max(0, p.offset) for p in committed}
    behind = []
    gap: int = 0
    for place, end in ends.items():
        offset = reached[place.topic, place.partition]
        if end.result().offset > offset:
            behind.append(TopicPartition(place.topic, place.partition, offset))
            gap += end.result().offset - offset
    if not behind or gap > _FAR:
        return gap
    latest = {TopicPartition(place.topic, place.partition): OffsetSpec.latest() for place in behind}
    readable = admin.list_offsets(latest, isolation_level=IsolationLevel.READ_COMMITTED)
    opened: int = sum(max(0, ends[place].result().offset - end.result().offset) for place, end in readable.items())
    return opened + sum(1 for _ in read(kafka, behind))


def written_to(kafka: str) -> int:
    """Return the sum of the end offsets of all topics: while it stands still, nobody writes.

    Raises
    ------
    KafkaException
        when the broker is silent
    """
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 2})
    found = admin.list_topics(timeout=SILENCE_S).topics.items()
    places = [TopicPartition(name, p) for name, each in found if name in TOPICS for p in each.partitions]
    ends = admin.list_offsets({place: OffsetSpec.latest() for place in places}, request_timeout=SILENCE_S)
    return sum(end.result().offset for end in ends.values())


def read(kafka: str, places: Sequence[TopicPartition]) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Yield (key, value), ``read_committed``, from some places to the ends of their partitions, in order per partition.

    Raises
    ------
    StackError
        when the broker is silent
    """
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": "reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,  # the end of a partition is news, not something to wait for
            "enable.partition.eof": True,
        }
    )
    try:
        left = {(place.topic, place.partition) for place in places}
        consumer.assign(list(places))
        heard_s = time.monotonic()
        while left:
            batch = consumer.consume(2_000, 0.1)
            for message in batch:
                error = message.error()
                if error is None:
                    yield message.key(), message.value()
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name in this client
                    left.discard((message.topic(), message.partition()))
                elif not error.retriable():
                    raise KafkaException(error)
            if any(message.error() is None for message in batch):
                heard_s = time.monotonic()
            elif left and time.monotonic() - heard_s > SILENCE_S:
                raise StackError(f"nothing from Kafka for {SILENCE_S:.0f} s; not read to the end: {sorted(left)}")
    finally:
        consumer.close()


def read_topic(kafka: str, topic: str) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Yield (key, value) of a whole topic, in order per partition."""
    partitions = AdminClient({"bootstrap.servers": kafka}).list_topics(topic, timeout=30).topics[topic].partitions
    yield from read(kafka, [TopicPartition(topic, partition, 0) for partition in partitions])
