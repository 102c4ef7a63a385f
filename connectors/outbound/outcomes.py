"""Outcomes as signals: what became of an action goes back into the loop, acknowledged by the broker.

An outcome's id is derived from the action's id and the event, so that a repeat drops in the customers agent. The
customer is named by its node (``customer_id``, hex): the channel knows no more, and needs no more.
"""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.topics import DEAD_LETTERS, signals
from schemas.views import ActionView, DeadLetterView, Signal
from streams.settings import Settings

SOURCE = "sada-deliver"

_MAX_ID = 100  # of a signal's id, schemas/avro/signal.avsc
_MAX_DETAIL = 200


def outcome_id(action_id: str, event: str, part: str = "") -> str:
    """Return the id of an outcome's signal: the same for the same event of the same action."""
    plain = f"{action_id}:{event}{':' + part if part else ''}"
    return plain if len(plain) <= _MAX_ID else "o:" + hashlib.blake2b(plain.encode(), digest_size=24).hexdigest()


def outcome_signal(
    *,
    action_id: str,
    action: str,
    channel: str,
    customer: bytes,
    event: str,
    occurred_at_ms: int,
    received_at_ms: int,
    detail: str | None = None,
    part: str = "",
) -> Signal:
    """Return the signal that says what became of an action.

    Parameters
    ----------
    event : delivered, failed, bounced, expired, opened, clicked, dismissed, unsubscribed, …
    occurred_at_ms : stream time
    received_at_ms : wall time
    part : tells events of one kind apart, for example the link that was clicked
    """
    return {
        "id": outcome_id(action_id, event, part),
        "kind": "outcome",
        "name": f"action_{event}",
        "channel": "outcome",
        "source": SOURCE,
        "identifiers": [{"kind": "customer_id", "value": customer.hex()}],
        "occurred_at_ms": occurred_at_ms,
        "received_at_ms": received_at_ms,
        "outcome": {
            "action_id": action_id,
            "event": event,
            "action": action,
            "delivered_on": channel,
            "detail": detail[:_MAX_DETAIL] if detail else None,
        },
        "context": {"extra": {}},
    }


def of_action(action: ActionView, event: str, *, at_ms: int, wall_ms: int, detail: str | None) -> Signal:
    """Return the outcome of an action that a connector has in hand."""
    return outcome_signal(
        action_id=action["id"],
        action=action["action"],
        channel=action["channel"],
        customer=action["customer"],
        event=event,
        occurred_at_ms=at_ms,
        received_at_ms=wall_ms,
        detail=detail,
    )


class WriteError(Exception):
    """The broker did not acknowledge a record."""


class Writer:
    """Writes outcomes and dead letters; every call returns after the broker's acknowledgement.

    Parameters
    ----------
    settings : Kafka's address and the topics' prefix
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        codecs = settings.codecs()
        self._signal = codecs.of(signals("outcome"))
        self._letter = codecs.of(DEAD_LETTERS)
        self._producer = Producer(
            {
                **settings.librdkafka(),
                "enable.idempotence": True,
                "partitioner": "murmur2_random",  # as Java's, so that a key's partition is the same everywhere
                "linger.ms": 5,
                "compression.type": "lz4",
            }
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="outcomes", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._producer.poll(0.1)

    async def outcome(self, signal: Signal, customer: bytes) -> None:
        """Write an outcome; its key is the customer's root node.

        Raises
        ------
        WriteError
            when the broker did not acknowledge it
        """
        await self._write(signals(signal["channel"]), customer, self._signal.encode(signal))

    async def dead_letter(self, letter: DeadLetterView) -> None:
        """Write a dead letter; its key is the topic it comes from.

        Raises
        ------
        WriteError
            when the broker did not acknowledge it
        """
        await self._write(DEAD_LETTERS, letter["topic"].encode(), self._letter.encode(letter))

    async def _write(self, topic: str, key: bytes, value: bytes) -> None:
        loop = asyncio.get_running_loop()
        acknowledged: asyncio.Future[None] = loop.create_future()

        def report(error: KafkaError | None, _: Message) -> None:
            def settle() -> None:
                if acknowledged.done():
                    return
                if error is None:
                    acknowledged.set_result(None)
                else:
                    acknowledged.set_exception(WriteError(f"{topic}: {error.str()}"))

            loop.call_soon_threadsafe(settle)

        try:
            self._producer.produce(self._settings.topic(topic), value, key, on_delivery=report)
        except (KafkaException, BufferError) as exc:
            raise WriteError(f"{topic}: {exc}") from exc
        await acknowledged

    async def close(self) -> None:
        """Send what is left, at most for ten seconds."""
        await asyncio.to_thread(self._producer.flush, 10)
        self._stopping.set()
        await asyncio.to_thread(self._thread.join)


WRITER: web.AppKey[Writer] = web.AppKey("outcome_writer", Writer)
_HAS_WRITER: web.AppKey[bool] = web.AppKey("outcome_writer_wanted", bool)


def give_writer(app: web.Application, settings: Settings) -> None:
    """Give an application a writer under ``WRITER`` while it runs; asking twice gives one."""
    if _HAS_WRITER in app:
        return
    app[_HAS_WRITER] = True

    async def lifetime(running: web.Application) -> AsyncIterator[None]:
        running[WRITER] = Writer(settings)
        yield
        await running[WRITER].close()

    app.cleanup_ctx.append(lifetime)


def letter_of(
    *, code: str, detail: str, channel: str, topic: str, partition: int, offset: int, key: Any, value: Any, at_ms: int
) -> DeadLetterView:
    """Return the dead letter of an action."""
    return {
        "code": code,
        "detail": detail,
        "stage": f"deliver.{channel}",
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "key": key,
        "value": value,
        "at_ms": at_ms,
    }
