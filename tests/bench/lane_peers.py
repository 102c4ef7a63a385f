"""Count per key with a changelog: the lane, stock Faust, Quix Streams exactly-once, Kafka Streams exactly_once_v2.

``python tests/bench/lane_peers.py [--rounds 3] [--records 1400000] [--only NAME ...]``: interleaved runs on one broker,
each peer a process of its own with its own consumer group and changelog, all reading the same 4 partitions of records
of 120 bytes and 1,000 keys. Progress is read from each changelog, ``read_committed``: what counts is what is committed.
The rate is that from the moment when a fifth is counted (the JVM is warm then) until all is, or ``SLOW_S`` have passed.
"""

import argparse
import json
import os
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

REPO = Path(__file__).parents[2]
HERE = Path(__file__).parent / "peers"
VAR = REPO / "var" / "peers"
PARTITIONS = 4
KEYS = 1_000
# With the key and the record's own overhead, 120 bytes a record.
VALUE = b"x" * 110
# A slow peer (5,000 records/s) would take five minutes for all; its rate is steady after 20 s.
SLOW_S = 20.0
START_S = 60.0
WARM = 0.2

Read = Callable[[bytes, bytes], int | None]


class Peer(NamedTuple):
    """How to start a peer, where its changelog is, and how to read a total in it."""

    command: Callable[[str, str, str, Path], list[str]]
    changelog: Callable[[str, str], str]
    total: Read
    makes_changelog: bool


def _decimal(key: bytes, value: bytes) -> int | None:
    return None if key.startswith(b"\x00lane:") or not value.isdigit() else int(value)


def _big_endian(_key: bytes, value: bytes) -> int | None:
    return int(struct.unpack(">q", value[-8:])[0]) if len(value) >= 8 else None


def _java(bootstrap: str, source: str, run: str, folder: Path) -> list[str]:
    from deploy.local import jars

    path = jars.fetched(HERE / "pom.xml", jars.cache_folder(VAR), "kafka-streams")
    return [jars.java(), "-cp", f"{path}/*", str(HERE / "CountPerKey.java"), bootstrap, source, run, str(folder)]


def _quix(bootstrap: str, source: str, run: str, folder: Path) -> list[str]:
    python = VAR / "quix" / "bin" / "python"
    if not python.exists():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "-q", str(VAR / "quix"), "--python", sys.executable], check=True)
        lock = str(Path(__file__).with_name("peers.lock"))
        install = [*uv, "pip", "install", "-q", "--python", str(python), "--require-hashes", "-r", lock]
        subprocess.run(install, check=True)
    return [str(python), str(HERE / "quix.py"), bootstrap, source, run, str(folder)]


PEERS: dict[str, Peer] = {
    "ours": Peer(
        lambda bootstrap, source, run, _: [sys.executable, str(HERE / "ours.py"), bootstrap, source, run],
        lambda run, _: f"{run}-changelog",
        _decimal,
        makes_changelog=False,
    ),
    "stock_faust": Peer(
        lambda bootstrap, source, run, folder: [
            sys.executable, str(HERE / "stock_faust.py"), bootstrap, source, run, str(folder)
        ],
        lambda run, _: f"{run}-counts-changelog",
        _decimal,
        makes_changelog=True,
    ),
    "quix_exactly_once": Peer(_quix, lambda run, source: f"changelog__{run}--{source}--default", _decimal, True),
    "kafka_streams_eos": Peer(_java, lambda run, _: f"{run}-counts-changelog", _big_endian, makes_changelog=True),
}  # fmt: skip


