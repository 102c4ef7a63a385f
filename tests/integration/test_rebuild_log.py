"""Where workers are, as a rebuild sees it while their transactions are under way: nothing open counts as taken in."""

import threading
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from deploy.rebuild.log import Log, Place
from deploy.rebuild.rebuild import Rebuild
from schemas.admin import create_topics
from schemas.topics import INBOX, PROFILES, signals
from tests.peers.rebuilding import System
from tests.peers.waiting import await_that

pytestmark = pytest.mark.kafka


class Worker:
    """Takes one record of the inbox in and writes one, in a transaction that ends when the test says so."""

    def __init__(self, system: System) -> None:
        self.settings = system.settings
        create_topics({"bootstrap.servers": system.kafka}, customers=1, prefix=system.prefix)
        kafka = {"bootstrap.servers": system.kafka}
        self.producer: Any = Producer({**kafka, "transactional.id": f"{system.prefix}worker"})
        self.producer.init_transactions(30)
        self.consumer: Any = Consumer({**kafka, "group.id": f"{system.prefix}{self.settings.app}"})
        self.place: Place = (self.settings.topic(INBOX), 0)

    def begin(self, *, writes: str, read: int) -> None:
        """Write a record, say how far was read, and leave the transaction open."""
        self.producer.begin_transaction()
        self.producer.produce(self.settings.topic(writes), b"value", b"key", partition=0)
        assert self.producer.flush(30) == 0
        self._say(self.place, read)

    def read_to(self, place: Place, offset: int) -> None:
        """Say how far was read, and nothing else."""
        self.producer.begin_transaction()
        self._say(place, offset)
        self.end()

    def _say(self, place: Place, offset: int) -> None:
        offsets = [TopicPartition(*place, offset)]
        self.producer.send_offsets_to_transaction(offsets, self.consumer.consumer_group_metadata(), 30)

    def end(self) -> None:
        self.producer.commit_transaction(30)


@pytest.fixture
def worker(kafka: str, redis_url: str, topic_prefix: str, tmp_path: Path) -> Worker:
    return Worker(System(kafka, redis_url, topic_prefix, tmp_path, 1))


def test_where_an_open_transaction_stands_is_waited_for(worker: Worker) -> None:
    log, found = Log(worker.settings), list[dict[Place, int]]()
    worker.begin(writes=PROFILES, read=5)
    asking = threading.Thread(target=lambda: found.append(log.taken([worker.place])))
    asking.start()
    asking.join(1)
    assert not found, "the position before the transaction is not what it will be"
    worker.end()
    asking.join(30)
    assert found == [{worker.place: 5}]


def test_what_an_open_transaction_has_written_is_not_taken_in(worker: Worker) -> None:
    log = Log(worker.settings)
    assert log.is_dry(worker.settings, INBOX)
    worker.producer.begin_transaction()
    worker.producer.produce(worker.place[0], b"value", b"key", partition=0)
    assert worker.producer.flush(30) == 0
    assert not log.is_dry(worker.settings, INBOX)
    worker.end()
    assert not log.is_dry(worker.settings, INBOX), "nobody has read it"
    worker.begin(writes=PROFILES, read=1)  # what is left is the mark of the transaction
    worker.end()
    await_that(lambda: log.is_dry(worker.settings, INBOX))


def test_what_cannot_be_read_yet_is_waited_for(worker: Worker) -> None:
    log = Log(worker.settings)
    worker.begin(writes=PROFILES, read=0)
    waiting = threading.Thread(target=log.wait_readable, args=(worker.settings, PROFILES))
    waiting.start()
    waiting.join(1)
    assert waiting.is_alive()
    worker.end()
    waiting.join(30)
    assert not waiting.is_alive()


def test_what_workers_have_just_read_is_copied_before_it_is_looked_for(worker: Worker) -> None:
    """The copier asks now and then how far workers are; who compares generations must not go by an old answer."""
    rebuild = Rebuild(worker.settings, print)
    web = (worker.settings.topic(signals("web")), 0)
    worker.read_to(web, 1)
    copier, _ = rebuild.copier(rebuild.make(None, None, None))
    copier.open()
    assert copier.look()[web] == 1
    worker.read_to(web, 3)
    assert copier.bounds()[web] == 1, "nobody has asked"
    assert copier.look()[web] == 3
    copier.until({web: 4})
    worker.read_to(web, 9)
    assert copier.look()[web] == 4, "it is drained: what comes after is nobody's past"
    copier.close()
