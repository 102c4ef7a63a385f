"""``sada topics`` against a real broker."""

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.admin import TopicsError, create_topics
from schemas.topics import CUSTOMER_SOURCES, TOPICS

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
