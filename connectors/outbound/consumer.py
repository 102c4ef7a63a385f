"""Reads a channel's actions from Kafka, hands them to the courier, and commits what is finished."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.outbound import metrics
from connectors.outbound.courier import PEER_WAIT_S, Courier
from connectors.outbound.delivery import Delivery
from connectors.outbound.ledger import Ledger
from connectors.outbound.outcomes import WriteError, Writer, letter_of
from schemas.topics import actions
from schemas.views import ActionView
from schemas.wire import WireError
from streams.settings import Settings

# Actions taken and not finished, per channel: some seconds of work for a fast channel; about 4 MB.
MAX_PENDING = 2_000
# Records asked for at one time: enough to fill the slots, few enough to notice a rebalance at once.
BATCH = 500
POLL_S = 0.25
COMMIT_S = 1.0
# How long sends that run may take to end at a shutdown; a supervisor's own patience is longer.
DRAIN_S = 10.0
# A dead process's partitions move after so long; the claim's lease guards what it was sending.
SESSION_MS = 10_000

log = structlog.get_logger("deliver")


class ChannelConsumer:
    """The actions of one channel, from Kafka to the courier.

    Parameters
    ----------
    settings : Kafka's address, topic prefix, group prefix
    channel : its name
    courier : brings each action to its end
    writer : takes the dead letters of what is not an action
    """

    def __init__(self, settings: Settings, channel: str, courier: Courier, writer: Writer) -> None:
        self.channel = channel
        self._topic = settings.topic(actions(channel))
        self._courier = courier
        self._writer = writer
        self._codec = settings.codecs().of(actions(channel))
        self._ledger = Ledger()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tails: dict[bytes, asyncio.Task[None]] = {}
        self._paused = False
        self._commit_at = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"poll-{channel}")
        self._closing = False
        self.assigned = False
        self._consumer = Consumer(
            {
                **settings.librdkafka(),
                "group.id": f"{settings.topic_prefix}{settings.app}.deliver.{channel}",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": SESSION_MS,
                "queued.max.messages.kbytes": 8_192,  # per partition; the default of 64 MB is for bulk readers
                # Once so many lie there, it looks again after 10 ms instead of a second: they are read sooner.
                "fetch.queue.backoff.ms": 10,
                "fetch.wait.max.ms": 50,
            }
        )

    @property
    def pending(self) -> int:
        """Actions taken and not finished."""
        return len(self._tasks)

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until told to stop.

        Raises
        ------
        KafkaException
            when the consumer cannot go on
        """
        loop = asyncio.get_running_loop()
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        try:
            while not stop.is_set():
                for message in await loop.run_in_executor(self._thread, self._poll):
                    self._take(message)
                metrics.PENDING.labels(self.channel).set(self.pending)
        finally:
            await self._end(loop)

    async def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let running sends end, commit, and leave the group."""
        self._closing = True
        self._courier.stopping.set()
        if self._tasks:
            _, left = await asyncio.wait(self._tasks, timeout=DRAIN_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        await loop.run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    # What follows until the next mark runs on the polling thread.

    def _poll(self) -> list[Message]:
        self._commit(asynchronous=True)
        self._hold_or_go_on()
        first = self._consumer.poll(POLL_S)
        if first is None:
            return []
        return [first, *self._consumer.consume(BATCH - 1, 0)]

    def _hold_or_go_on(self) -> None:
        assignment = self._consumer.assignment()
        if self.pending >= MAX_PENDING:
            self._consumer.pause(assignment)
            self._paused = True
        elif self._paused and self.pending < MAX_PENDING // 2:
            self._consumer.resume(assignment)
            self._paused = False

    def _commit(self, *, asynchronous: bool) -> None:
        if asynchronous and time.monotonic() < self._commit_at:
            return
        self._commit_at = time.monotonic() + COMMIT_S
        offsets = self._ledger.committable()
        if not offsets:
            return
        try:
            self._consumer.commit(
                offsets=[TopicPartition(self._topic, p, o) for p, o in offsets.items()], asynchronous=asynchronous
            )
        except KafkaException as exc:
            # What was not committed is read again and found settled.
            log.warning("offsets not committed", channel=self.channel, error=exc.args[0].str())
        else:
            self._ledger.committed(offsets)

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._ledger.assign(p.partition for p in partitions)
        self.assigned = True
        log.info("partitions taken", channel=self.channel, partitions=sorted(p.partition for p in partitions))

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit(asynchronous=False)
        self._lost(_, partitions)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._ledger.revoke(p.partition for p in partitions)
        log.info("partitions given up", channel=self.channel, partitions=sorted(p.partition for p in partitions))

    def _close(self) -> None:
        self._commit(asynchronous=False)
        self._consumer.close()

    # From here on the event loop again.

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            self._complain(error)
            return
        partition, offset = message.partition(), message.offset()
        if partition is None or offset is None:
            return
        self._ledger.take(partition, offset)
        _, recorded_at_ms = message.timestamp()
        value = message.value() or b""
        try:
            action: ActionView = self._codec.decode(value)  # type: ignore[assignment]  # the codec answers plain dictionaries
        except WireError as exc:
            self._start(self._refuse(message, partition, offset, exc.code, str(exc)), None)
            return
        delivery = Delivery(action, self._topic, partition, offset, recorded_at_ms, message.key(), value)
        self._start(self._deliver(delivery, self._tails.get(action["customer"])), action["customer"])

    def _complain(self, error: KafkaError) -> None:
        if error.fatal():
            raise KafkaException(error)
        log.warning("Kafka says", channel=self.channel, error=error.str())

    def _start(self, work: Coroutine[None, None, None], customer: bytes | None) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if customer is not None:
            self._tails[customer] = task
            task.add_done_callback(self._forget(customer))

    def _forget(self, customer: bytes) -> Callable[[asyncio.Task[None]], None]:
        def forget(task: asyncio.Task[None]) -> None:
            if self._tails.get(customer) is task:
                del self._tails[customer]

        return forget

    async def _deliver(self, delivery: Delivery, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])  # a customer's actions go out in order
        if await self._courier.deliver(delivery, lambda: self._goes_on(delivery.partition)):
            self._ledger.finish(delivery.partition, delivery.offset)

    def _goes_on(self, partition: int) -> bool:
        return not self._closing and self._ledger.owns(partition)

    async def _refuse(self, message: Message, partition: int, offset: int, code: str, detail: str) -> None:
        """Write the dead letter of a record that is not an action."""
        metrics.DEAD_LETTERS.labels(self.channel, code).inc()
        letter = letter_of(
            code=code,
            detail=detail,
            channel=self.channel,
            topic=self._topic,
            partition=partition,
            offset=offset,
            key=message.key(),
            value=message.value(),
            at_ms=message.timestamp()[1],
        )
        while self._goes_on(partition):
            try:
                await self._writer.dead_letter(letter)
            except WriteError as exc:
                log.warning("dead letter not acknowledged; trying again", channel=self.channel, error=str(exc))
                await asyncio.sleep(PEER_WAIT_S)
            else:
                self._ledger.finish(partition, offset)
                return
