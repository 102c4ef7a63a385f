"""Sada's own form: a signal as JSON, for systems that can be taught to speak it.

``{"id", "kind", "name", "identifiers": [{"kind", "value"}], "occurred_at", "<kind>": {payload}}``; what the schema
allows to be absent may be.
"""

from typing import Any

from connectors.inbound.fields import INT_MAX, LONG_MAX, PayloadError, flattened, mapping, moment_ms, needed, text
from connectors.inbound.segment import MAX_EXTRA, MAX_ID, MAX_TRAITS, Arrival, Source, occurred_ms, usable
from connectors.inbound.vocabulary import snake
from schemas.identifiers import Identifier
from schemas.topics import CHANNELS
from schemas.views import SIGNAL_KINDS, Context, Signal
from schemas.wire import load

# JSON types that an Avro type takes.
_TAKES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "int": (int,),
    "long": (int,),
    "double": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_CONTEXT = ("ip", "user_agent", "locale", "time_zone", "page_url", "referrer", "campaign")


def parse(item: object, _: str | None, arrival: Arrival, source: Source) -> tuple[Signal, list[Identifier]]:
    """Return the signal that JSON in our own form describes, and its identifiers.

    Raises
    ------
    PayloadError
        naming the field
    """
    if type(item) is not dict:
        raise PayloadError("not-an-object", f"a signal is a JSON object, not {type(item).__name__}")
    kind = item.get("kind")
    if kind not in SIGNAL_KINDS:
        raise PayloadError("unknown-type", f"kind {str(kind)[:40]!r} is not one of {', '.join(SIGNAL_KINDS)}")
    pairs = item.get("identifiers")
    if type(pairs) is not list:
        raise PayloadError("no-identifier", "identifiers is not a list of objects with kind and value")
    identifiers = usable([(str(mapping(p).get("kind")), mapping(p).get("value")) for p in pairs], source)
    original = moment_ms(item.get("occurred_at") or item.get("occurred_at_ms"), "occurred_at")
    sent = moment_ms(item.get("sent_at") or item.get("sent_at_ms"), "sent_at")
    signal: Signal = {
        "id": needed(item.get("id"), "id", MAX_ID),
        "kind": str(kind),
        "name": snake(needed(item.get("name"), "name")) or str(kind),
        "channel": _channel(item, str(kind), source),
        "source": source.name,
        "identifiers": [{"kind": i.kind, "value": i.value, "original": i.original} for i in identifiers],
        "occurred_at_ms": occurred_ms(arrival.received_at_ms, sent, original),
        "original_at_ms": original,
        "sent_at_ms": sent,
        "received_at_ms": arrival.received_at_ms,
        "context": _context(item),
    }
    if kind == "traits" or item.get("traits") is not None:
        values = mapping(item.get("traits"))
        values = mapping(values.get("values")) or values
        signal["traits"] = {"values": flattened(values, most=MAX_TRAITS)}
    if kind != "traits":
        signal[kind] = _fitted(item.get(kind), _payload_schema(str(kind)), str(kind))  # type: ignore[literal-required]  # the kind is the field
    return signal, identifiers


def _channel(item: dict[str, Any], kind: str, source: Source) -> str:
    if kind == "outcome":
        return "outcome"
    channel = source.channel or item.get("channel")
    if channel not in CHANNELS:
        raise PayloadError("missing-field", f"channel {str(channel)[:40]!r} is not one of {', '.join(CHANNELS)}")
    return str(channel)


def _context(item: dict[str, Any]) -> Context:
    given = mapping(item.get("context"))
    found: Context = {"extra": flattened(mapping(given.get("extra")), most=MAX_EXTRA)}
    for name in _CONTEXT:
        if (value := text(given.get(name), 2_000)) is not None:
            found[name] = value  # type: ignore[literal-required]  # the names are Context's own
    return found


def _payload_schema(kind: str) -> Any:
    field = next(field for field in load("signal")["fields"] if field["name"] == kind)
    return next(branch for branch in field["type"] if branch != "null")


def _fitted(value: object, schema: Any, where: str) -> Any:
    """Return a value when it is what the schema says; unknown names of objects are left out."""
    if isinstance(schema, list):
        if value is None and "null" in schema:
            return None
        return _fitted(value, next(branch for branch in schema if branch != "null"), where)
    kind = schema if isinstance(schema, str) else schema["type"]
    if kind == "record":
        if type(value) is not dict:
            raise PayloadError("missing-field", f"{where} is missing or not an object")
        return {
            field["name"]: _fitted(value[field["name"]], field["type"], f"{where}.{field['name']}")
            for field in schema["fields"]
            if field["name"] in value or ("default" not in field and _missing(f"{where}.{field['name']}"))
        }
    if kind == "array":
        if type(value) is not list:
            raise PayloadError("bad-field", f"{where} is not a list")
        return [_fitted(part, schema["items"], f"{where}[{index}]") for index, part in enumerate(value)]
    if type(value) not in _TAKES[kind] or (kind in {"int", "long"} and not _fits(value, kind)):
        raise PayloadError("bad-field", f"{where} is not a {kind}")
    return value


def _fits(value: object, kind: str) -> bool:
    return isinstance(value, int) and abs(value) <= (INT_MAX if kind == "int" else LONG_MAX)


def _missing(where: str) -> bool:
    raise PayloadError("missing-field", f"{where} is missing")
