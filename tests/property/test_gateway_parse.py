"""Whatever JSON holds, a message becomes a signal that the contract takes, or a payload error with a code."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.inbound import segment, signal_json
from connectors.inbound.fields import PayloadError
from connectors.inbound.segment import Arrival, Source
from connectors.inbound.vocabulary import EVENTS
from schemas.views import SIGNAL_KINDS
from schemas.wire import codec_of

_SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_JSON = st.recursive(
    _SCALARS | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)
_FIELDS = [
    "userId",
    "anonymousId",
    "traits",
    "context",
    "properties",
    "timestamp",
    "originalTimestamp",
    "sentAt",
    "messageId",
    "previousId",
    "groupId",
    "mergeProperties",
    "name",
    "category",
    "channel",
]
_PROPERTIES = [
    "order_id",
    "total",
    "currency",
    "products",
    "product_id",
    "price",
    "quantity",
    "purpose",
    "granted",
    "score",
    "scale_max",
    "action_id",
    "text",
    "duration",
]


def _objects(names: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), values, max_size=8)


def _check(refused: PayloadError) -> None:
    assert refused.code.replace("-", "").isalpha()
    assert 0 < len(str(refused)) < 1_000


@settings(max_examples=200, deadline=None)
@given(
    item=_objects(_FIELDS, _JSON),
    properties=_objects(_PROPERTIES, _JSON) | _JSON,
    event=st.sampled_from(sorted(EVENTS)) | _JSON,
    kind=st.sampled_from(["track", "identify", "page", "screen", "group", "alias", "merge"]),
    known=st.booleans(),
)
def test_messages(item: dict[str, Any], properties: Any, event: Any, kind: str, known: bool) -> None:
    """No other exception, and never a signal that cannot be written."""
    message = {**item, "type": kind, "event": event, "properties": properties, **({"userId": "u1"} if known else {})}
    try:
        found, identifiers = segment.parse(message, None, Arrival(1_790_000_000_000), Source("s", None, "IR"))
    except PayloadError as refused:
        _check(refused)
        return
    assert identifiers
    codec = codec_of("signal")
    assert codec.decode(codec.encode(found))["id"] == found["id"]
    assert len(found["id"]) <= 100
    assert found["occurred_at_ms"] <= found["received_at_ms"]


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(SIGNAL_KINDS) | _JSON,
    payload=_JSON
    | _objects(["type", "order_id", "amount_minor", "event", "purpose", "channel", "granted", "items"], _JSON),
    fields=_objects(["id", "name", "channel", "identifiers", "occurred_at", "context", "traits"], _JSON),
    whole=st.booleans(),
)
def test_our_own_form(kind: Any, payload: Any, fields: dict[str, Any], whole: bool) -> None:
    """The same for signals that come as JSON in our own form."""
    item = {**fields, "kind": kind}
    if isinstance(kind, str):
        item[kind] = payload
    if whole:
        item |= {"id": "i", "name": "n", "channel": "web", "identifiers": [{"kind": "user_id", "value": "u"}]}
    try:
        found, _ = signal_json.parse(item, None, Arrival(1_790_000_000_000), Source("s"))
    except PayloadError as refused:
        _check(refused)
        return
    codec = codec_of("signal")
    assert codec.decode(codec.encode(found))["kind"] == kind
