"""Learning on a real Kafka: exactly once through a kill, and the snapshots reach the scorers of another process."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from models.churn import ChurnLearner
from schemas.features import FEATURE_NAMES, FEATURE_SET
from schemas.topics import MODEL_PARTITIONS
from schemas.wire import codec_of
from streams.agents.broadcast import BroadcastReader
from streams.agents.learners import decode_state
from streams.agents.scoring import LiveScorers

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

KEY = bytes(range(32))
REPO = Path(__file__).parents[2]
EXAMPLES = 1_000
COMPACTED = {"cleanup.policy": "compact"}


@pytest.fixture
def topics(kafka: str, topic_prefix: str) -> str:
    admin = AdminClient({"bootstrap.servers": kafka})
    made = [
        NewTopic(f"{topic_prefix}examples", MODEL_PARTITIONS, 1),
        NewTopic(f"{topic_prefix}learners-changelog", MODEL_PARTITIONS, 1, config=COMPACTED),
        NewTopic(f"{topic_prefix}models", 1, 1, config=COMPACTED),
        NewTopic(f"{topic_prefix}dead-letters", 1, 1),
    ]
    for future in admin.create_topics(made).values():
        future.result()
    return topic_prefix


@pytest.fixture
def start(kafka: str, topics: str, tmp_path: Path) -> Iterator[Callable[[int], subprocess.Popen[bytes]]]:
    workers: list[subprocess.Popen[bytes]] = []

    def begin(kill_at: int) -> subprocess.Popen[bytes]:
        script = str(Path(__file__).with_name("learners_worker.py"))
        with (tmp_path / f"worker-{len(workers)}.log").open("wb") as log:
            command = [sys.executable, script, kafka, topics, str(kill_at)]
            workers.append(subprocess.Popen(command, cwd=REPO, stdout=log, stderr=subprocess.STDOUT))
        return workers[-1]

    yield begin
    for worker in workers:
        worker.kill()
        worker.wait()


def churn_examples(count: int) -> list[dict[str, Any]]:
    draw = random.Random(5)
    made = []
    for at in range(count):
        features = [draw.gauss(0, 1) for _ in FEATURE_NAMES]
        made.append(
            {
                "id": f"e{at}",
                "model": "churn",
                "feature_set": FEATURE_SET,
                "features": features,
                "label": "1" if features[0] + draw.gauss(0, 0.5) > 0 else "0",
                "predicted": {},
                "predicted_version": 0,
                "scored_at_ms": at,
                "labelled_at_ms": at + 1,
            }
        )
    return made


def send(kafka: str, topic: str, records: list[tuple[bytes | None, bytes | None]]) -> None:
    producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random"})
    for key, value in records:
        producer.produce(topic, value, key)
    assert producer.flush(20) == 0


@pytest.fixture
def states(kafka: str, topics: str) -> Iterator[dict[bytes, bytes]]:
    """Return the newest committed state of each learner, followed live over all partitions of the changelog."""
    found: dict[bytes, bytes] = {}

    def keep(key: bytes | None, value: bytes | None) -> None:
        if key and value and not key.startswith(b"\x00lane:"):
            found[key] = value

    with ExitStack() as stack:
        for number in range(MODEL_PARTITIONS):
            changelog = f"{topics}learners-changelog"
            stack.enter_context(BroadcastReader({"bootstrap.servers": kafka}, changelog, keep, partition=number))
        yield found


def learned(states: dict[bytes, bytes]) -> int:
    return decode_state(states[b"churn"], KEY).learner.learned if b"churn" in states else 0


def test_learning_is_exactly_once_through_a_kill(
    kafka: str, topics: str, states: dict[bytes, bytes], start: Any
) -> None:
    """A worker dies with a batch uncommitted; the next learns each example once, in order, as if nothing had been."""
    codec = codec_of("example")
    examples = churn_examples(EXAMPLES)
    poison = codec.encode(examples[0] | {"label": "maybe"})
    records: list[tuple[bytes | None, bytes | None]] = [(b"churn", codec.encode(e)) for e in examples]
    records.insert(500, (b"churn", poison))
    live = LiveScorers(KEY)
    letters: list[bytes | None] = []
    with (
        BroadcastReader({"bootstrap.servers": kafka}, f"{topics}models", live.on_record) as reader,
        BroadcastReader({"bootstrap.servers": kafka}, f"{topics}dead-letters", lambda _, value: letters.append(value)),
    ):
        first = start(2)
        send(kafka, f"{topics}examples", records[:400])
        deadline = time.monotonic() + 100
        sent = 400
        while first.poll() is None:  # each further batch is a transaction; the second one kills it
            assert time.monotonic() < deadline
            time.sleep(0.5)
            send(kafka, f"{topics}examples", records[sent : sent + 10])
            sent += 10
        assert first.returncode == -9
        send(kafka, f"{topics}examples", records[sent:])
        start(0)
        while live.current.versions["churn"] < 1 or not letters or learned(states) < EXAMPLES:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert reader.errors == 0
    state = decode_state(states[b"churn"], KEY)
    assert state.learner.learned == EXAMPLES
    assert letters == [b"bad-label"]
    truth = ChurnLearner()
    truth.learn_many([codec.decode(codec.encode(e)) for e in examples])  # type: ignore[misc]  # what the codec reads
    probes = [example["features"] for example in examples[:50]]
    assert isinstance(state.learner, ChurnLearner)
    assert [state.learner.predict(x) for x in probes] == [truth.predict(x) for x in probes]
    assert live.current.churn([2.0] + [0.0] * 33) > 0.7
    assert live.current.churn([-2.0] + [0.0] * 33) < 0.3
