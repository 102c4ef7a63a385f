"""``sada topics`` against a real broker."""

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType
from typer.testing import CliRunner

from schemas.admin import Difference, TopicsError, create_topics
from schemas.topics import CUSTOMER_SOURCES, DAY_MS, TOPICS
from streams.cli import build
from streams.settings import Settings

pytestmark = pytest.mark.kafka


def test_creates_once(kafka: str, topic_prefix: str) -> None:
    """The first call creates every topic of the table, the second none."""
    connection = {"bootstrap.servers": kafka}
    first = create_topics(connection, customers=3, prefix=topic_prefix)
    second = create_topics(connection, customers=3, prefix=topic_prefix)
    assert {name.removeprefix(topic_prefix) for name in first.created} == set(TOPICS)
    assert second.created == ()
    assert set(second.existing) == set(first.created)
    present = AdminClient(connection).list_topics(timeout=10).topics
    assert {len(present[topic_prefix + name].partitions) for name in CUSTOMER_SOURCES} == {3}


def test_a_deployment_says_how_long_personal_data_is_kept(kafka: str, topic_prefix: str) -> None:
    """The settings' days reach the broker, and segments end soon enough that they are kept to."""
    kept_ms = Settings(signals_days=3, dead_letters_days=2).kept_ms()
    create_topics({"bootstrap.servers": kafka}, customers=1, prefix=topic_prefix, kept_ms=kept_ms)
    names = ("signals.web", "dead-letters", "actions.email", "merges")
    asked = [ConfigResource(ResourceType.TOPIC, topic_prefix + name) for name in names]
    admin = AdminClient({"bootstrap.servers": kafka})
    found = {asked.name: future.result() for asked, future in admin.describe_configs(asked).items()}
    days = {name: int(found[topic_prefix + name]["retention.ms"].value) / DAY_MS for name in names[:3]}
    assert days == {"signals.web": 3, "dead-letters": 2, "actions.email": 7}
    assert found[topic_prefix + "merges"]["retention.ms"].value == "-1"
    assert int(found[topic_prefix + "signals.web"]["segment.ms"].value) <= DAY_MS


def test_a_retention_that_was_set_later_is_told_and_altered_when_asked(kafka: str, topic_prefix: str) -> None:
    """Otherwise a deployment believes that signals are gone after 3 days which lie there for 30."""
    connection = {"bootstrap.servers": kafka}
    create_topics(connection, customers=1, prefix=topic_prefix)
    kept_ms = Settings(signals_days=3).kept_ms()
    name = f"{topic_prefix}signals.web"
    told = create_topics(connection, customers=1, prefix=topic_prefix, kept_ms=kept_ms)
    assert Difference(name, "retention.ms", str(30 * DAY_MS), str(3 * DAY_MS)) in told.differing
    assert {each.setting for each in told.differing} == {"retention.ms"}
    again = create_topics(connection, customers=1, prefix=topic_prefix, kept_ms=kept_ms, alter=True)
    assert again.differing == told.differing
    assert create_topics(connection, customers=1, prefix=topic_prefix, kept_ms=kept_ms).differing == ()


def test_the_command_says_what_differs(kafka: str, topic_prefix: str) -> None:
    settings = {"SADA_KAFKA": kafka, "SADA_TOPIC_PREFIX": topic_prefix, "SADA_PARTITIONS": "1"}
    runner, app = CliRunner(), build(["topics"])
    assert runner.invoke(app, ["topics"], env=settings).exit_code == 0
    told = runner.invoke(app, ["topics"], env={**settings, "SADA_DEAD_LETTERS_DAYS": "2"})
    assert told.exit_code == 0
    assert f"{topic_prefix}dead-letters: retention.ms is {14 * DAY_MS}, should be {2 * DAY_MS}" in told.output
    altered = runner.invoke(app, ["topics", "--alter"], env={**settings, "SADA_DEAD_LETTERS_DAYS": "2"})
    assert (altered.exit_code, "is now" in altered.output) == (0, True)


def test_another_partition_count_is_refused(kafka: str, topic_prefix: str) -> None:
    """State lies by partition: a topic with another count is named, with what to do."""
    connection = {"bootstrap.servers": kafka}
    create_topics(connection, customers=2, prefix=topic_prefix)
    with pytest.raises(TopicsError, match=r"signals\.web has 2 partitions instead of 5.*SADA_PARTITIONS"):
        create_topics(connection, customers=5, prefix=topic_prefix)


def test_state_with_deletion_is_refused(kafka: str, topic_prefix: str) -> None:
    """A changelog that forgets by age would lose customers."""
    connection = {"bootstrap.servers": kafka}
    admin = AdminClient(connection)
    name = topic_prefix + "customers-changelog"
    for future in admin.create_topics([NewTopic(name, 2, 1, config={"cleanup.policy": "delete"})]).values():
        future.result()
    with pytest.raises(TopicsError, match=r"cleanup\.policy=delete instead of compact"):
        create_topics(connection, customers=2, prefix=topic_prefix)


def test_no_broker_is_said_clearly() -> None:
    """A wrong address ends in words, not in a hang."""
    import schemas.admin as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TIMEOUT_S", 1.0)
        with pytest.raises(TopicsError, match=r"no answer from Kafka at 127\.0\.0\.1:1"):
            create_topics({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, customers=2)
