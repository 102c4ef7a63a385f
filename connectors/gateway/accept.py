"""From messages to records: each becomes a signal on its channel's topic, or a dead letter with its reason."""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from prometheus_client import Counter

from connectors.gateway.keys import Key
from connectors.gateway.metrics import ACCEPTED, REFUSED
from connectors.gateway.producer import Outgoing, SignalProducer
from connectors.inbound.fields import PayloadError
from connectors.inbound.segment import Arrival, Source, parse
from schemas.codecs import Codecs
from schemas.identifiers import Hasher, Identifier
from schemas.identity_rules import IdentityRules
from schemas.topics import CHANNELS, DEAD_LETTERS, signals
from schemas.views import DeadLetterView, Signal

# Items turned into records before other requests get their turn: about 5 ms.
_TURN = 100

# Raw bytes kept in a dead letter: the broker takes 1 MiB a record, and Avro adds little.
MAX_RAW = 900_000

# (item, type of the path, how it came in, who sent it) → the signal and its identifiers
Parse = Callable[[Any, str | None, Arrival, Source], tuple[Signal, list[Identifier]]]


class Refused(NamedTuple):
    """An item that is not taken."""

    position: int
    code: str
    message: str


class Origin(NamedTuple):
    """Where items come from: the door's path, the key, and how they arrived."""

    path: str
    key: Key
    arrival: Arrival


class Report(NamedTuple):
    """What became of a request's items, once the broker has them."""

    accepted: int
    refused: list[Refused]


class Acceptance:
    """Turns items into records and hands them to the broker.

    Parameters
    ----------
    producer : acknowledges
    hasher : makes nodes, which are the records' keys
    codecs : of the topics, and their full names
    rules : of identity; a key may have a region of its own
    """

    def __init__(self, producer: SignalProducer, hasher: Hasher, *, codecs: Codecs, rules: IdentityRules) -> None:
        self._producer = producer
        self._hasher = hasher
        self._topics = {channel: codecs.topic(signals(channel)) for channel in CHANNELS}
        self._dead_letters = codecs.topic(DEAD_LETTERS)
        self._rules = rules
        self._encoders = {channel: codecs.of(signals(channel)).encode for channel in CHANNELS}
        self._encode_letter = codecs.of(DEAD_LETTERS).encode

    async def items(
        self, items: Sequence[Any], kind: str | None, origin: Origin, *, measure: bool = True, reader: Parse = parse
    ) -> Report:
        """Accept items: the good ones as signals, the others as dead letters, and all of them acknowledged.

        Parameters
        ----------
        kind : the items' type where the path says it
        measure : some item may be larger than the key allows: the whole body is

        Raises
        ------
        UnavailableError
            when the broker does not acknowledge
        """
        key, arrival = origin.key, origin.arrival
        source = Source(key.name, key.channel, key.region, key.currency, self._rules.forms)
        records: list[Outgoing] = []
        refused: list[Refused] = []
        kinds: dict[str, int] = {}
        for start in range(0, len(items), _TURN):
            if start:
                await asyncio.sleep(0)
            for index, item in enumerate(items[start : start + _TURN], start):
                try:
                    if measure:
                        _check_size(item, key.max_event_bytes)
                    signal, identifiers = reader(item, kind, arrival, source)
                except PayloadError as error:
                    refused.append(Refused(index, error.code, str(error)))
                    records.append(self.letter(item, error.code, f"item {index}: {error}", origin))
                    continue
                kinds[signal["kind"]] = kinds.get(signal["kind"], 0) + 1
                records.append(self._record(signal, identifiers))
        await self._producer.send(records)
        for name, count in kinds.items():
            _accepted(key.name, name).inc(count)
        for item_refused in refused:
            REFUSED.labels(key.name, item_refused.code).inc()
        return Report(len(items) - len(refused), refused)

    async def dead(self, raw: bytes, code: str, message: str, origin: Origin) -> None:
        """Keep a whole body that cannot be read as a dead letter."""
        await self._producer.send([self.letter(raw, code, message, origin)])
        REFUSED.labels(origin.key.name, code).inc()

    def letter(self, item: object, code: str, message: str, origin: Origin) -> Outgoing:
        """Return the dead letter of an item; what is over ``MAX_RAW`` is cut, and its detail says so."""
        raw = item if isinstance(item, bytes) else orjson.dumps(item)
        if len(raw) > MAX_RAW:
            message = f"{message} (the first {MAX_RAW} of {len(raw)} bytes)"
        named = f"gateway/{origin.key.name}".encode()
        letter: DeadLetterView = {
            "code": code,
            "detail": message,
            "stage": "gateway",
            "topic": origin.path,
            "partition": -1,
            "offset": -1,
            "key": named,
            "value": raw[:MAX_RAW],
            "at_ms": origin.arrival.received_at_ms,
        }
        return Outgoing(self._dead_letters, named, self._encode_letter(letter))

    def _record(self, signal: Signal, identifiers: list[Identifier]) -> Outgoing:
        node = self._hasher.node(identifiers[0] if len(identifiers) == 1 else self._rules.strongest(identifiers))
        channel = signal["channel"]
        return Outgoing(self._topics[channel], node, self._encoders[channel](signal))


@lru_cache(4_096)
def _accepted(key: str, kind: str) -> Counter:
    """Return a key's counter; looking labels up for every request would cost as much as parsing it."""
    return ACCEPTED.labels(key, kind)


def _check_size(item: object, most: int) -> None:
    size = len(orjson.dumps(item))
    if size > most:
        raise PayloadError("too-large", f"the event has {size} bytes; at most {most} are taken from this key")
