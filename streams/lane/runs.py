"""What recovery reads of changelogs, chunk by chunk: here, or in a process of its own that reads ahead.

A million customers are six million records, and whoever makes Python objects of them is busy for half a minute. Two
processes share that work: one asks librdkafka for records and finds the last one per key, the other, the worker, puts
it into stores and tables. What they say to each other is a ``Run``, in MessagePack, through a pipe.
"""

import contextlib
import fcntl
import logging
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from itertools import groupby
from multiprocessing.connection import Connection
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.lane.config import LibrdkafkaConfig
from streams.lane.due import noted
from streams.lane.errors import TransactionError

log = logging.getLogger(__name__)

# 10,000 records: large enough that the call costs nothing per record. 20 ms: what a call waits for so many, and so
# what recovery takes at least.
CHUNK = 10_000
POLL_S = 0.02
# 1 MiB, the most that Linux gives without being asked by root: a chunk is some 5 MB.
_PIPE_BYTES = 1 << 20

# Topic and partition.
Place = tuple[str, int]


class Span(msgspec.Struct, array_like=True, frozen=True):
    """What is to be read of one partition: from offset ``first`` up to the offset ``end``.

    ``dated``: its records say when their keys are due.
    """

    topic: str
    partition: int
    first: int
    end: int
    dated: bool


class Run(msgspec.Struct, array_like=True):
    """Consecutive records of one span.

    Parameters
    ----------
    span : its number
    records : how many there were
    reached : offset of the last one
    changes : the last value of each key; None deletes it
    due : as ``due.noted``
    """

    span: int
    records: int
    reached: int
    changes: dict[bytes, bytes | None]
    due: dict[bytes, bytes]


class _Asked(msgspec.Struct, array_like=True):
    """What the other process is to read."""

    config: dict[str, Any]
    spans: list[Span]


class _Told(msgspec.Struct, array_like=True):
    """What it says: some runs, often none; at last that it has ended, or why it cannot."""

    runs: list[Run]
    ended: bool = False
    error: str = ""


def runs(config: Mapping[str, Any], spans: Sequence[Span]) -> Generator[list[Run], None, None]:
    """Read spans to their ends, in this process; yields nothing but runs, now and then none.

    A changelog's last offset is usually a commit marker and never a record, so an end is reached when the reader's
    *position* reaches it; librdkafka tells that at the end of what there is.

    Raises
    ------
    KafkaException
        when Kafka fails for good
    """
    consumer = Consumer(dict(config), logger=log)
    try:
        starts = [TopicPartition(s.topic, s.partition, s.first) for s in spans]
        consumer.assign(starts)
        numbers = {(span.topic, span.partition): number for number, span in enumerate(spans)}
        left = {place: spans[number].end for place, number in numbers.items()}
        while left:
            found = []
            for place, records in _by_place(consumer.consume(CHUNK, POLL_S)).items():
                told, position = _told(records)
                if told and place in left:
                    run = _run(told, numbers[place], dated=spans[numbers[place]].dated)
                    position = max(position, run.reached + 1)
                    found.append(run)
                if position >= left.get(place, position + 1):
                    del left[place]
            yield found
    finally:
        consumer.close()


def _by_place(messages: Sequence[Message]) -> dict[Place, list[Message]]:
    """Return records by partition: they lie in runs, so finding out whose each is costs next to nothing."""
    found: dict[Place, list[Message]] = defaultdict(list)
    begin = 0
    for place, run in groupby(zip(map(Message.topic, messages), map(Message.partition, messages), strict=True)):
        end = begin + sum(1 for _ in run)
        found[place] += messages[begin:end]
        begin = end
    return found


def _told(records: list[Message]) -> tuple[list[Message], int]:
    """Return the records, and where the partition ends if that was said, else 0.

    It ends past commit markers; librdkafka's own position stops at the last record.
    """
    said = [message for message in records if message.error() is not None]
    for message in said:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's name
            raise KafkaException(error)
    if not said:
        return records, 0
    ends = max(int(message.offset()) for message in said)
    return [message for message in records if message.error() is None], ends


def _run(records: Sequence[Message], span: int, *, dated: bool) -> Run:
    count, reached = len(records), records[-1].offset()
    if None in (keys := list(map(Message.key, records))):  # nobody's; the lane writes none
        records = [message for message in records if message.key() is not None]
        keys = list(map(Message.key, records))
    values = list(map(Message.value, records))
    due = noted(keys, values, map(Message.headers, records)) if dated else {}
    return Run(span, count, reached, dict(zip(keys, values, strict=True)), due)


# ── in a process of its own ───────────────────────────────────────────────────────────────────────────────────────


def runs_of_another(config: LibrdkafkaConfig, spans: Sequence[Span]) -> Generator[list[Run], None, None]:
    """Read as ``runs``, in a process of its own, which ends with this iterator or with this process.

    Raises
    ------
    TransactionError
        when it cannot read on, or ends before all is read
    """
    command = (sys.executable, "-m", "streams.lane.runs")
    with subprocess.Popen(  # noqa: S603 - ourselves
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            asked, out = process.stdin, process.stdout
            assert asked is not None and out is not None  # noqa: S101, PT018 - both are pipes
            _widen(out)
            with contextlib.suppress(BrokenPipeError), asked:  # closing writes, too; it says why it has ended
                asked.write(msgspec.msgpack.encode(_Asked(dict(config), list(spans))))
            decode = msgspec.msgpack.Decoder(_Told).decode
            with Connection(os.dup(out.fileno()), writable=False) as told:
                while (frame := _received(told)) is not None:
                    found = decode(frame)
                    if found.error:
                        raise TransactionError(found.error)
                    if found.ended:
                        return
                    yield found.runs
            raise TransactionError(f"the process that reads changelogs ended with code {process.wait()}")
        finally:
            process.kill()


def _widen(pipe: Any) -> None:
    """Let more lie in a pipe, where the system can: Linux."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):  # a container may allow less
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _received(told: "Connection[Any, Any]") -> bytes | None:
    """Return what is said next, None when nobody says anything any more."""
    try:
        return told.recv_bytes()
    except EOFError:
        return None
    except OSError as exc:
        raise TransactionError(f"the process that reads changelogs breaks off: {exc}") from exc


def serve() -> None:
    """Read what standard input asks for, and tell it on standard output: the other process."""
    asked = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=_Asked)
    out = Connection(os.dup(sys.stdout.fileno()), readable=False)
    encode = msgspec.msgpack.Encoder().encode
    try:
        for found in runs(asked.config, asked.spans):
            out.send_bytes(encode(_Told(found)))  # also when there is none: so it notices that nobody listens any more
        out.send_bytes(encode(_Told([], ended=True)))
    except KafkaException as exc:
        out.send_bytes(encode(_Told([], error=f"{exc}")))
    except BrokenPipeError:
        # The worker has stopped, or is gone. Nothing is left to be told, nor to be flushed at the interpreter's end.
        os._exit(0)


if __name__ == "__main__":
    serve()
