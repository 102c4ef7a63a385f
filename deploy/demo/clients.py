"""The shop's systems, as they would be anywhere: SDKs of Segment and RudderStack, and Kafka producers of their own.

The simulated time goes in as each event's own time; the gateway corrects it by the time at which the SDK sent, as it
does for every client.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import rudderstack.analytics.client as rudderstack
import segment.analytics.client as segment
from confluent_kafka import KafkaError, Message, Producer

from deploy.demo.doings import Doing
from schemas.codecs import Codecs
from schemas.topics import TICKS, signals
from schemas.views import Signal

# An SDK sends what it has after so long, seconds: a step of simulated time waits for it, and each of its threads wakes
# as often for nothing (at 4 ms that was 3.6 % of a core, and a fifth more requests).
UPLOAD_S = 0.02
UPLOAD_SIZE = 100  # the SDKs' own default
# Longest wait for the broker's acknowledgement, seconds: a broker under the load of a small machine takes its time.
FLUSH_S = 60.0

_SOURCES = {"call-centre": "telephony", "pos": "tills"}


class ClientError(Exception):
    """A client could not hand over what the customers did."""


class Clients:
    """Everything through which the shop's signals go.

    Parameters
    ----------
    gateway : its URL
    write_key : for the collection API
    kafka : bootstrap servers
    codecs : of the topics
    partitions : of the topic of ticks
    """

    def __init__(self, *, gateway: str, write_key: str, kafka: str, codecs: Codecs, partitions: int) -> None:
        self._failed: list[str] = []
        common: dict[str, Any] = {
            "host": gateway,
            "on_error": self._sdk_failed,
            "upload_interval": UPLOAD_S,
            "upload_size": UPLOAD_SIZE,
            "gzip": False,  # on loopback compression costs more than it saves
        }
        self._web = segment.Client(write_key, **common)
        self._app = rudderstack.Client(write_key, **common)
        self._producer: Any = Producer(
            {
                "bootstrap.servers": kafka,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",  # as Java's: a key's partition is the same for every client
                "linger.ms": 2,
            }
        )
        self._codecs = codecs
        self._partitions = partitions
        self._count = 0
        self.sent = 0

    def send(self, doing: Doing) -> None:
        """Hand a doing to its client; ``flush`` waits for all of them."""
        self.sent += 1
        if doing.channel in _SOURCES:
            self._produce(doing)
        elif doing.channel == "app":
            self._call(self._app, doing, {**doing.context, "channel": "app"})
        else:
            self._call(self._web, doing, {**doing.context, "channel": doing.channel})

    def tick(self, at_ms: int) -> None:
        """Say on every partition which time it is."""
        value = self._codecs.of(TICKS).encode({"at_ms": at_ms})
        for partition in range(self._partitions):
            self._producer.produce(TICKS, value, partition=partition, on_delivery=self._reported)

    async def flush(self) -> None:
        """Wait until the gateway and the broker have acknowledged everything.

        Raises
        ------
        ClientError
            when a client gave up on something
        """
        await asyncio.gather(
            asyncio.to_thread(self._web.flush),
            asyncio.to_thread(self._app.flush),
            asyncio.to_thread(self._flush_kafka),
        )
        if self._failed:
            raise ClientError(f"{len(self._failed)} batches or records were not taken, first: {self._failed[0]}")

    def close(self) -> None:
        """End the SDKs' threads and the connection to Kafka: before Kafka ends, or it would be missed aloud."""
        for client in (self._web, self._app):
            client.join()
            # What Ctrl-C left in the queue nobody takes any more, and a flush in another thread would wait for it.
            while not client.queue.empty():
                client.queue.get_nowait()
                client.queue.task_done()
        self._producer = None

    def _call(self, client: Any, doing: Doing, context: dict[str, Any]) -> None:
        ids = doing.ids
        common = {
            "user_id": ids.get("user_id"),
            "anonymous_id": ids.get("anonymous_id"),
            "context": context,
            "timestamp": datetime.fromtimestamp(doing.at_ms / 1000, UTC),
        }
        if doing.call == "identify":
            client.identify(traits=dict(doing.traits), **common)
        elif doing.call == "track":
            client.track(event=doing.name, properties=dict(doing.properties), **common)
        elif doing.call == "page":
            client.page(name=doing.name, properties=dict(doing.properties), **common)
        else:
            client.screen(name=doing.name, properties=dict(doing.properties), **common)

    def _produce(self, doing: Doing) -> None:
        self._count += 1
        source = _SOURCES[doing.channel]
        signal: Signal = {
            "id": f"{source}-{self._count}",
            "kind": doing.call,
            "name": doing.name,
            "channel": doing.channel,
            "source": source,
            "identifiers": [{"kind": kind, "value": value} for kind, value in doing.ids.items()],
            "occurred_at_ms": doing.at_ms,
            "received_at_ms": time.time_ns() // 1_000_000,
            "context": {"extra": {}},
        }
        signal[doing.call] = doing.properties  # type: ignore[literal-required]  # the kind is the payload field's name
        if doing.traits:
            signal["traits"] = {"values": dict(doing.traits)}
        # Any key will do: what lands on a partition that does not own its customer is forwarded.
        topic = signals(doing.channel)
        self._producer.produce(topic, self._codecs.of(topic).encode(signal), key=source, on_delivery=self._reported)

    def _flush_kafka(self) -> None:
        left = self._producer.flush(FLUSH_S)
        if left:
            self._failed.append(f"Kafka did not acknowledge {left} records within {FLUSH_S:.0f} s")

    def _reported(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append(f"{message.topic()}: {error.str()}")

    def _sdk_failed(self, error: Exception, batch: list[Any]) -> None:
        self._failed.append(f"{len(batch)} events: {type(error).__name__}: {error}")
