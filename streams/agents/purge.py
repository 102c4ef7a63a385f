"""Deletes what workers have read of a topic that is theirs alone, as Kafka Streams does with its repartition topics.

Messages between nodes carry whole customers and raw signals. Once a partition's position behind a message is committed
nobody will ever read it again, so it need not wait for its retention: for readers it is gone within ``EVERY_S``, on the
broker's disk when its segment ends.

A worker deletes below positions that itself has committed. One that is no longer the owner does no harm by that: the
owner began at such a position or later, and positions never go back.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

log = logging.getLogger(__name__)

# 30 s: a request of a few hundred bytes to each broker, twice a minute.
EVERY_S = 30.0
_ANSWER_S = 10.0


class Purge:
    """Deletes below committed positions.

    Parameters
    ----------
    connection : librdkafka's connection settings
    committed : returns the next offset to read of each source partition owned, as of its last commit
    topics : full names of those that nobody else reads
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        committed: Callable[[], Mapping[tuple[str, int], int]],
        topics: Collection[str],
    ) -> None:
        self._admin = AdminClient({**connection, "log_level": 0, "error_cb": lambda _: None})
        self._committed = committed
        self._topics = frozenset(topics)
        self._deleted: dict[tuple[str, int], int] = {}

    def once(self) -> dict[tuple[str, int], int]:
        """Delete what can be; return up to where, by partition; what failed is left to the next round."""
        at = {place: offset for place, offset in self._committed().items() if place[0] in self._topics}
        more = {place: offset for place, offset in at.items() if offset > self._deleted.get(place, 0)}
        if not more:
            return {}
        asked = [TopicPartition(topic, partition, offset) for (topic, partition), offset in more.items()]
        done: dict[tuple[str, int], int] = {}
        for part, answer in self._admin.delete_records(asked, operation_timeout=_ANSWER_S).items():
            place = (part.topic, part.partition)
            try:
                answer.result(2 * _ANSWER_S)
            except KafkaException as exc:
                # A leader that moves, a broker that starts: the next round asks again.
                log.warning("%s[%d] is not purged: %s", *place, exc.args[0].str())
                continue
            done[place] = more[place]
        self._deleted.update(done)
        return done

    async def run(self, every_s: float = EVERY_S) -> None:
        """Purge for ever."""
        while True:
            await asyncio.sleep(every_s)
            await asyncio.to_thread(self.once)
