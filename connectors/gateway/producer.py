"""The one producer of a gateway: idempotent, acks=all; a request waits once for all of its records.

librdkafka calls back on the thread that polls. Each request's callback only counts; the requests that are complete
wake the event loop together, so that a batch of 2,500 costs one wake-up, not 2,500.
"""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from connectors.gateway.metrics import IN_FLIGHT

_log = structlog.get_logger(__name__)

# How long the broker may take to acknowledge, ms, before the client is told to try again: SDKs wait 10 to 15 s.
ACK_TIMEOUT_MS = 8_000

# Records gathered per request to the broker for so long, ms: nobody feels five, and each request costs CPU time here
# and in the broker (378 us per single event against 676 with 2 ms: medians of four interleaved runs, a busy machine).
LINGER_MS = 5

# Records waiting for the broker at which new requests are turned away: some 100 MB, five seconds of full load.
MAX_IN_FLIGHT = 100_000

# One look at the delivery reports lasts so long when there are none, in seconds; the end of the process waits for it.
_POLL_S = 0.1


class UnavailableError(Exception):
    """The broker does not acknowledge: nothing, or not everything, was kept; the client must send again."""


class Outgoing(NamedTuple):
    """One record to produce; the partition follows from the key as in any Java client."""

    topic: str
    key: bytes
    value: bytes


class _Delivery:
    """Counts one request's acknowledgements; complete, it goes to the producer's list."""

    __slots__ = ("done", "failed", "future", "left")

    def __init__(self, count: int, future: asyncio.Future[None], done: list["_Delivery"]) -> None:
        self.left = count
        self.failed: KafkaError | None = None
        self.future = future
        self.done = done

    def report(self, error: KafkaError | None, _: object) -> None:
        """Take one delivery report, on the polling thread."""
        if error is not None:
            self.failed = error
        self.left -= 1
        if not self.left:
            self.done.append(self)


class SignalProducer:
    """Produces records and says when the broker has them all.

    Parameters
    ----------
    connection : librdkafka's connection settings
    """

    def __init__(self, connection: dict[str, str | int | float | bool]) -> None:
        self._producer: Any = Producer(
            {
                **connection,
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": LINGER_MS,
                "message.timeout.ms": ACK_TIMEOUT_MS,
                "queue.buffering.max.messages": 2 * MAX_IN_FLIGHT,
                "queue.buffering.max.kbytes": 512 * 1024,
                # Away for a moment, the broker is found again at once: its outage is ours.
                "reconnect.backoff.max.ms": 1_000,
                "error_cb": self._on_error,
            }
        )
        self._loop = asyncio.get_running_loop()
        self._done: list[_Delivery] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="delivery-reports", daemon=True)
        self.fatal: str | None = None
        self._thread.start()

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Produce records and wait until the broker has acknowledged each.

        Raises
        ------
        UnavailableError
            when it did not; some of the records may be there: their ids make a second sending harmless
        """
        if not records:
            return
        produce = self._producer.produce
        if len(self._producer) > MAX_IN_FLIGHT or self.fatal:
            raise UnavailableError(self.fatal or "too many records wait for the broker")
        delivery = _Delivery(len(records), self._loop.create_future(), self._done)
        report = delivery.report
        for index, record in enumerate(records):
            try:
                produce(record.topic, record.value, record.key, on_delivery=report)
            except (BufferError, KafkaException) as error:
                # What is queued goes on and may arrive. Its reports must not find the count at zero early.
                delivery.left -= len(records) - index
                raise UnavailableError(f"the record was not taken: {error}") from error
        await delivery.future

    def close(self, timeout_s: float = ACK_TIMEOUT_MS / 1000) -> int:
        """Wait for what is under way and stop; return how many records were not acknowledged."""
        left: int = self._producer.flush(timeout_s)
        self._closed.set()
        self._thread.join()
        return left

    def connected(self, timeout_s: float = 1.0) -> bool:
        """Ask the broker for its metadata; blocking, for readiness."""
        try:
            self._producer.list_topics(timeout=timeout_s)
        except KafkaException:
            return False
        return True

    def _poll(self) -> None:
        producer, done = self._producer, self._done
        while not self._closed.is_set():
            producer.poll(_POLL_S)
            if done:
                complete = done[:]
                del done[: len(complete)]
                self._loop.call_soon_threadsafe(_resolve, complete)
            IN_FLIGHT.set(len(producer))

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self.fatal = f"the producer cannot go on: {error.str()}"
            _log.error("producer is fatal", code=error.name())
        else:
            _log.warning("kafka", code=error.name())


def _resolve(deliveries: list[_Delivery]) -> None:
    for delivery in deliveries:
        if delivery.future.done():
            continue  # the client went away
        if delivery.failed is None:
            delivery.future.set_result(None)
        else:
            delivery.future.set_exception(UnavailableError(f"not acknowledged: {delivery.failed.name()}"))
