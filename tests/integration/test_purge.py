"""Messages between nodes are deleted once they were read, and never before."""

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.agents.purge import Purge


def test_only_what_is_committed_is_deleted(kafka: str, topic_prefix: str) -> None:
    """Below the position nothing is left, from it on everything; other topics and a wrong offset do no harm."""
    name, other = f"{topic_prefix}inbox", f"{topic_prefix}other"
    connection = {"bootstrap.servers": kafka}
    admin = AdminClient(connection)
    for future in admin.create_topics([NewTopic(name, 2), NewTopic(other, 2)]).values():
        future.result()
    producer = Producer(connection)
    for topic in (name, other):
        for partition in (0, 1):
            for number in range(10):
                producer.produce(topic, str(number), partition=partition)
    assert producer.flush(10) == 0
    committed = {(name, 0): 7, (other, 0): 10}
    purge = Purge(connection, lambda: committed, [name])
    assert purge.once() == {(name, 0): 7}
    reader = Consumer({**connection, "group.id": f"{topic_prefix}look"})
    starts = {
        place: reader.get_watermark_offsets(TopicPartition(*place), timeout=10)[0]
        for place in ((name, 0), (name, 1), (other, 0))
    }
    assert starts == {(name, 0): 7, (name, 1): 0, (other, 0): 0}
    assert purge.once() == {}, "what is deleted is asked for again"
    committed[(name, 0)] = 99  # beyond the end: the broker refuses, and the next round asks again
    assert purge.once() == {}
    committed[(name, 0)] = 10
    assert purge.once() == {(name, 0): 10}
    reader.close()
