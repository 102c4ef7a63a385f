"""What a stateful job is to the lane: a plain function over (state, batch), and the values that cross the border.

A stage is data: where its records come from, which changelog holds its state, and the function that turns a
batch into changes and outputs. The lane runs it in Kafka transactions, one per batch, and knows nothing else of it.

Examples
--------
A word count, whole:

>>> def count(state, batch):
...     totals = {}
...     for record in batch.records:
...         for word in record.value.split():
...             totals[word] = totals.get(word, state.get(word) or 0) + 1
...     return Result(changes=totals, outputs=[Output("counts", word, b"%d" % n) for word, n in totals.items()])
>>> records = [Record("lines", 0, 7, 0, None, b"salam sada salam")]
>>> count({}, Batch(0, records, (), 0)).changes
{b'salam': 2, b'sada': 1}
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, NamedTuple, Protocol, TypeVar

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)

Headers = tuple[tuple[str, bytes | None], ...]

# State keys that begin so belong to the lane itself (the position record); a job never uses them.
LANE_KEY_PREFIX = b"\x00lane:"


class Record(NamedTuple):
    """One record of a source topic, as it lies in Kafka."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Output(NamedTuple):
    """One record to be produced in the batch's transaction.

    Without a partition it goes where murmur2 of its key says, as from any Java client.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: Headers = ()


class Failure(NamedTuple):
    """A record that cannot be processed: it becomes a dead letter in the same transaction.

    ``code`` is stable and machine-readable (``bad-avro``), ``detail`` says what, where and why to a person.
    """

    record: Record
    code: str
    detail: str


class Batch(NamedTuple):
    """The work of one transaction: records of one partition number, in order per topic.

    ``due`` are keys whose ``due_ms`` lies at or before ``stream_ms``, the stream time this partition had
    reached when the last batch was committed. A batch may hold due keys only and no records.
    ``read`` is the next offset of each source topic at the batch's beginning.
    """

    partition: int
    records: Sequence[Record]
    due: Sequence[bytes]
    stream_ms: int
    read: Mapping[str, int] = MappingProxyType({})


class State(Protocol[V_co]):
    """The committed state of one partition, as a job sees it while its batch runs."""

    def get(self, key: bytes, /) -> V_co | None:
        """Return the value under a key, decoded, or None.

        The job may change the value in place: it then names the key in ``Result.changes``. When the batch
        is aborted the lane forgets every value that it handed out.
        """
        ...


@dataclass(slots=True)
class Result(Generic[V]):
    """What a batch comes to: all of it is committed together, or none of it.

    Parameters
    ----------
    changes : new value per key; None deletes it (a tombstone in the changelog)
    outputs : records to produce, in order
    failures : records of this batch that go to the dead letters
    stream_ms : the stream time reached, epoch ms; None leaves it where it was; it never goes back
    renew : keys among the changes whose secret is replaced: all that was ever written under them before becomes
        unreadable with it (of a stage with a vault)
    """

    changes: Mapping[bytes, V | None] = field(default_factory=dict)
    outputs: Sequence[Output] = ()
    failures: Sequence[Failure] = ()
    stream_ms: int | None = None
    renew: Collection[bytes] = ()


Job = Callable[[State[V], Batch], Result[V]]


def never_due(value: object) -> int | None:  # noqa: ARG001 - the signature is the contract
    """Say that a value has no timer."""
    return None


def always(value: object) -> bool:  # noqa: ARG001 - the signature is the contract
    """Say that a value is personal."""
    return True


@dataclass(frozen=True, slots=True)
class Stage(Generic[V]):
    """A stateful job with its place in Kafka.

    Parameters
    ----------
    name : names the agent, the table and, with the app id and the partition, the transactional id
    sources : topics read; all have the same partition count, and so has the changelog
    changelog : compacted topic that holds the state
    job : the function; deterministic in (state, batch): a batch that fails may be run again in parts
    encode, decode : between a value and its bytes in the changelog
    due_ms : when a value wants to be woken, epoch ms of stream time, or None
    dead_letter : how a failure is written
    max_batch : most records per transaction. Larger is faster and slower to answer: 1,000 costs a
        commit of about 10 ms per 1,000 records
    linger_ms : how long a batch that is not full waits for more; None: as long as ``LaneConfig.commit_linger_ms``
    vault : compacted topic, of as many partitions as the changelog, that holds a secret per key; with it the values
        that are personal lie sealed, and a key that loses its secret is unreadable, whatever the changelog still
        holds of it (see ``vault``); needs ``LaneConfig.seal_key``
    personal : whether a value is sealed; all are, unless it says otherwise
    words : zstd dictionaries with which values are squeezed: the first one squeezes, the others are known when older
        values are read
    """

    name: str
    sources: tuple[str, ...]
    changelog: str
    job: Job[V]
    encode: Callable[[V], bytes]
    decode: Callable[[bytes], V]
    dead_letter: Callable[[Failure], Output]
    due_ms: Callable[[V], int | None] = never_due
    max_batch: int = 1000
    linger_ms: int | None = None
    vault: str | None = None
    personal: Callable[[V], bool] = always
    words: tuple[bytes, ...] = ()
