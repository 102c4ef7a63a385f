"""Run a job on a batch; when it raises, find the records to blame and let the rest through.

Nothing here touches Kafka: what comes out is written by one transaction, or not at all.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from confluent_kafka import KafkaException

from streams.lane.due import checked
from streams.lane.errors import LaneError, OversizeError
from streams.lane.job import LANE_KEY_PREFIX, Batch, Failure, Output, Record, Result, Stage, State, never_due
from streams.lane.views import CachedView, OverlaidView, Values

log = logging.getLogger(__name__)

V = TypeVar("V")

# What a dead letter may add to the record in it (envelope, reason), bytes; also kept free in each message.
ENVELOPE_BYTES = 4_096


@dataclass(slots=True)
class Applied(Generic[V]):
    """What a batch comes to, in bytes, and what the caches need to know of it.

    Parameters
    ----------
    changes : bytes per changed key; None deletes
    values, due : decoded value and due time per changed key
    outputs : dead letters included
    failures : number of dead letters among the outputs
    renew : changed keys whose secret is replaced
    stream_ms : stream time reached, or None
    """

    changes: dict[bytes, bytes | None] = field(default_factory=dict)
    values: dict[bytes, V | None] = field(default_factory=dict)
    due: dict[bytes, bytes] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    failures: int = 0
    stream_ms: int | None = None
    renew: set[bytes] = field(default_factory=set)


class Applier(Generic[V]):
    """Runs one stage's job on the batches of one partition.

    Parameters
    ----------
    stage : whose job
    store : committed values of the partition
    message_max_bytes : an output or value beyond it blames the record that caused it
    decoded_bytes : bound on the decoded values to keep, in encoded bytes
    """

    def __init__(self, stage: Stage[V], store: Values, *, message_max_bytes: int, decoded_bytes: int) -> None:
        self._stage = stage
        self._store = store
        self._room = message_max_bytes - ENVELOPE_BYTES
        self.view = CachedView[V](store, stage.decode, decoded_bytes)
        self._has_timers = stage.due_ms is not never_due

    def apply(self, batch: Batch) -> Applied[V]:
        """Run the job on a batch.

        Raises
        ------
        LaneError, KafkaException, MemoryError
            for what is not a record's fault; everything else becomes dead letters
        """
        try:
            return self._run(self.view, batch)
        except (KafkaException, MemoryError):
            raise
        except LaneError as exc:
            if not isinstance(exc, OversizeError):
                raise
        except Exception as exc:  # noqa: BLE001 - whatever a job raises is told apart below, record by record
            log.debug("stage %s: a batch raised %r, trying it in parts", self._stage.name, exc)
        self.view.forget()
        applied: Applied[V] = Applied()
        self._in_parts(batch, applied)
        return applied

    def _run(self, state: State[V], batch: Batch) -> Applied[V]:
        """Run the job and check and encode all that it returned."""
        result = self._stage.job(state, batch)
        applied: Applied[V] = Applied(stream_ms=result.stream_ms)
        self._encode_changes(result, applied)
        applied.outputs.extend(result.outputs)
        for output in applied.outputs:
            size = len(output.value or b"") + len(output.key or b"")
            if size > self._room:
                raise OversizeError(f"an output to {output.topic} has {size} bytes, at most {self._room} go")
        for failure in result.failures:
            self._add_dead_letter(failure, applied)
        return applied

    def _encode_changes(self, result: Result[V], applied: Applied[V]) -> None:
        encode, due_ms, room = self._stage.encode, self._stage.due_ms, self._room
        for key, value in result.changes.items():
            if key.startswith(LANE_KEY_PREFIX):
                raise ValueError(f"state key {key!r} begins with the prefix that belongs to the lane")
            raw = None if value is None else encode(value)
            if raw is not None and len(raw) + len(key) > room:
                raise OversizeError(f"the value of a key has {len(raw)} bytes, at most {room} go into the changelog")
            applied.changes[key] = raw
            if self._has_timers:
                applied.due[key] = checked(None if value is None else due_ms(value))
        applied.values.update(result.changes)
        applied.renew.update(result.renew)
        if not applied.renew <= applied.changes.keys():
            raise ValueError(
                "the value of a key whose secret is renewed must be among the changes: the old one opens it"
            )

    def _in_parts(self, batch: Batch, applied: Applied[V]) -> None:
        """Run a batch that raised in halves, down to single records, each over the changes of those before it."""
        for part in _halves(batch):
            view = OverlaidView[V](self._store, self._stage.decode, applied.changes)
            try:
                _merge(applied, self._run(view, part))
            except (KafkaException, MemoryError):
                raise
            except Exception as exc:
                if isinstance(exc, LaneError) and not isinstance(exc, OversizeError):
                    raise
                if len(part.records) + len(part.due) > 1:
                    self._in_parts(part, applied)
                else:
                    self._blame(part, exc, applied)

    def _blame(self, part: Batch, exc: Exception, applied: Applied[V]) -> None:
        """Make a dead letter of the single record, or due key, on which the job raised."""
        if part.records:
            record = part.records[0]
            what = f"{record.topic}[{record.partition}] at offset {record.offset}"
        else:
            # A due key has no record: its state stands in, at offset -1 of the changelog; but not where state is
            # sealed, since a dead letter outlives it.
            key = part.due[0]
            value = None if self._stage.vault else self._store.get(key)
            record = Record(self._stage.changelog, part.partition, -1, part.stream_ms, key, value)
            what = f"a due key of {record.topic}[{record.partition}]"
        # The message may quote the record, so it goes into the dead letter only, never into the log.
        log.warning("stage %s: dead letter for %s: %s", self._stage.name, what, type(exc).__name__)
        self._add_dead_letter(
            Failure(record, "job-error", f"{type(exc).__name__}: {exc}"[: ENVELOPE_BYTES // 4]), applied
        )

    def _add_dead_letter(self, failure: Failure, applied: Applied[V]) -> None:
        output = self._stage.dead_letter(failure)
        if len(output.value or b"") + len(output.key or b"") > self._room:
            output = self._stage.dead_letter(_cut(failure, self._room))
        applied.outputs.append(output)
        applied.failures += 1


def _cut(failure: Failure, room: int) -> Failure:
    """Return the failure with a record that fits into a dead letter, saying how much was cut."""
    record = failure.record
    # A quarter: an encoder may double the bytes (hex), the key may be as large as the value.
    keep = room // 4
    value = None if record.value is None else record.value[:keep]
    key = None if record.key is None else record.key[:keep]
    size = len(record.value or b"") + len(record.key or b"")
    detail = f"{failure.detail} (record of {size} bytes cut to fit)"
    return Failure(record._replace(key=key, value=value, headers=()), failure.code, detail)


def _halves(batch: Batch) -> Sequence[Batch]:
    """Return the parts of a batch in the order in which they are to run: due keys first, then records."""
    if batch.due and batch.records:
        return (batch._replace(records=()), batch._replace(due=()))
    if len(batch.records) + len(batch.due) <= 1:
        return (batch,)
    records, due = batch.records, batch.due
    if records:
        middle = len(records) // 2
        return (batch._replace(records=records[:middle]), batch._replace(records=records[middle:]))
    middle = len(due) // 2
    return (batch._replace(due=due[:middle]), batch._replace(due=due[middle:]))


def _merge(into: Applied[V], part: Applied[V]) -> None:
    into.changes.update(part.changes)
    into.values.update(part.values)
    into.due.update(part.due)
    into.outputs.extend(part.outputs)
    into.failures += part.failures
    into.renew |= part.renew
    if part.stream_ms is not None:
        into.stream_ms = part.stream_ms if into.stream_ms is None else max(into.stream_ms, part.stream_ms)
