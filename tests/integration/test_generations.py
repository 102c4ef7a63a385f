"""Which generation is live, as processes ask at their start: on a real broker."""

import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.local.processes import free_port
from schemas.generations import TABLE_KEY, Known, Table, first_table, table_value
from schemas.topics import GENERATIONS
from streams import generations
from streams.generations import current_table
from streams.settings import Settings, SettingsError

pytestmark = pytest.mark.kafka


def test_a_topic_that_was_made_just_now(kafka: str, topic_prefix: str) -> None:
    """It may have no leader yet: asked again until it has, and empty it means the first generation."""
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=3)
    assert current_table(settings).live == first_table(3).live  # not there at all
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(settings.topic(GENERATIONS), 1, 1)])  # not awaited
    for _ in range(5):
        found = current_table(settings)
        assert (found.live, found.of(found.live).partitions) == (found.known[0].name, 3)


def test_the_newest_word_counts(kafka: str, topic_prefix: str) -> None:
    """Also when a transaction's marker lies behind it."""
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=3)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(settings.topic(GENERATIONS), 1, 1)])[settings.topic(GENERATIONS)].result(20)
    first = first_table(3)
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic_prefix, "log_level": 2})
    producer.init_transactions(30)
    for live in (first.live, "g2"):
        table = Table(live, (*first.known, Known("g2", 4)))
        producer.begin_transaction()
        producer.produce(settings.topic(GENERATIONS), table_value(table), TABLE_KEY)
        producer.commit_transaction(30)
    found = current_table(settings)
    assert (found.live, found.of("g2").partitions) == ("g2", 4)


def test_who_follows_is_told_the_newest_only(kafka: str, topic_prefix: str) -> None:
    """What was before lies there too, and is not news: a process that took it for such began anew for ever."""
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, partitions=3)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(settings.topic(GENERATIONS), 1, 1)])[settings.topic(GENERATIONS)].result(20)
    producer, told = Producer({"bootstrap.servers": kafka}), list[Table]()

    def say(live: str, *names: str) -> None:
        table = Table(live, tuple(Known(name, 3) for name in names))
        producer.produce(settings.topic(GENERATIONS), table_value(table), TABLE_KEY)

    say("g1", "g1", "g2")
    say("g2", "g1", "g2")
    say("g2", "g2")
    assert producer.flush(20) == 0
    with generations.Follower(settings, told.append) as follower:
        assert follower.reader.caught_up.wait(20)
        assert [(table.live, table.names()) for table in told] == [("g2", ("g2",))]
        say("g2", "g2", "g3")
        assert producer.flush(20) == 0
        deadline = time.monotonic() + 20
        while len(told) < 2:
            assert time.monotonic() < deadline, "what is new was not told"
            time.sleep(0.05)
        assert told[1].names() == ("g2", "g3")


def test_who_cannot_ask_does_not_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking the first generation for the live one would bring an old one back to life."""
    monkeypatch.setattr(generations, "_ANSWER_S", 0.5)
    monkeypatch.setattr(generations, "_READ_S", 0.5)
    with pytest.raises(SettingsError, match="does not say which generation is live"):
        current_table(Settings(kafka=f"127.0.0.1:{free_port()}"))
