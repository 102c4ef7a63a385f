"""The ten-line example, and how a worker behaves around it, on a real broker."""

import json
import signal
import subprocess
import sys
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

pytestmark = pytest.mark.kafka

Floor = Any  # the fixture's class lives in conftest.py, which tests cannot import


def test_example_counts_words(floor: Floor) -> None:
    """What the README shows runs as it stands; poison, null keys and tombstones cost nobody else anything."""
    floor.create_word_count(1)
    floor.send_lines(500)
    floor.send("lines", b"\xff\xfe not utf-8", b"poison")
    floor.send("lines", None, b"tombstone")
    floor.send("lines", b"keyless", None)
    floor.truth[b"keyless"] += 1
    floor.send_lines(500, begin=500)
    log = floor.folder / "example.log"
    with log.open("wb") as stream:
        example = subprocess.Popen(
            [sys.executable, "-m", "streams.lane.examples.word_count", floor.bootstrap, floor.prefix], stderr=stream
        )
    try:
        floor.wait_counted()
    finally:
        example.send_signal(signal.SIGTERM)
        assert example.wait(20) == 0, log.read_text()
    assert floor.state() == floor.truth
    assert floor.repeats_of(b"salam") == 0
    dead = floor.read("dead-letters")
    assert [(m.key(), m.value()) for m in dead] == [(b"poison", b"\xff\xfe not utf-8")]
    assert dead[0].headers()[0][1].startswith(b"job-error: UnicodeDecodeError")


def test_shown_offsets_equal_the_position_record(floor: Floor) -> None:
    """The group's lag display tells the truth, once work has stopped."""
    floor.create_word_count(1)
    floor.send_lines(250)
    worker = floor.start()
    floor.wait_counted()
    worker.terminate()
    assert worker.wait(20) == 0
    positions = [json.loads(m.value()) for m in floor.read("words-changelog") if m.key() == b"\x00lane:position"]
    name = f"{floor.prefix}lines"
    assert positions[-1]["next"] == {name: 250}
    consumer = Consumer({"bootstrap.servers": floor.bootstrap, "group.id": f"{floor.prefix}word-count"})
    try:
        assert consumer.committed([TopicPartition(name, 0)], timeout=10)[0].offset == 250
    finally:
        consumer.close()


def test_two_workers_share_and_take_over(floor: Floor) -> None:
    """One joins, one leaves in order, one is killed: the counts stay exact and no output is told twice."""
    floor.create_word_count(4)
    first = floor.start()
    floor.send_lines(400)
    floor.wait_counted()
    second = floor.start()
    floor.send_lines(600, begin=400, each_s=0.003)
    floor.wait(lambda: "4 partitions" not in floor.log_of(second) and "recovered in" in floor.log_of(second))
    first.terminate()
    floor.send_lines(600, begin=1000, each_s=0.003)
    assert first.wait(20) == 0
    third = floor.start()
    floor.send_lines(300, begin=1600, each_s=0.003)
    second.kill()
    floor.send_lines(300, begin=1900, each_s=0.003)
    floor.wait_counted()
    assert third.poll() is None
    assert floor.state() == floor.truth
    assert floor.repeated_outputs() == 0


def test_missing_topic_is_named(floor: Floor) -> None:
    """The worker ends with the code that tells a supervisor to wait for an operator."""
    floor.create({"lines": 2, "counts": 1, "dead-letters": 1})
    worker = floor.start()
    assert worker.wait(20) == 78
    assert f"topic {floor.prefix}words-changelog does not exist" in floor.log_of(worker)


def test_another_partition_count_is_named(floor: Floor) -> None:
    """A changelog with fewer partitions than its source would mix states."""
    floor.create({"lines": 3, "words-changelog": 2, "counts": 1, "dead-letters": 1}, compacted=("words-changelog",))
    worker = floor.start()
    assert worker.wait(20) == 78
    assert f"{floor.prefix}lines has 3, {floor.prefix}words-changelog has 2" in floor.log_of(worker)


def test_changelog_that_is_not_compacted_is_refused(floor: Floor) -> None:
    """State in a topic with retention would be lost with it."""
    floor.create({"lines": 1, "words-changelog": 1, "counts": 1, "dead-letters": 1})
    worker = floor.start()
    assert worker.wait(20) == 78
    assert "cleanup.policy=delete" in floor.log_of(worker)


def test_session_shorter_than_the_broker_allows_ends_the_worker(floor: Floor) -> None:
    """Stock Faust stays alive and idle for ever after such a join error."""
    floor.create_word_count(1)
    worker = floor.start("session=0.5")
    assert worker.wait(20) == 70
    assert "InvalidSessionTimeout" in floor.log_of(worker)


def test_recreated_source_is_refused(floor: Floor) -> None:
    """State that has read further than its source goes would skip records silently."""
    floor.create_word_count(1)
    floor.send_lines(200)
    first = floor.start()
    floor.wait_counted()
    first.terminate()
    assert first.wait(20) == 0
    floor.recreate("lines", 1)
    worker = floor.start()
    assert worker.wait(20) == 78
    assert "was created anew" in floor.log_of(worker)


def test_rocksdb_goes_on_from_its_offset(floor: Floor) -> None:
    """A restart reads only the rest of the changelog; a store that belongs to another changelog is rebuilt."""
    floor.create_word_count(1)
    store = f"rocksdb={floor.folder / 'store'}"
    floor.send_lines(300)
    first = floor.start(store)
    floor.wait_counted()
    first.kill()
    first.wait()
    second = floor.start(store)
    floor.send_lines(100, begin=300)
    floor.wait_counted()
    second.terminate()
    assert second.wait(20) == 0
    assert "is rebuilt" not in floor.log_of(second)
    assert floor.state() == floor.truth


def test_stages_of_different_partition_counts_share_their_workers(floor: Floor) -> None:
    """One stage on a single partition, one on three with two sources that share each partition's state; two workers."""
    floor.create_word_count(1)
    floor.create({"a": 3, "b": 3, "keys-changelog": 3}, compacted=("keys-changelog",))
    stages = f"another_stage={floor.prefix}"
    workers = [floor.start(stages), floor.start(stages)]
    for number in range(300):
        for topic in ("a", "b"):
            floor.produce(topic, b"", b"key-%d" % (number % 9), partition=number % 3)
    floor.send_lines(300)
    floor.wait_counted()
    floor.wait(lambda: sum(floor.state("keys-changelog").values()) == 600)
    workers[0].kill()
    floor.send("b", b"", b"key-0", partition=0)
    floor.send("a", b"", b"key-1", partition=1)
    floor.send_lines(20, begin=300)
    floor.wait_counted()
    floor.wait(lambda: sum(floor.state("keys-changelog").values()) == 602)
    assert floor.state() == floor.truth
    keys = floor.state("keys-changelog")
    assert len(keys) == 9
    assert keys[b"key-0"] == 300 // 9 * 2 + 2 + 1
    assert workers[1].poll() is None


def test_what_runs_beside_the_lane_ends_the_worker_when_it_fails(floor: Floor) -> None:
    """A worker without its metrics or health server would be blind."""
    floor.create_word_count(1)
    worker = floor.start("beside_fails")
    assert worker.wait(20) == 70
    assert "RuntimeError: the metrics server cannot listen" in floor.log_of(worker)
