"""Signals that are kept no more: a rebuild says how many customers they told of, and wants to be told to go on."""

import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from deploy.rebuild.rebuild import Rebuild
from schemas.admin import create_topics
from schemas.topics import FIRST, PROFILES, full_name, signals
from schemas.wire import codec_of
from tests.bench.traffic import named
from tests.peers.people import profile
from tests.peers.rebuilding import System

pytestmark = pytest.mark.kafka

DAY_MS = 86_400_000


class Deployment:
    """Customers of 40, 20 and 10 days, and in one partition of ``signals.web`` a signal of 20, 15 and 1 day each."""

    def __init__(self, system: System) -> None:
        self.system, self.now_ms = system, time.time_ns() // 1_000_000
        self.web = full_name(signals("web"), prefix=system.prefix, generation=FIRST)
        create_topics({"bootstrap.servers": system.kafka}, customers=2, prefix=system.prefix)
        producer = Producer({"bootstrap.servers": system.kafka})
        for days in (40, 20, 10):
            record = profile(days, created_at_ms=self.now_ms - days * DAY_MS)
            topic = full_name(PROFILES, prefix=system.prefix, generation=FIRST)
            producer.produce(topic, codec_of("profile").encode(record), record["customer"], partition=0)
        for days in (20, 15, 1):
            producer.produce(self.web, self._signal(days), b"k", partition=0)
        assert producer.flush(20) == 0

    def _signal(self, days: int) -> bytes:
        at_ms = self.now_ms - days * DAY_MS
        said: dict[str, Any] = codec_of("signal").decode(named(days, {"user_id": "u"}, name=f"s{days}", at_ms=at_ms)[2])
        return codec_of("signal").encode({**said, "received_at_ms": at_ms})

    def forget(self, until: int) -> None:
        """Do what retention does."""
        admin = AdminClient({"bootstrap.servers": self.system.kafka})
        for done in admin.delete_records([TopicPartition(self.web, 0, until)]).values():
            done.result()

    def lost(self) -> int:
        return Rebuild(self.system.settings, print).loss()


@pytest.fixture
def deployment(kafka: str, redis_url: str, topic_prefix: str, tmp_path: Path) -> Deployment:
    return Deployment(System(kafka, redis_url, topic_prefix, tmp_path, 2))


def test_who_is_older_than_what_is_kept_is_counted(deployment: Deployment) -> None:
    """Of a partition that has nothing left, all is lost that retention (30 days) would have taken."""
    assert deployment.lost() == 0
    deployment.forget(1)
    assert deployment.lost() == 2
    deployment.forget(2)
    assert deployment.lost() == 3
    deployment.forget(3)
    assert deployment.lost() == 1


def test_a_rebuild_wants_to_be_told_to_go_on(deployment: Deployment) -> None:
    deployment.forget(1)
    system = deployment.system
    assert system.start("refused", "--yes").wait(60) == 3
    assert "2 customers are older than the oldest signals kept" in system.said("refused")
    assert system.table().names() == (FIRST,), "nothing was to be made"
    system.ended("dry", system.start("dry", "--dry-run"))
    assert "2 customers" in system.said("dry")
    assert system.table().names() == (FIRST,)
    # No worker runs here: it makes the generation, and waits for what the old one has taken in.
    going = system.start("going", "--accept-loss", "--yes")
    deadline = time.monotonic() + 60
    while "g2" not in system.table().names():
        assert going.poll() is None, system.said("going")
        assert time.monotonic() < deadline
        time.sleep(0.2)
    going.kill()
    going.wait()
