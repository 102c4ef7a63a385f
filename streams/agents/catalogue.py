"""The catalogue between its topic and the processes that decide: published once, followed live.

A record that is no catalogue is refused, counted and logged with its problems; the one in use stays.
"""

import logging
import threading
import time
from collections.abc import Mapping
from typing import cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from prometheus_client import Counter, Gauge

from schemas.document import DocumentError
from schemas.topics import CATALOGUE
from schemas.wire import WireError, codec_of
from streams.agents.broadcast import BroadcastReader
from streams.core.catalogue import Catalogue
from streams.core.catalogue_check import load_catalogue
from streams.settings import Settings

log = logging.getLogger(__name__)

KEY = b"catalogue"
# 30 s: a broker that restarts is back after 3; whoever types a command waits no longer.
TIMEOUT_S = 30.0

LOADED = Counter("sada_catalogue_loaded_total", "Catalogues taken into use by this process.")
REFUSED = Counter("sada_catalogue_refused_total", "Records of the catalogue topic that were refused.", ["reason"])
PUBLISHED_AT = Gauge("sada_catalogue_published_seconds", "When the catalogue in use was published, epoch seconds.")


class CatalogueError(Exception):
    """The catalogue topic cannot be read or written; the message says what to do."""


class LiveCatalogue:
    """The newest good catalogue of the topic, kept current by a broadcast reader.

    Attributes
    ----------
    current : the catalogue in use, None before the first; replaced as a whole, so take it once per batch
    published_at_ms : when it was published
    arrived : set when there is one

    Examples
    --------
    ::

        live = LiveCatalogue()
        with BroadcastReader(settings.librdkafka(), settings.topic(CATALOGUE), live.on_record):
            ...
    """

    def __init__(self) -> None:
        self.current: Catalogue | None = None
        self.published_at_ms = 0
        self.arrived = threading.Event()
        self._codec = codec_of("catalogue")

    def on_record(self, key: bytes | None, value: bytes | None) -> None:
        """Take a record of the topic; what is no catalogue changes nothing."""
        if key != KEY or value is None:
            self._refuse("not-a-catalogue", f"key {key!r:.60}, {'a tombstone' if value is None else 'a value'}")
            return
        try:
            record = self._codec.decode(value)
            catalogue = load_catalogue(record["document"], record["version"])
        except WireError as exc:
            self._refuse(exc.code, str(exc))
            return
        except DocumentError as exc:
            self._refuse("bad-catalogue", str(exc))
            return
        self.published_at_ms = record["published_at_ms"]
        self.current = catalogue
        self.arrived.set()
        LOADED.inc()
        PUBLISHED_AT.set(self.published_at_ms / 1000)
        log.info("catalogue %s in use: %d actions", catalogue.version[:12], len(catalogue.actions))

    def _refuse(self, reason: str, detail: str) -> None:
        REFUSED.labels(reason).inc()
        kept = self.current.version[:12] if self.current else "none"
        log.error("catalogue refused (%s), %s stays in use: %s", reason, kept, detail)


def read_live(settings: Settings, timeout_s: float = TIMEOUT_S) -> LiveCatalogue:
    """Return what is live now: everything in the topic has been read.

    Raises
    ------
    CatalogueError
        when the topic cannot be read to its end in time
    """
    live = LiveCatalogue()
    topic = settings.topic(CATALOGUE)
    with BroadcastReader(settings.librdkafka(), topic, live.on_record) as reader:
        if not reader.caught_up.wait(timeout_s):
            raise CatalogueError(
                f"topic {topic} at {settings.kafka} could not be read within {timeout_s:.0f} s:"
                " is Kafka up (SADA_KAFKA), and were the topics created (`sada topics`)?"
            )
    return live


def publish(settings: Settings, catalogue: Catalogue, timeout_s: float = TIMEOUT_S) -> bool:
    """Publish a checked catalogue, unless it is live already.

    Returns
    -------
    True when it was written, False when it was live

    Raises
    ------
    CatalogueError
        when Kafka does not acknowledge it in time; it may still arrive, publishing again is safe
    """
    live = read_live(settings, timeout_s)
    if live.current is not None and live.current.version == catalogue.version:
        return False
    topic = settings.topic(CATALOGUE)
    config = settings.librdkafka() | {"enable.idempotence": True, "delivery.timeout.ms": int(timeout_s * 1000)}
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        del message
        if error is not None:
            failures.append(error)

    record: Mapping[str, object] = {
        "version": catalogue.version,
        "document": catalogue.document,
        "published_at_ms": time.time_ns() // 1_000_000,
    }
    try:
        producer = Producer(config)
        producer.produce(topic, key=KEY, value=codec_of("catalogue").encode(record), on_delivery=delivered)
        left = producer.flush(timeout_s)
    except KafkaException as exc:
        raise CatalogueError(f"topic {topic} at {settings.kafka}: {cast('object', exc)}") from exc
    if failures or left:
        why = failures[0].str() if failures else f"not acknowledged within {timeout_s:.0f} s"
        raise CatalogueError(f"topic {topic} at {settings.kafka}: {why}")
    return True
