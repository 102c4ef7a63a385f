"""Brings a file into Kafka, exactly once: chunks of signals in transactions that carry the position with them."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from connectors.files.checkpoint import Progress
from connectors.files.located import FileError
from connectors.files.mapping import Rules
from connectors.files.rejects import Rejects
from connectors.files.rows import Place, Read, Reader
from connectors.files.shape import RowError, Shaper
from schemas.topics import DEAD_LETTERS, signals
from schemas.wire import codec_of
from streams.settings import Settings

# Signals per transaction: its commit costs about 15 ms, which 10,000 signals hide; a kill costs at most so much work.
CHUNK = 10_000
# Seconds after which a chunk ends even when it is not full, so that readers (read_committed) need not wait long.
CHUNK_S = 2.0
# Rows of one group held in memory; an order with more lines is a group_by on the wrong column.
MAX_GROUP = 10_000
# Rows that cannot be read, in a row, within an open group: then it is closed, so that commits go on.
MAX_BAD = 1_000
# Digests of groups seen, to notice one that comes again: about 100 bytes each.
MAX_GROUPS_KNOWN = 2_000_000
_TIMEOUT_S = 60.0


class ImportFailedError(Exception):
    """Kafka did not take the signals; what was committed stays, and the next run goes on from there."""


# A broker that has just started, or taken over, is still loading what it coordinates: it says so, and wants to be asked
# again. librdkafka marks that retriable for producers, not for consumers.
_LOADING = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError._WAIT_COORD,  # noqa: SLF001 - its public name in this client
    }
)
_ASK_AGAIN_S = 0.2

T = TypeVar("T")


def _patiently(ask: Callable[[], T]) -> T:
    """Ask until the coordinator is there, at most ``_TIMEOUT_S``."""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            return ask()
        except KafkaException as exc:
            error = exc.args[0]
            passing = error.retriable() or error.code() in _LOADING
            if not passing or time.monotonic() > deadline:
                raise
            time.sleep(_ASK_AGAIN_S)


class Sink:
    """Where signals go: Kafka, in transactions.

    Parameters
    ----------
    digest : identifies the import; two processes with one digest fence each other off

    Attributes
    ----------
    encode : a signal to its bytes in the topic
    """

    def __init__(self, settings: Settings, rules: Rules, digest: str) -> None:
        name = f"{settings.topic_prefix}{settings.app}.import.{digest[:32]}"
        self._topic = settings.topic(signals(rules.channel))
        self._letters = settings.topic(DEAD_LETTERS)
        self._rules = rules
        codecs = settings.codecs()
        self.encode = codecs.of(signals(rules.channel)).encode
        self._letter = codecs.of(DEAD_LETTERS)
        connection = settings.librdkafka()
        self._group = Consumer({**connection, "group.id": name, "enable.auto.commit": False})
        self._producer = Producer(
            {
                **connection,
                "transactional.id": name,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 20,
                "batch.num.messages": 10_000,
                "queue.buffering.max.messages": 4 * CHUNK,
            }
        )
        self._open = False

    def begin(self) -> Progress | None:
        """Fence off whoever imports the same, and return how far the committed signals go."""
        try:
            _patiently(lambda: self._producer.init_transactions(_TIMEOUT_S))
            found = _patiently(self._position)
        except KafkaException as exc:
            raise ImportFailedError(f"Kafka does not answer: {exc.args[0].str()}") from exc
        if found.offset < 0 or not found.metadata:
            return None
        return msgspec.json.decode(found.metadata, type=Progress)

    def _position(self) -> TopicPartition:
        found: TopicPartition = self._group.committed([TopicPartition(self._topic, 0)], timeout=_TIMEOUT_S)[0]
        if found.error is not None:
            raise KafkaException(found.error)
        return found

    def signal(self, value: bytes, key: bytes) -> None:
        """Write an encoded signal."""
        self._produce(self._topic, value, key)

    def dead_letter(self, read: Read, code: str, detail: str, file: str, at_ms: int) -> None:
        """Write a rejected row."""
        letter = {
            "code": code,
            "detail": f"{file}:{read.line}: {detail}",
            "stage": "import",
            "topic": file,
            "partition": -1,
            "offset": read.line,
            "key": None,
            "value": read.raw,
            "at_ms": at_ms,
        }
        self._produce(self._letters, self._letter.encode(letter), file.encode())

    def _produce(self, topic: str, value: bytes, key: bytes) -> None:
        while True:
            try:
                if not self._open:
                    self._producer.begin_transaction()
                    self._open = True
                self._producer.produce(topic, value, key)
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as exc:
                raise ImportFailedError(f"Kafka refused a signal: {exc.args[0].str()}") from exc
            else:
                return

    def commit(self, progress: Progress) -> None:
        """Commit signals and position together."""
        try:
            if not self._open:
                self._producer.begin_transaction()
            text = msgspec.json.encode(progress).decode()
            position = TopicPartition(self._topic, 0, progress.offset, text)
            group = self._group.consumer_group_metadata()
            _patiently(lambda: self._producer.send_offsets_to_transaction([position], group, _TIMEOUT_S))
            _patiently(lambda: self._producer.commit_transaction(_TIMEOUT_S))
        except KafkaException as exc:
            raise ImportFailedError(f"Kafka did not commit: {exc.args[0].str()}") from exc
        self._open = False

    def close(self) -> None:
        """Leave; an open transaction is aborted by its time-out or by the next run."""
        self._group.close()


@dataclass
class Counts:
    """What an import did, and why rows were rejected."""

    rows: int = 0
    signals: int = 0
    rejected: int = 0
    skipped: int = 0
    codes: Counter[str] = field(default_factory=Counter)


class Importer:
    """Reads, shapes and writes one file.

    Parameters
    ----------
    sink : None for a dry run
    rejects : where rejected rows go
    letters : rejected rows also go to the dead letters
    watch : told the place reached, after every chunk and now and then between
    stop : asked between rows whether to end early
    """

    def __init__(
        self,
        rules: Rules,
        reader: Reader,
        shaper: Shaper,
        *,
        file: str,
        sink: Sink | None,
        rejects: Rejects | None,
        letters: bool = False,
        watch: Callable[[Place, Counts], None] = lambda _, __: None,
        stop: Callable[[], bool] = lambda: False,
        committed: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._rules, self._reader, self._shaper = rules, reader, shaper
        self._file, self._sink, self._rejects, self._letters = file, sink, rejects, letters
        self._watch, self._stop, self._committed = watch, stop, committed
        self._encode = codec_of("signal").encode if sink is None else sink.encode
        self._known: set[bytes] = set()
        self.counts = Counts()
        # The first signals made, to show in a dry run.
        self.samples: list[object] = []

    def run(self, start: Progress) -> Progress:
        """Import from a place to the end, or until told to stop; return how far it came.

        Raises
        ------
        ImportFailedError
            when Kafka does not take the signals
        """
        self.counts = Counts(start.rows, start.signals, start.rejected, start.skipped)
        if self._rules.group_by and start.place != self._reader.start:
            self._learn_groups(start.place)
        in_chunk, chunk_ends = 0, time.monotonic() + CHUNK_S
        for group, after in self._groups(start.place):
            if group:
                self._write(group)
            in_chunk += 1
            if self._stop():
                return self._commit(after, done=False)
            if in_chunk >= CHUNK or time.monotonic() > chunk_ends:
                self._commit(after, done=False)
                in_chunk, chunk_ends = 0, time.monotonic() + CHUNK_S
        return self._commit(self._end, done=True)

    def _commit(self, place: Place, *, done: bool) -> Progress:
        counts = self.counts
        if self._rejects is not None:
            self._rejects.flush()
        progress = Progress(
            offset=place.offset,
            line=place.line,
            rows=counts.rows,
            signals=counts.signals,
            rejected=counts.rejected,
            skipped=counts.skipped,
            rejects_bytes=self._rejects.length if self._rejects is not None else 0,
            done=done,
        )
        if self._sink is not None:
            self._sink.commit(progress)
            self._committed(progress)
        self._watch(place, counts)
        return progress

    def _groups(self, place: Place) -> Iterator[tuple[list[Read], Place]]:
        """Yield the rows of each signal with the place after them.

        Whatever was read before that place is counted and rejected by then, nothing after it: a commit there is exact.
        Rows that cannot be read yield an empty group, so that commits go on in a file full of them.
        """
        group: list[Read] = []
        key: bytes | None = None
        bad = 0  # rows since the group's last that could not be read
        tainted = False
        self._end = place
        for read in self._reader.rows(place):
            if read.row is None:
                self.counts.rows += 1
                self._reject(read, read.code, read.detail)
                self._end = read.after
                bad += 1
                if not group:
                    yield [], read.after
                elif bad > MAX_BAD:
                    yield self._closed(group, key, tainted=True), read.after
                    group, key = [], None
                continue
            if not self._shaper.wanted(read.row):
                self.counts.rows += 1
                self.counts.skipped += 1
                self._end = read.after
                continue
            of = self._shaper.group(read.row)
            if of is None:
                self.counts.rows += 1
                yield [read], read.after
                self._end = read.after
                continue
            if group and (of != key or len(group) >= MAX_GROUP):
                yield self._closed(group, key, tainted=tainted), self._end
                group, tainted = [], False
            self.counts.rows += 1
            tainted = bool(group) and (tainted or bad > 0)
            group.append(read)
            key, bad = of, 0
            self._end = read.after
        if group:
            yield self._closed(group, key, tainted=tainted), self._end

    def _closed(self, group: list[Read], key: bytes | None, *, tainted: bool) -> list[Read]:
        """Return a whole group; nothing when it is broken, or comes a second time and its id is taken."""
        code = detail = ""
        if tainted:
            code, detail = "incomplete-group", "a row in the middle of its group was rejected"
        elif key is not None and key in self._known:
            code, detail = "split-group", f"rows with this {', '.join(self._rules.group_by)} came before; sort the file"
        if key is not None and len(self._known) < MAX_GROUPS_KNOWN:
            self._known.add(key)
        if not code:
            return group
        for read in group:
            self._reject(read, code, detail)
        return []

    def _learn_groups(self, until: Place) -> None:
        """Read again what was imported before, only to know its groups."""
        for read in self._reader.rows(self._reader.start):
            if read.after.offset > until.offset or len(self._known) >= MAX_GROUPS_KNOWN:
                return
            if read.row is not None and self._shaper.wanted(read.row):
                key = self._shaper.group(read.row)
                if key is not None:
                    self._known.add(key)

    def _write(self, group: list[Read]) -> None:
        """Write the signal of a group."""
        try:
            shaped = self._shaper.shape([read.row for read in group], time.time_ns() // 1_000_000)
            value = self._encode(shaped.signal)
        except RowError as exc:
            for read in group:
                self._reject(read, exc.code, str(exc))
            return
        except (ValueError, TypeError, OverflowError) as exc:  # what the schema refuses: a sum beyond 64 bits, say
            for read in group:
                self._reject(read, "bad-value", f"does not fit the schema: {type(exc).__name__}")
            return
        self.counts.signals += 1
        if self._sink is not None:
            self._sink.signal(value, shaped.key)
        elif len(self.samples) < 3:
            self.samples.append(shaped.signal)

    def _reject(self, read: Read, code: str, detail: str) -> None:
        self.counts.rejected += 1
        self.counts.codes[code] += 1
        if self._rejects is not None:
            self._rejects.add(read.line, code, detail, read.raw)
        if self._letters and self._sink is not None:
            self._sink.dead_letter(read, code, detail, self._file, time.time_ns() // 1_000_000)


def starting_point(reader: Reader, broker: Progress | None, local: Progress | None) -> Progress:
    """Return where to begin: what the broker committed counts; the file where the broker has forgotten."""
    if broker is not None and local is not None and local.offset > broker.offset:
        raise FileError("the checkpoint is ahead of the broker: another Kafka? Use --again, or another SADA_VAR")
    known = broker or local
    return known if known is not None else Progress(offset=reader.start.offset, line=reader.start.line)
