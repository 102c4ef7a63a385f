"""What a batch sends into the world: effects and events as records of the topics table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas import topics
from schemas.codecs import Codecs
from schemas.identifiers import NODE_BYTES
from schemas.wire import Codec
from streams.core.customer import Effects
from streams.core.erasure import ERASE
from streams.core.errors import ErasedError
from streams.core.links import (
    Crowded,
    Event,
    Forgotten,
    Joined,
    Merged,
    Message,
    Parted,
    Postponed,
    Refused,
    Released,
    Suspended,
    Void,
    to_wire,
)
from streams.core.near.messages import Distinguished, Left, Matched, Placed, Weighed
from streams.lane.job import Failure, Output, Record


@dataclass(frozen=True, slots=True)
class Wire:
    """Codecs and topic names of one deployment.

    Parameters
    ----------
    codecs : knows the topics' full names, too
    """

    codecs: Codecs

    def topic(self, name: str) -> str:
        """Return a topic's full name."""
        return self.codecs.topic(name)

    def codec(self, name: str) -> Codec:
        """Return the codec of a topic."""
        return self.codecs.of(name)

    def output(self, name: str, key: bytes | None, value: Mapping[str, Any]) -> Output:
        """Return a record of a topic."""
        return Output(self.topic(name), key, self.codec(name).encode(value))

    def tombstone(self, name: str, key: bytes) -> Output:
        """Return the record that deletes a key."""
        return Output(self.topic(name), key, None)

    def dead_letter(self, failure: Failure, *, stage: str) -> Output:
        """Return the dead letter of a record that a stage cannot process."""
        record = failure.record
        letter = {
            "code": failure.code,
            "detail": failure.detail,
            "stage": stage,
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "key": record.key,
            "value": record.value,
            "at_ms": record.timestamp_ms,
        }
        return self.output(topics.DEAD_LETTERS, f"{record.topic}/{record.partition}/{record.offset}".encode(), letter)


# A link that was put off has not happened: the next signal that names it tries again. What is of near matches goes to
# topics of its own, see near_outgoing.
_SILENT = (Postponed, Crowded, Placed, Left, Weighed, Matched)


def of_message(wire: Wire, message: Message, stream_ms: int) -> Output:
    """Return a message to a node of another partition."""
    return wire.output(topics.INBOX, message.to, to_wire(message, stream_ms))


def of_events(wire: Wire, events: Iterable[Event], at_ms: int) -> list[Output]:
    """Return what the world hears of identity: who belongs to whom, who merged, what was refused."""
    outputs: list[Output] = []
    for event in events:
        if isinstance(event, Joined):
            value = {"customer": event.customer, "kind": event.kind, "updated_at_ms": at_ms}
            outputs.append(wire.output(topics.IDENTITIES, event.node, value))
        elif isinstance(event, Forgotten):
            outputs += _of_forgotten(wire, event, at_ms)
        elif not isinstance(event, _SILENT):
            if isinstance(event, Merged):
                outputs.append(wire.tombstone(topics.PROFILES, event.merged))
            told = _news(event)
            told["at_ms"] = at_ms
            outputs.append(wire.output(topics.MERGES, told["customer"], told))
    return outputs


def _news(event: Merged | Refused | Parted | Suspended | Released | Void | Distinguished) -> dict[str, Any]:
    """Return what is told of an event in merges, but for the time."""
    match event:
        case Merged(customer, merged, signal_id, ruling):
            reason = "ruling" if ruling else "link"
            return _told("merged", customer, merged, reason, signal=signal_id, ruling=ruling)
        case Refused(customer, other, limit, signal_id):
            return _told("refused", customer, other, limit, signal=signal_id)
        case Parted(customer, part, nodes, reason, ruling):
            return _told("split", customer, part, reason, ruling=ruling) | {"nodes": list(nodes)}
        case Suspended(customer, node, _, signal_id):
            return _told("suspended", customer, node, "links", signal=signal_id)
        case Released(customer, node, ruling):
            return _told("released", customer, node, "ruling", ruling=ruling)
        case Void(customer, node, reason, ruling):
            return _told("void", customer, node, reason, ruling=ruling)
        case Distinguished(customer, _, other, ruling):
            return _told("different", customer, other, "ruling", ruling=ruling)


def _of_forgotten(wire: Wire, event: Forgotten, at_ms: int) -> list[Output]:
    """Return what the world hears of an erasure: tombstones, the news, and the ruling for every other identifier.

    The last so that a replay, which obeys rulings before it reads signals, knows each identifier that was erased.
    """
    told = _told("erased", event.customer, event.node, "ruling", ruling=event.ruling)
    told.update(at_ms=at_ms, nodes=list(event.nodes))
    outputs = [wire.tombstone(topics.PROFILES, event.customer)]
    outputs += [wire.tombstone(topics.IDENTITIES, node) for node in event.nodes]
    outputs.append(wire.output(topics.MERGES, event.customer, told))
    for node in event.nodes:
        if node != event.node:
            ruling: dict[str, Any] = {"id": event.ruling, "kind": ERASE, "node": node, "other": event.node}
            ruling.update(reason="another identifier of the customer that was erased", by="sada", at_ms=at_ms)
            outputs.append(wire.output(topics.RULINGS, node, ruling))
    return outputs


def without_bytes(record: Record, error: ErasedError) -> Failure:
    """Return the failure of a signal whose customer was erased: where it was accepted and whom it named, a hash."""
    topic, partition, offset = error.origin.rsplit("/", 2)
    bare = Record(topic, int(partition), int(offset), record.timestamp_ms, error.node, None)
    return Failure(bare, error.code, str(error))


def _told(
    kind: str, customer: bytes, other: bytes, reason: str, *, signal: str = "", ruling: str = ""
) -> dict[str, Any]:
    return {
        "kind": kind,
        "customer": customer,
        "merged": other,
        "reason": reason,
        "signal_id": signal,
        "ruling": ruling,
        "nodes": [],
    }


def of_effects(wire: Wire, effects: Effects) -> list[Output]:
    """Return examples, decisions and actions."""
    outputs = [wire.output(topics.EXAMPLES, e["model"].encode(), e) for e in effects.examples]
    outputs += [wire.output(topics.DECISIONS, d["customer"], d) for d in effects.decisions]
    outputs += [wire.output(topics.actions(a["channel"]), a["customer"], a) for a in effects.actions]
    return outputs


def is_node(key: bytes) -> bool:
    """Say whether bytes have the form of a node."""
    return len(key) == NODE_BYTES
