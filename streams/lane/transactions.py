"""One transactional producer: everything a batch comes to is written together, or not at all."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.lane.config import LaneConfig
from streams.lane.due import NO_DUE, Due, headers_of
from streams.lane.errors import FencedError, TransactionError
from streams.lane.job import Output

log = logging.getLogger(__name__)

# 10 s: one try of a blocking call; the deadline is the sum of tries.
CALL_S = 10.0
# 60 s: longer than a broker takes to restart or a coordinator to move; after it the process ends.
DEADLINE_S = 60.0
# 50 ms: how long to wait for room in librdkafka's queue, the time of a few produce requests.
ROOM_WAIT_S = 0.05
# 1,000,000: a batch's outputs and changes all fit (10,000 records with 100 outputs each), 1 GB caps the bytes.
QUEUE_MESSAGES = 1_000_000

_FENCED = frozenset(
    {KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}  # noqa: SLF001 - librdkafka's names
)


class AbortedError(Exception):
    """The transaction was aborted by need and may be tried again: nothing of it is visible."""


@dataclass(slots=True)
class Reached:
    """Where the last message of a transaction came to lie in the changelog."""

    offset: int = -1


class Transactions:
    """The producer of one partition of one stage.

    ``open`` is the fence: it aborts whatever an earlier owner of the same id left open, and from then on that
    owner's commits are refused by the broker.
    """

    def __init__(self, config: LaneConfig, transactional_id: str) -> None:
        self._id = transactional_id
        self._broken = False
        self._producer = Producer(
            config.librdkafka()
            | {
                "transactional.id": transactional_id,
                "transaction.timeout.ms": int(config.transaction_timeout_s * 1000),
                # As any Java client partitions; a null key goes to a random partition.
                "partitioner": "murmur2_random",
                "linger.ms": config.producer_linger_ms,
                "compression.type": config.compression,
                "message.max.bytes": config.message_max_bytes,
                "queue.buffering.max.messages": QUEUE_MESSAGES,
            },
            logger=log,
        )

    def open(self) -> None:
        """Fence earlier owners and make ready for ``begin``.

        Raises
        ------
        TransactionError
            when the coordinator does not answer within the deadline, or refuses
        """
        self._until_done("init_transactions", self._producer.init_transactions)

    def begin(self) -> None:
        """Begin a transaction."""
        self._until_done("begin_transaction", lambda _timeout: self._producer.begin_transaction())

    def produce(self, outputs: Iterable[Output]) -> None:
        """Queue outputs; one without a partition goes where murmur2 of its key says."""
        produce = self._producer.produce
        for topic, key, value, partition, headers in outputs:
            while True:
                try:
                    if headers:
                        produce(topic, value, key, -1 if partition is None else partition, headers=list(headers))
                    else:
                        produce(topic, value, key, -1 if partition is None else partition)
                    break
                except BufferError:
                    self._producer.poll(ROOM_WAIT_S)
                except KafkaException as exc:
                    self._raise("produce", exc)

    def produce_changes(
        self,
        changelog: str,
        partition: int,
        changes: Mapping[bytes, bytes | None],
        due: Due = NO_DUE,
    ) -> None:
        """Queue one changelog record per changed key, on this very partition, with its due time beside it."""
        self.produce(
            Output(changelog, key, value, partition, headers_of(key, value, due)) for key, value in changes.items()
        )

    def produce_position(self, changelog: str, partition: int, key: bytes, value: bytes) -> Reached:
        """Queue the position record, last of its transaction; its offset is known after the commit."""
        reached = Reached()

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                reached.offset = message.offset()

        while True:
            try:
                self._producer.produce(changelog, value, key, partition, on_delivery=delivered)
            except BufferError:
                self._producer.poll(ROOM_WAIT_S)
            except KafkaException as exc:
                self._raise("produce", exc)
            else:
                return reached

    def commit(self) -> None:
        """Deliver everything and commit.

        Raises
        ------
        AbortedError
            when the broker wants the transaction aborted: it was, and the batch may be tried again
        FencedError
            when another worker owns the partition now
        TransactionError
            for all else: whether the commit took place is for the next owner to find out
        """
        self._until_done("commit_transaction", self._producer.commit_transaction)

    def abort(self) -> None:
        """Abort the open transaction: nothing of it will ever be seen."""
        self._until_done("abort_transaction", self._producer.abort_transaction)

    def close(self) -> None:
        """Let go of the connection.

        After an error for good nothing is done: librdkafka would try to abort what it may not, and the process ends.
        """
        if not self._broken:
            self._producer.close()

    def _until_done(self, name: str, call: Callable[[float], None]) -> None:
        """Call until it is done, fails for good, or the deadline passes; retriable errors are tried again."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                call(CALL_S)
            except KafkaException as exc:
                error = exc.args[0]
                if not error.retriable() or time.monotonic() > deadline:
                    self._raise(name, exc)
                log.info("%s: %s will be tried again: %s", self._id, name, error)
            else:
                return

    def _raise(self, name: str, exc: KafkaException) -> NoReturn:
        error = exc.args[0]
        what = f"{self._id}: {name}: {error.name()}: {error.str()}"
        if error.txn_requires_abort() and not error.fatal():
            self.abort()
            raise AbortedError(what) from exc
        self._broken = True
        if error.code() in _FENCED:
            raise FencedError(f"{what} (another worker owns this partition now)") from exc
        raise TransactionError(what) from exc
