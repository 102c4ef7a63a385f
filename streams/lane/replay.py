"""Recovery: read the changelogs of some partitions into their stores, in chunks, the last write per key winning.

A changelog's last offset is usually a commit marker and never a record, so the end is reached when the reader's
*position* reaches the high watermark that stood when the reading began; that is checked on empty reads too. The
watermark is final: each partition's producer was opened before, so nobody else can write there.
"""

import gc
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.lane.config import LaneConfig
from streams.lane.due import NO_DUE, noted
from streams.lane.errors import PositionError, TransactionError
from streams.lane.job import LANE_KEY_PREFIX
from streams.lane.store import NOTHING_REFLECTED, Changes, Store
from streams.lane.timers import Timers

log = logging.getLogger(__name__)

# 10,000 records: large enough that the call costs nothing per record. 20 ms: what a call waits for so many, and so
# what recovery takes at least.
CHUNK = 10_000
POLL_S = 0.02
WATERMARK_S = 30.0
# 16 MB instead of librdkafka's 64 per partition: the broker is ahead of us all the same, and a worker's memory after
# recovery is what its peak was.
AHEAD_KB = 16_384
# 2 ms instead of librdkafka's second: 16 MB are read within a third of one, and the rest of it nothing came.
AGAIN_MS = 2


# Topic and partition.
Place = tuple[str, int]


class Source(NamedTuple):
    """A changelog partition, and the store and timers that it fills.

    ``undated`` gets the keys whose due times do not lie beside them; None: the stage has no timers. ``told`` is called
    with what each chunk changes.
    """

    topic: str
    partition: int
    store: Store
    timers: Timers
    undated: set[bytes] | None = None
    told: Callable[[Changes], None] | None = None


class _Reading(NamedTuple):
    source: Source
    end: int


def _take(records: Sequence[Message], source: Source) -> None:
    """Write records of one partition to store and timers: the last one per key, and when its key is due."""
    reached = records[-1].offset()
    if None in (keys := list(map(Message.key, records))):  # nobody's; the lane writes none
        records = [message for message in records if message.key() is not None]
        keys = list(map(Message.key, records))
    values = list(map(Message.value, records))
    changes = dict(zip(keys, values, strict=True))
    due = NO_DUE if source.undated is None else noted(keys, values, map(Message.headers, records))
    source.store.write(changes, reached, due)
    if source.told is not None:
        source.told(changes)
    if source.undated is None:
        return
    source.timers.set_all(due)
    if source.undated:
        source.undated.difference_update(due)
    if len(due) < len(changes):
        source.undated.update(key for key in changes if key not in due and not key.startswith(LANE_KEY_PREFIX))


def replay(
    config: LaneConfig, sources: Sequence[Source], *, progress: Callable[[int], None], stopped: Callable[[], bool]
) -> bool:
    """Fill the stores from where they stand to the end of their changelogs.

    Parameters
    ----------
    sources : what to read
    progress : called with the number of records of each chunk
    stopped : asked between chunks; a reading that is stopped may be taken up again later

    Returns
    -------
    False when it was stopped before the end

    Raises
    ------
    PositionError
        when a store reflects more than its changelog holds
    TransactionError
        when Kafka fails for good
    """
    if not sources:
        return True
    consumer = Consumer(
        config.librdkafka()
        | {
            # Never joins a group or commits; librdkafka wants a name.
            "group.id": f"{config.app}-recovery",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": config.fetch_wait_ms,
            "queued.max.messages.kbytes": AHEAD_KB,
            "fetch.queue.backoff.ms": AGAIN_MS,
        },
        logger=log,
    )
    # Millions of messages come and go, and no cycles with them: looking for some costs a tenth.
    collects = gc.isenabled()
    gc.disable()
    try:
        left = _start(consumer, sources)
        while left:
            if stopped():
                return False
            _read_chunk(consumer, left, progress)
    except KafkaException as exc:
        raise TransactionError(f"recovery: {exc}") from exc
    else:
        return True
    finally:
        if collects:
            gc.enable()
        consumer.close()


def _start(consumer: Consumer, sources: Sequence[Source]) -> dict[Place, _Reading]:
    """Assign every changelog from where its store stands; leave out those already at their end."""
    left: dict[Place, _Reading] = {}
    starts: list[TopicPartition] = []
    for source in sources:
        topic, partition, store = source.topic, source.partition, source.store
        low, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=WATERMARK_S)
        if store.offset >= end:
            raise PositionError(
                f"{topic}[{partition}] ends at offset {end}, but the local store reflects offset {store.offset}: "
                "the topic was created anew. Remove the store's directory, and reset the stage as a whole."
            )
        first = low if store.offset == NOTHING_REFLECTED else store.offset + 1
        if first >= end:
            continue
        left[topic, partition] = _Reading(source, end)
        starts.append(TopicPartition(topic, partition, OFFSET_BEGINNING if first <= low else first))
    if starts:
        consumer.assign(starts)
    return left


def _read_chunk(consumer: Consumer, left: dict[Place, _Reading], progress: Callable[[int], None]) -> None:
    messages = consumer.consume(CHUNK, POLL_S)
    records: dict[Place, list[Message]] = defaultdict(list)
    begin = 0
    # What is fetched lies in runs of one partition: finding out whose a record is costs next to nothing.
    for at, run in groupby(zip(map(Message.topic, messages), map(Message.partition, messages), strict=True)):
        end = begin + sum(1 for _ in run)
        records[at] += messages[begin:end]
        begin = end
    ended: dict[Place, int] = {}
    for at, found in records.items():
        said = [message for message in found if message.error() is not None]
        if said:
            ended[at] = _ended(said)
        told = [message for message in found if message.error() is None] if said else found
        if told and at in left:
            _take(told, left[at].source)
    progress(len(messages))
    for at, reading in list(left.items()):
        if max(ended.get(at, 0), reading.source.store.offset + 1) >= reading.end:
            del left[at]


def _ended(said: Sequence[Message]) -> int:
    """Return where a partition ends: its position past commit markers; librdkafka's stops at the last record."""
    for message in said:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's name
            raise KafkaException(error)
    return max(int(message.offset()) for message in said)
