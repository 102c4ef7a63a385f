"""Recovery: read the changelogs of some partitions into their stores, in chunks, the last write per key winning.

The high watermark that stood when the reading began is final: each partition's producer was opened before, so nobody
else can write there.
"""

import gc
import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.lane.config import LaneConfig, LibrdkafkaConfig
from streams.lane.due import DUE_BYTES
from streams.lane.errors import PositionError, TransactionError
from streams.lane.job import LANE_KEY_PREFIX
from streams.lane.runs import Run, Span, runs, runs_of_another
from streams.lane.store import NOTHING_REFLECTED, Changes, Store
from streams.lane.timers import Timers

log = logging.getLogger(__name__)

WATERMARK_S = 30.0
# 16 MB instead of librdkafka's 64 per partition: the broker is ahead of us all the same, and a worker's memory after
# recovery is what its peak was.
AHEAD_KB = 16_384
# 2 ms instead of librdkafka's second: 16 MB are read within a third of one, and the rest of it nothing came.
AGAIN_MS = 2
# 10 ms instead of 500: how long the broker waits for more at the end, where there is none.
END_MS = 10
# 8 MB instead of 1: a quarter less time for a million small records.
AT_ONCE_BYTES = 8 << 20
# 50,000 records: fewer are read before another process has begun, some 0.3 s.
MANY = 50_000


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


def _take(run: Run, source: Source) -> None:
    """Write a run to store and timers: the last value per key, and when its key is due."""
    source.store.write(run.changes, run.reached, run.due)
    if source.told is not None:
        source.told(run.changes)
    if source.undated is None:
        return
    due = run.due
    if not set(map(len, due.values())) <= {0, DUE_BYTES}:
        raise PositionError(
            f"{source.topic}[{source.partition}] holds a due time that has not {DUE_BYTES} bytes, up to offset "
            f"{run.reached}. Who but the lane writes there?"
        )
    source.timers.set_all(due)
    if source.undated:
        source.undated.difference_update(due)
    if len(due) < len(run.changes):
        source.undated.update(key for key in run.changes if key not in due and not key.startswith(LANE_KEY_PREFIX))


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
    # Millions of objects come and go, and no cycles with them: looking for some costs a tenth.
    collects = gc.isenabled()
    gc.disable()
    try:
        reading = _config(config)
        found = _spans(reading, sources)
        if not found:
            return True
        spans = [span for span, _ in found]
        many = sum(span.end - span.first for span in spans) > MANY
        with closing(runs_of_another(reading, spans) if many else runs(reading, spans)) as chunks:
            for chunk in chunks:
                if stopped():
                    return False
                for run in chunk:
                    _take(run, found[run.span][1])
                progress(sum(run.records for run in chunk))
    except KafkaException as exc:
        raise TransactionError(f"recovery: {exc}") from exc
    else:
        return True
    finally:
        if collects:
            gc.enable()


def _config(config: LaneConfig) -> LibrdkafkaConfig:
    return config.librdkafka() | {
        # Never joins a group or commits; librdkafka wants a name.
        "group.id": f"{config.app}-recovery",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "fetch.wait.max.ms": END_MS,
        "max.partition.fetch.bytes": AT_ONCE_BYTES,
        "queued.max.messages.kbytes": AHEAD_KB,
        "fetch.queue.backoff.ms": AGAIN_MS,
    }


def _spans(config: LibrdkafkaConfig, sources: Sequence[Source]) -> list[tuple[Span, Source]]:
    """Return what is to be read of each changelog, from where its store stands; those already at their end not."""
    found: list[tuple[Span, Source]] = []
    if not sources:
        return found
    consumer = Consumer(dict(config), logger=log)
    try:
        for source in sources:
            topic, partition, store = source.topic, source.partition, source.store
            low, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=WATERMARK_S)
            if store.offset >= end:
                raise PositionError(
                    f"{topic}[{partition}] ends at offset {end}, but the local store reflects offset {store.offset}: "
                    "the topic was created anew. Remove the store's directory, and reset the stage as a whole."
                )
            first = low if store.offset == NOTHING_REFLECTED else store.offset + 1
            if first < end:
                # Never "from the beginning": librdkafka then asks where that is, and takes half a second over it.
                found.append((Span(topic, partition, max(first, low), end, source.undated is not None), source))
    finally:
        consumer.close()
    return found