class Progress:
    """How many records a peer has counted and committed, read from its changelog."""

    def __init__(self, bootstrap: str, topic: str, total: Read) -> None:
        self._topic = topic
        self._total = total
        self._last: dict[tuple[int, bytes], int] = {}
        self.counted = 0
        self._assigned = False
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap, "group.id": "bench", "isolation.level": "read_committed",
                "auto.offset.reset": "earliest", "enable.auto.commit": False,
            }
        )  # fmt: skip

    def look(self) -> int:
        """Read what is new; return the records counted so far."""
        if not self._assigned:
            found = self._consumer.list_topics(timeout=5).topics.get(self._topic)
            if found is None or not found.partitions:
                time.sleep(0.1)
                return 0
            self._consumer.assign([TopicPartition(self._topic, number, 0) for number in found.partitions])
            self._assigned = True
        for message in self._consumer.consume(20_000, 0.05):
            if message.error() is not None:
                if message.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    continue
                raise KafkaException(message.error())
            key, value = message.key(), message.value()
            total = None if key is None or value is None else self._total(key, value)
            if total is not None:
                at = (message.partition(), key)
                self.counted += total - self._last.get(at, 0)
                self._last[at] = total
        return self.counted

    def close(self) -> None:
        self._consumer.close()


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as stream:
        environment = os.environ | {"PYTHONPATH": str(REPO), "PYTHONWARNINGS": "ignore"}
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=environment, cwd=REPO)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def run_once(bootstrap: str, source: str, name: str, records: int) -> float:
    """Run one peer once; return records per second.

    Raises
    ------
    RuntimeError
        when it ends by itself, or has counted nothing within ``START_S``, or has counted too much
    """
    peer, run = PEERS[name], f"bench-{uuid.uuid4().hex[:8]}"
    if not peer.makes_changelog:
        create(bootstrap, peer.changelog(run, source), {"cleanup.policy": "compact"})
    progress = Progress(bootstrap, peer.changelog(run, source), peer.total)
    with tempfile.TemporaryDirectory(prefix="sada-bench-") as folder:
        log = Path(folder) / "log"
        with _process(peer.command(bootstrap, source, run, Path(folder) / "state"), log) as process:
            began = time.monotonic()
            first: tuple[float, int] | None = None
            warm = first
            while True:
                counted, now = progress.look(), time.monotonic()
                if first is None and counted:
                    first = warm = (now, counted)
                if warm is first and WARM * records <= counted < records:
                    warm = (now, counted)
                if counted >= records or (first is not None and now - first[0] > SLOW_S):
                    break
                if process.poll() is not None or (first is None and now - began > START_S):
                    raise RuntimeError(f"{name} did not run (exit {process.poll()}):\n{log.read_text()[-3000:]}")
    progress.close()
    if warm is None or counted <= warm[1]:
        raise RuntimeError(f"{name} counted {counted} at one glance: send more records")
    if counted > records:
        sys.stdout.write(f"{name} counted {counted - records} records too many\n")
    return (counted - warm[1]) / (now - warm[0])


def create(bootstrap: str, topic: str, config: dict[str, str]) -> None:
    """Create a topic of ``PARTITIONS`` partitions."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1, config=config)])[topic].result()


def preload(bootstrap: str, records: int) -> str:
    """Write the records that all peers read; return the topic."""
    topic = f"bench-lines-{uuid.uuid4().hex[:8]}"
    create(bootstrap, topic, {})
    producer = Producer(
        {"bootstrap.servers": bootstrap, "linger.ms": 50, "batch.size": 1_000_000, "partitioner": "murmur2_random"}
    )
    for number in range(records):
        while True:
            try:
                producer.produce(topic, VALUE, b"key-%05d" % (number * 7919 % KEYS))
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(120):
        raise RuntimeError("the records could not be written")
    return topic


def _spread(values: list[float], digits: int = 0) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def measure(
    bootstrap: str, *, rounds: int = 3, records: int = 1_400_000, only: tuple[str, ...] = tuple(PEERS)
) -> dict[str, Any]:
    """Run all peers in turn, ``rounds`` times.

    Returns
    -------
    records per second as {median, min, max} per peer, and under ``ratios`` ours over each other peer, round by round
    """
    source = preload(bootstrap, records)
    rates: dict[str, list[float]] = {name: [] for name in only}
    for number in range(rounds):
        for name in only:
            rates[name].append(run_once(bootstrap, source, name, records))
            sys.stdout.write(f"round {number + 1}: {name} {rates[name][-1]:,.0f} records/s\n")
            sys.stdout.flush()
    report: dict[str, Any] = {name: _spread(found) for name, found in rates.items()}
    report["ratios"] = {
        name: _spread([ours / theirs for ours, theirs in zip(rates["ours"], found, strict=True)], 2)
        for name, found in rates.items()
        if name != "ours" and "ours" in rates
    }
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", type=int, default=1_400_000)
    parser.add_argument("--only", nargs="+", default=list(PEERS), choices=list(PEERS))
    asked = parser.parse_args()
    from deploy.local.services import kafka_running

    with tempfile.TemporaryDirectory(prefix="sada-bench-kafka-") as folder:
        given = os.environ.get("SADA_TEST_KAFKA")
        if given:
            report = measure(given, rounds=asked.rounds, records=asked.records, only=tuple(asked.only))
        else:
            with kafka_running(Path(folder)) as bootstrap:
                report = measure(bootstrap, rounds=asked.rounds, records=asked.records, only=tuple(asked.only))
    path = REPO / "var" / "reports" / "bench-lane.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"lane": report}, indent=2) + "\n")
    sys.stdout.write(f"{json.dumps(report, indent=2)}\nwritten to {path}\n")


if __name__ == "__main__":
    sys.path.insert(0, str(REPO))
    main()
