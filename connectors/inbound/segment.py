"""Segment's and RudderStack's messages → signals: pure, one call per message, no awaiting, no exceptions but one."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import blake2b
from os import urandom
from typing import Any, NamedTuple

import orjson

from connectors.inbound.fields import LINE, SHORT, URL, PayloadError, flattened, mapping, moment_ms, text
from connectors.inbound.vocabulary import recipe_of, snake
from schemas.identifiers import DEFAULT, Forms, Identifier, IdentifierError, normalise
from schemas.topics import CHANNELS
from schemas.views import Context, Signal, Traits

# The contract's bounds (schemas/avro/signal.avsc).
MAX_ID, MAX_IDENTIFIERS, MAX_EXTRA, MAX_TRAITS = 100, 16, 50, 50

# Phone numbers cost 30 us to read and come again with every signal of their owner.
_IDENTIFIERS_KEPT = 16_384

# Names that sources use for a channel of ours.
_CHANNELS = {
    **{name: name for name in CHANNELS if name != "outcome"},
    "mobile": "app",
    "browser": "web",
    "ios": "app",
    "android": "app",
    "call_centre": "call-centre",
    "call-center": "call-centre",
    "call_center": "call-centre",
    "phone": "call-centre",
    "store": "pos",
    "shop": "pos",
}
_APP_LIBRARIES = ("ios", "android", "kotlin", "swift", "flutter", "react-native", "react_native")

_TRAIT_KINDS = ("email", "phone", "loyalty_id", "crm_id")
_NAMED = frozenset({*_TRAIT_KINDS, "anonymousId", "id"})
# Properties that the payloads take; the rest is kept in context.extra.
_TAKEN = frozenset(
    {
        "product_id", "sku", "item_id", "category", "price", "value", "quantity", "query", "url", "products", "total",
        "revenue", "currency", "order_id", "coupon", "margin", "ticket_id", "text", "action_id", "purpose", "granted",
        "score", "survey", "scale_max", "proof", "link_url", "referrer", "title", "path",
    }
)  # fmt: skip


class Source(NamedTuple):
    """Who sends: the key's name and what is agreed with it.

    Parameters
    ----------
    name : of the key or the webhook
    channel : the channel it always is, or None where its messages may say
    region : ISO 3166, for phone numbers without a country code
    currency : ISO 4217, where a message names none; Segment's specification says USD
    forms : how identifiers are spelled, and which kinds there are
    """

    name: str
    channel: str | None = None
    region: str | None = None
    currency: str = "USD"
    forms: Forms = DEFAULT


class Arrival(NamedTuple):
    """How a request came in: when, from where, and what its body says of all its messages.

    ``sent_at_ms`` is the client's clock when it sent.
    """

    received_at_ms: int
    sent_at_ms: int | None = None
    ip: str | None = None
    user_agent: str | None = None
    context: Mapping[str, Any] = {}


class _Parsed(NamedTuple):
    """What a message of one type comes to, before the envelope."""

    kind: str
    name: str
    payload: Any = None
    traits: dict[str, str] | None = None
    extra: dict[str, str] | None = None


_Message = Mapping[str, Any]


@lru_cache(_IDENTIFIERS_KEPT)
def _normal(kind: str, value: str, region: str | None, forms: Forms) -> Identifier | IdentifierError:
    try:
        return normalise(kind, value, region=region, forms=forms)
    except IdentifierError as refused:
        return refused


def parse(item: object, kind: str | None, arrival: Arrival, source: Source) -> tuple[Signal, list[Identifier]]:
    """Return the signal of a message, and its identifiers, normalised.

    Parameters
    ----------
    item : the message as JSON gave it
    kind : its type where the path says it; else its own ``type`` does

    Raises
    ------
    PayloadError
        with a stable code: not-an-object, unknown-type, no-identifier, missing-field, bad-time, ...
    """
    if type(item) is not dict:
        raise PayloadError("not-an-object", f"a message is a JSON object, not {type(item).__name__}")
    named = kind or item.get("type")
    reader = _TYPES.get(named) if type(named) is str else None
    if reader is None:
        raise PayloadError("unknown-type", f"type {str(named)[:40]!r} is not one of {', '.join(_TYPES)}")
    context = mapping(item.get("context"))
    if arrival.context:
        context = {**arrival.context, **context}
    identifiers = _identifiers(item, context, source)
    parsed = reader(item, source)
    return _signal(item, context, identifiers, parsed, (arrival, source)), identifiers


def _signal(
    item: _Message,
    context: _Message,
    identifiers: list[Identifier],
    parsed: _Parsed,
    sender: tuple[Arrival, Source],
) -> Signal:
    arrival, source = sender
    received = arrival.received_at_ms
    original = moment_ms(item.get("originalTimestamp") or item.get("timestamp"), "timestamp")
    sent = arrival.sent_at_ms
    if (own := item.get("sentAt")) is not None:
        sent = moment_ms(own, "sentAt")
    channel = _channel(item, context, source)
    signal: Signal = {
        "id": _id(item, source, dated=original is not None),
        "kind": parsed.kind,
        "name": parsed.name,
        "channel": "outcome" if parsed.kind == "outcome" else channel,
        "source": source.name,
        "identifiers": [{"kind": i.kind, "value": i.value, "original": i.original} for i in identifiers],
        "occurred_at_ms": occurred_ms(received, sent, original),
        "original_at_ms": original,
        "sent_at_ms": sent,
        "received_at_ms": received,
        "context": _context(context, parsed, arrival),
    }
    if parsed.payload is not None:
        signal[parsed.kind] = parsed.payload  # type: ignore[literal-required]  # the kind is the payload field's name
        if parsed.kind == "outcome" and parsed.payload["delivered_on"] is None:
            parsed.payload["delivered_on"] = channel
    if parsed.traits is not None:
        traits: Traits = {"values": parsed.traits}
        signal["traits"] = traits
    return signal


def occurred_ms(received: int, sent: int | None, original: int | None) -> int:
    """Return when it happened by our clock: the client's error, received - sent, is taken off; never in the future.

    Examples
    --------
    A client whose clock is an hour ahead, with a signal five seconds old:

    >>> occurred_ms(1_000_000, 1_000_000 + 3_600_000, 1_000_000 + 3_595_000)
    995000
    """
    if original is None:
        return received
    if sent is None:
        return min(original, received)
    return min(received - (sent - original), received)


def _id(item: _Message, source: Source, *, dated: bool) -> str:
    given = item.get("messageId")
    if type(given) is str and 0 < len(given) <= MAX_ID:
        return given
    # An id that is too long is shortened; without one, a message that says when it happened is named by its content,
    # so that a retry counts once. One without either cannot be told from a second occurrence.
    if given or dated:
        content = str(given).encode() if given else orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
        return blake2b(source.name.encode() + b"\0" + content, digest_size=16).hexdigest()
    return blake2b(orjson.dumps(item), digest_size=16, salt=urandom(16)).hexdigest()


def _channel(item: _Message, context: _Message, source: Source) -> str:
    if source.channel is not None:
        return source.channel
    for said in (context.get("channel"), item.get("channel")):
        if type(said) is str and said in _CHANNELS:
            return _CHANNELS[said]
    library = text(mapping(context.get("library")).get("name")) or ""
    return "app" if any(part in library.casefold() for part in _APP_LIBRARIES) else "web"


def _context(context: _Message, parsed: _Parsed, arrival: Arrival) -> Context:
    get = context.get
    page = mapping(get("page"))
    found: Context = {
        "ip": text(get("ip")) or arrival.ip,
        "user_agent": text(get("userAgent"), LINE) or arrival.user_agent,
        "extra": parsed.extra or {},
    }
    if locale := get("locale"):
        found["locale"] = text(locale)
    if zone := get("timezone"):
        found["time_zone"] = text(zone)
    if page:
        found["page_url"] = text(page.get("url"), URL)
        found["referrer"] = text(page.get("referrer"), URL)
    if campaign := get("campaign"):
        found["campaign"] = text(mapping(campaign).get("name"))
    return found


def _identifiers(item: _Message, context: _Message, source: Source) -> list[Identifier]:
    get = item.get
    named: list[tuple[str, object]] = [("user_id", get("userId")), ("anonymous_id", get("anonymousId"))]
    for traits in (get("traits") if get("type") != "group" else None, context.get("traits")):
        if type(traits) is dict:
            named += [(kind, traits.get(kind)) for kind in _TRAIT_KINDS]
    if device := context.get("device"):
        named.append(("device_id", mapping(device).get("id")))
    if previous := get("previousId"):
        named.append(("anonymous_id", previous))
    for outer in (context.get("externalIds"), get("externalIds"), get("mergeProperties"), context.get("externalId")):
        if type(outer) is list:
            named += [
                (str(pair.get("type")), pair.get("id") or pair.get("value"))
                for pair in outer[:MAX_IDENTIFIERS]
                if type(pair) is dict
            ]
    return usable(named, source)


def usable(named: list[tuple[str, object]], source: Source) -> list[Identifier]:
    """Return those identifiers that can be used, normalised, each once.

    Raises
    ------
    PayloadError
        no-identifier, with the reasons, when none can
    """
    found: dict[tuple[str, str], Identifier] = {}
    refused: list[str] = []
    for kind, value in named:
        if value is None or value == "":
            continue
        words = value if type(value) is str else text(value)
        if words is None or kind not in source.forms.kinds:
            refused.append(f"{kind[:40]} is not usable")
            continue
        outcome = (
            _normal(kind, words, source.region, source.forms)
            if len(words) <= SHORT
            else IdentifierError("too-long", _long(kind, words))
        )
        if type(outcome) is Identifier:
            found.setdefault((outcome.kind, outcome.value), outcome)
        else:
            refused.append(str(outcome))
    if not found:
        why = f": {'; '.join(refused)[:400]}" if refused else ""
        raise PayloadError("no-identifier", f"neither userId nor anonymousId, or another identifier{why}")
    return list(found.values())[:MAX_IDENTIFIERS]


def _long(kind: str, words: str) -> str:
    return f"{kind} has {len(words)} characters; at most {SHORT} are taken"


def _track(item: _Message, source: Source) -> _Parsed:
    event = item.get("event")
    if type(event) is not str or not event.strip():
        raise PayloadError("missing-field", "event is missing: track needs the event's name")
    properties = mapping(item.get("properties"))
    recipe = recipe_of(event, properties)
    if not recipe.name:
        raise PayloadError("bad-field", f"event {event[:40]!r} holds no letter or digit")
    extra = flattened(properties, most=MAX_EXTRA, without=_TAKEN) if properties else None
    return _Parsed(recipe.kind, recipe.name, recipe.build(properties, source.currency), extra=extra)


def _page(item: _Message, _: Source, name: str = "page_viewed") -> _Parsed:
    properties = mapping(item.get("properties"))
    url = text(properties.get("url") or mapping(mapping(item.get("context")).get("page")).get("url"), URL)
    title = text(item.get("name") or properties.get("name"))
    category = text(item.get("category") or properties.get("category"))
    extra = flattened(properties, most=MAX_EXTRA, without=_TAKEN | {"name"})
    return _Parsed("behaviour", name, {"url": url or title, "category": category}, extra=extra)


def _screen(item: _Message, source: Source) -> _Parsed:
    return _page(item, source, "screen_viewed")


def _identify(item: _Message, _: Source) -> _Parsed:
    traits = mapping(item.get("traits")) or mapping(mapping(item.get("context")).get("traits"))
    values = flattened(traits, most=MAX_TRAITS, without=_NAMED)
    return _Parsed("traits", "identified", traits={snake(name) or "unnamed": value for name, value in values.items()})


def _group(item: _Message, _: Source) -> _Parsed:
    group = text(item.get("groupId"))
    if group is None:
        raise PayloadError("missing-field", "groupId is missing: group needs it")
    values = flattened(mapping(item.get("traits")), most=MAX_TRAITS - 1)
    named = {f"group_{snake(name) or 'unnamed'}": value for name, value in values.items()}
    return _Parsed("traits", "grouped", traits={"group_id": group, **named})


def _alias(item: _Message, _: Source) -> _Parsed:
    if text(item.get("previousId")) is None:
        raise PayloadError("missing-field", "previousId is missing: alias needs it")
    return _Parsed("traits", "aliased", traits={})


def _merge(item: _Message, _: Source) -> _Parsed:
    pairs = item.get("mergeProperties")
    if type(pairs) is not list or len(pairs) != 2:
        raise PayloadError("missing-field", "mergeProperties must hold two objects with type and value")
    return _Parsed("traits", "aliased", traits={})


_TYPES: Mapping[str, Callable[[_Message, Source], _Parsed]] = {
    "track": _track,
    "page": _page,
    "screen": _screen,
    "identify": _identify,
    "group": _group,
    "alias": _alias,
    "merge": _merge,
}
