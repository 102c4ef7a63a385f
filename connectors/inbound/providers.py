"""The table of webhook providers: who signs how, how the body is read, what it comes to, and what they expect to hear.

To add one, write its ``messages`` and a row; its signature is a row of ``signatures.SCHEMES``.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qsl

import orjson

from connectors.inbound import segment, shopify, signal_json, twilio
from connectors.inbound.fields import PayloadError
from connectors.inbound.segment import Arrival, Source
from connectors.inbound.signatures import SCHEMES, Scheme
from schemas.identifiers import Identifier
from schemas.views import Signal

# (headers by lower-case name, body) → messages for the reader
Messages = Callable[[Mapping[str, str], Any], list[Any]]
Reader = Callable[[Any, str | None, Arrival, Source], tuple[Signal, list[Identifier]]]


@dataclass(frozen=True, slots=True)
class Provider:
    """How a provider's webhooks are taken.

    Parameters
    ----------
    scheme : how it signs
    body : reads the body
    messages : takes it apart
    reader : turns each message into a signal
    id_field : where the reader finds a message's id
    channel : of the signals, where a source says none
    thanks : body and type of the answer it expects
    """

    scheme: Scheme
    body: Callable[[bytes], Any]
    messages: Messages
    reader: Reader
    id_field: str
    channel: str | None = None
    thanks: tuple[bytes, str] = (b'{"success":true}', "application/json")


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except json.JSONDecodeError as error:
        raise PayloadError("bad-json", f"the body is not JSON: {error}") from None


def _json_object(raw: bytes) -> Any:
    found = _json(raw)
    if not isinstance(found, dict):
        raise PayloadError("not-an-object", "the body is not a JSON object")
    return found


def _form(raw: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=1_000))
    except ValueError:
        raise PayloadError("bad-form", "the body is not a form in UTF-8") from None


def _list(_: Mapping[str, str], payload: Any) -> list[Any]:
    return payload if isinstance(payload, list) else [payload]


PROVIDERS: Mapping[str, Provider] = {
    "standard": Provider(SCHEMES["standard"], _json, _list, signal_json.parse, "id"),
    "shopify": Provider(SCHEMES["shopify"], _json_object, shopify.messages, segment.parse, "messageId", channel="web"),
    "twilio": Provider(
        SCHEMES["twilio"],
        _form,
        twilio.messages,
        segment.parse,
        "messageId",
        thanks=(b"<Response></Response>", "text/xml"),
    ),
}


def signal_id(provider: str, source: str, webhook_id: str, index: int) -> str:
    """Return the id of a webhook's signal: the same at every retry, so that it counts once whatever Redis remembers."""
    text = f"{provider}\0{source}\0{webhook_id}\0{index}".encode(errors="replace")
    return blake2b(text, digest_size=16).hexdigest()
