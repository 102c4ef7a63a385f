"""A shop floor for the lane: topics, worker processes, and a reader that shares no code with the lane."""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

REPO = Path(__file__).parents[3]
COMPACTED = {"cleanup.policy": "compact"}


class Floor:
    """Topics of one test, its workers, and the truth about what it sent."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.folder = folder
        self.truth: Counter[bytes] = Counter()
        self.workers: list[subprocess.Popen[bytes]] = []
        self._admin = AdminClient({"bootstrap.servers": bootstrap})
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})

    def create(self, partitions: dict[str, int], *, compacted: tuple[str, ...] = ()) -> None:
        """Create topics (names without the prefix) and wait until the broker knows them."""
        topics = [
            NewTopic(self.prefix + name, count, 1, config=COMPACTED if name in compacted else {})
            for name, count in partitions.items()
        ]
        for future in self._admin.create_topics(topics).values():
            future.result()

    def recreate(self, name: str, partitions: int, *, compacted: bool = False) -> None:
        """Delete a topic and create it anew."""
        for future in self._admin.delete_topics([self.prefix + name]).values():
            future.result()
        deadline = time.monotonic() + 10
        while self.prefix + name in self._admin.list_topics(timeout=5).topics:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        self.create({name: partitions}, compacted=(name,) if compacted else ())

    def create_word_count(self, partitions: int = 2) -> None:
        self.create(
            {"lines": partitions, "words-changelog": partitions, "counts": 2, "dead-letters": 1},
            compacted=("words-changelog",),
        )

    def send_lines(self, count: int, *, begin: int = 0, each_s: float = 0.0) -> None:
        """Send lines of two words over all partitions and remember what should be counted."""
        for number in range(begin, begin + count):
            words = [b"salam", b"word-%d" % (number % 20)]
            self._producer.produce(f"{self.prefix}lines", b" ".join(words), b"%d" % number)
            self.truth.update(words)
            if each_s:
                time.sleep(each_s)
                self._producer.poll(0)
        assert self._producer.flush(20) == 0

    def produce(self, topic: str, value: bytes | None, key: bytes | None, partition: int) -> None:
        """Queue a record; the next ``send`` or ``send_lines`` delivers it."""
        self._producer.produce(self.prefix + topic, value, key, partition)

    def send(self, topic: str, value: bytes | None, key: bytes | None = None, partition: int = 0) -> None:
        self._producer.produce(self.prefix + topic, value, key, partition)
        assert self._producer.flush(20) == 0

    def start(self, *variants: str) -> subprocess.Popen[bytes]:
        """Start a worker process."""
        script = str(Path(__file__).with_name("worker.py"))
        log = self.folder / f"worker-{len(self.workers)}.log"
        with log.open("wb") as stream:
            worker = subprocess.Popen(
                [sys.executable, script, self.bootstrap, self.prefix, *variants],
                cwd=REPO, stdout=stream, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.workers.append(worker)
        return worker

    def log_of(self, worker: subprocess.Popen[bytes]) -> str:
        return (self.folder / f"worker-{self.workers.index(worker)}.log").read_text()

    def stop(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
                worker.wait()

    # ------------------------------------------------------------------ what came of it

    def read(self, topic: str, *, isolation: str = "read_committed") -> list[Message]:
        """Read a whole topic, to the end of every partition."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap, "group.id": "reader", "enable.partition.eof": True,
                "isolation.level": isolation, "enable.auto.commit": False, "auto.offset.reset": "earliest",
            }
        )  # fmt: skip
        name = self.prefix + topic
        try:
            numbers = set(consumer.list_topics(name, timeout=10).topics[name].partitions)
            consumer.assign([TopicPartition(name, number, OFFSET_BEGINNING) for number in numbers])
            found: list[Message] = []
            while numbers:
                for message in consumer.consume(10_000, 0.05):
                    error = message.error()
                    if error is None:
                        found.append(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        numbers.discard(message.partition())
                    else:
                        raise AssertionError(str(error))
            return found
        finally:
            consumer.close()

    def state(self, changelog: str = "words-changelog") -> Counter[bytes]:
        """Totals per word, summed over the partitions that counted it."""
        last: dict[tuple[int, bytes], int] = {}
        for message in self.read(changelog):
            if not message.key().startswith(b"\x00lane:"):
                last[message.partition(), message.key()] = int(message.value())
        totals: Counter[bytes] = Counter()
        for (_, word), total in last.items():
            totals[word] += total
        return totals

    def repeated_outputs(self) -> int:
        """Outputs that no change of state stands behind, and changes that were made twice.

        Each transaction writes one change and one output per word; the changelog is too young to be compacted.
        """
        told = Counter((m.key(), m.value()) for m in self.read("counts"))
        made = Counter(
            (m.partition(), m.key(), m.value())
            for m in self.read("words-changelog")
            if not m.key().startswith(b"\x00lane:")
        )
        stand_behind: Counter[tuple[bytes, bytes]] = Counter()
        for (_, word, total), count in made.items():
            stand_behind[word, total] += count
        return (told - stand_behind).total() + (stand_behind - told).total() + sum(n - 1 for n in made.values())

    def repeats_of(self, word: bytes) -> int:
        """Totals of a word that were told twice; for topics of one partition."""
        told = Counter(m.value() for m in self.read("counts") if m.key() == word)
        return sum(count - 1 for count in told.values())

    def wait(self, what: Callable[[], bool], *, within_s: float = 20.0) -> None:
        deadline = time.monotonic() + within_s
        while not what():
            logs = "\n".join(self.log_of(worker)[-3000:] for worker in self.workers)
            assert time.monotonic() < deadline, f"did not come about within {within_s} s:\n{logs}"
            time.sleep(0.1)

    def wait_counted(self, *, within_s: float = 20.0) -> None:
        total = sum(self.truth.values())
        self.wait(lambda: sum(self.state().values()) >= total, within_s=within_s)


@pytest.fixture
def floor(kafka: str, topic_prefix: str, tmp_path: Path) -> Iterator[Floor]:
    made = Floor(kafka, topic_prefix, tmp_path)
    try:
        yield made
    finally:
        made.stop()
