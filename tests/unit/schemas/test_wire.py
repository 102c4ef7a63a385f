"""The codec and its guards."""

import json
import subprocess
import sys
from io import BytesIO
from typing import Any

import fastavro
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import parse
from hypothesis import given
from hypothesis import strategies as st

from schemas import wire
from schemas.views import SIGNAL_KINDS
from schemas.wire import WireError, codec_of

SIGNAL: dict[str, Any] = {
    "id": "m-1",
    "kind": "transaction",
    "name": "order_completed",
    "channel": "web",
    "source": "shop",
    "identifiers": [{"kind": "user_id", "value": "u1", "original": ""}],
    "occurred_at_ms": 1,
    "original_at_ms": None,
    "sent_at_ms": 5,
    "received_at_ms": 6,
    **dict.fromkeys(SIGNAL_KINDS),
    "transaction": {
        "type": "order",
        "order_id": "o1",
        "amount_minor": 1200,
        "currency": "EUR",
        "items": [{"item_id": "a", "category": None, "quantity": 1, "price_minor": 3}],
        "margin_minor": None,
        "coupon": None,
    },
    "context": {
        **dict.fromkeys(("ip", "user_agent", "locale", "time_zone", "page_url", "referrer", "campaign")),
        "extra": {"a": "b"},
    },
}


def compatible(reader: object, writer: object) -> bool:
    """Ask Apache Avro's own checker, which shares no code with fastavro."""
    verdict = ReaderWriterCompatibilityChecker().get_compatibility(parse(json.dumps(reader)), parse(json.dumps(writer)))
    return bool(verdict.compatibility is SchemaCompatibilityType.compatible)


@pytest.mark.parametrize("name", wire.names())
def test_schemas_are_full_transitive(name: str) -> None:
    """Every version reads, and is read by, every other version."""
    versions = [*wire.history(name), wire.load(name)]
    assert len(versions) > 1, f"{name} has no released version in schemas/avro/history"
    for reader in versions:
        for writer in versions:
            assert compatible(reader, writer)


def test_the_checker_refuses_what_it_must() -> None:
    """The test above can fail: a string that becomes an int, a new field without a default."""
    old = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "string"}]}
    assert not compatible({**old, "fields": [{"name": "a", "type": "int"}]}, old)
    assert not compatible({**old, "fields": [*old["fields"], {"name": "b", "type": "int"}]}, old)


@pytest.mark.parametrize("name", wire.names())
def test_the_current_schema_is_the_newest_release(name: str) -> None:
    """A changed schema needs a new file in history, or readers could not know its writers."""
    assert wire.fingerprint(wire.load(name)) == wire.fingerprint(wire.history(name)[-1])


@pytest.mark.parametrize("name", wire.names())
def test_schemas_hold_nothing_that_can_explode(name: str) -> None:
    """No recursion, no zero-width items, no decimals, and unions of records only at the top."""

    known: set[str] = set()

    def walk(schema: Any, path: tuple[str, ...], *, top: bool) -> None:
        if isinstance(schema, list):
            records = [b for b in schema if isinstance(b, dict) and b["type"] == "record"]
            assert not records or (top and schema == ["null", *records]), path
            for branch in schema:
                walk(branch, path, top=False)
        elif isinstance(schema, dict):
            assert "logicalType" not in schema, path
            if schema["type"] == "record":
                assert schema["name"] not in path, f"{path} recurs"
                known.add(f"sada.{schema['name']}")
                for part in schema["fields"]:
                    walk(part["type"], (*path, schema["name"]), top=len(path) == 0)
            elif schema["type"] == "array":
                assert schema["items"] != "null", path
                walk(schema["items"], path, top=False)
            elif schema["type"] == "map":
                walk(schema["values"], path, top=False)
        elif schema in known:  # a record that stands elsewhere, too
            assert schema.removeprefix("sada.") not in path, f"{path} recurs"
        else:
            assert schema in {"null", "string", "bytes", "int", "long", "float", "double", "boolean"}, (path, schema)

    walk(wire.load(name), (), top=True)


def test_reads_back_what_it_wrote() -> None:
    """A signal survives, optional records included, strict or not."""
    codec = codec_of("signal")
    raw = codec.encode(SIGNAL)
    assert codec.decode(raw) == SIGNAL
    assert codec.decode(raw, strict=False) == SIGNAL


@given(st.binary(max_size=300))
def test_any_bytes_end_in_a_wire_error_or_a_record(noise: bytes) -> None:
    """Garbage never raises anything else."""
    codec = codec_of("signal")
    for raw in (noise, codec.header + noise):
        try:
            value = codec.decode(raw)
        except WireError:
            continue
        assert codec.encode(value) == raw


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "bad-frame"),
        (b"{}", "bad-frame"),
        (b"\x00", "unknown-schema"),
        (b"\x00\x00\x00\x00\x07rest", "unknown-schema"),
        (b"\xc3\x01" + bytes(8), "unknown-schema"),
        (codec_of("signal").encode(SIGNAL) + b"\x00", "bad-avro"),
        (codec_of("signal").encode(SIGNAL)[:-1], "bad-avro"),
        (codec_of("signal").header + bytes(wire.MAX_BYTES), "too-large"),
    ],
)
def test_bad_bytes_are_named(raw: bytes, code: str) -> None:
    """Each kind of bad input has its own stable code."""
    with pytest.raises(WireError) as caught:
        codec_of("signal").decode(raw)
    assert caught.value.code == code


def test_a_union_index_of_minus_one_is_refused() -> None:
    """fastavro takes it for the last branch; no writer makes it."""
    codec = codec_of("dead_letter")
    letter = dict.fromkeys(("code", "detail", "stage", "topic"), "x") | {"partition": 0, "offset": 0, "at_ms": 0}
    good = codec.encode({**letter, "key": b"k", "value": None})
    at = good.rindex(b"\x02\x02k")
    forged = good[:at] + b"\x01" + good[at + 1 :]
    assert fastavro.schemaless_reader(BytesIO(forged[len(codec.header) :]), codec.parsed, None)["key"] == b"k"
    for strict in (True, False):
        with pytest.raises(WireError, match=rf"not a dead_letter .*DeadLetter\.key at byte {at}: neither null"):
            codec.decode(forged, strict=strict)


def earlier(value: dict[str, Any]) -> tuple[wire.Codec, bytes]:
    """Return a codec with an earlier version, and the bytes of a record of it."""
    old, new, *_ = wire.history("decision")
    codec = wire.Codec("decision")
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(dict(old)), value)
    assert wire.fingerprint(old) != wire.fingerprint(new)
    return codec, b"\xc3\x01" + wire.fingerprint(old) + out.getvalue()


DECISION: dict[str, Any] = {
    **dict.fromkeys(("id", "signal_id", "trigger", "feature_set", "catalogue_version"), "x"),
    **dict.fromkeys(("action", "treatment", "channel", "hold")),
    **dict.fromkeys(("candidates", "filtered", "features"), ()),
    "scores": {},
    "model_versions": {},
    "customer": b"c" * 16,
    "decided_at_ms": 7,
    "control": False,
    "propensity": 1.0,
    "draw": 0.5,
}


def test_an_earlier_version_is_read_as_the_current_one() -> None:
    """A field that it lacks has its default."""
    part = {**dict.fromkeys(("action", "treatment", "channel"), "a"), "p": 0.25}
    part |= dict.fromkeys(("value", "context", "lever", "score", "probability"), 1.0)
    codec, raw = earlier({**DECISION, "candidates": [part]})
    for strict in (True, False):
        assert codec.decode(raw, strict=strict)["candidates"] == [{**part, "sd": 0.0}]


def test_an_earlier_version_has_the_same_guards() -> None:
    """Bytes after the end, cut short, and a form that no writer makes."""
    codec, raw = earlier(DECISION)
    at = raw.index(b"\x00\x00\x00\x00", len(codec.header))  # action, treatment, channel, hold: all null
    forged = raw[:at] + b"\x80\x00" + raw[at + 1 :]
    for strict in (True, False):
        for bad, why in ((raw + b"\x00", "1 bytes after the end"), (raw[:-1], "not a decision: ")):
            with pytest.raises(WireError, match=why):
                codec.decode(bad, strict=strict)
    assert codec.decode(forged, strict=False)["action"] is None
    with pytest.raises(WireError, match="encoding it again differs"):
        codec.decode(forged)


BOMBS = {
    "huge array count": b"\x04m1\x04ab\x04cd\x02w\x02s" + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f",
    "huge string": b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f",
    "negative string": b"\x01",
    "endless varint": b"\xff" * 5_000,
    "negative block with a huge size": b"\x04m1\x04ab\x04cd\x02w\x02s" + b"\x01\xfe\xff\xff\xff\xff\xff\xff\xff\x7f",
    "half a megabyte of small blocks": b"\x04m1\x04ab\x04cd\x02w\x02s" + b"\x02\x00\x00" * 160_000,
}

_CHILD = """
import sys
from schemas.wire import WireError, codec_of
codec = codec_of("signal")
codec.decode  # loaded
body = bytes.fromhex(sys.stdin.read())
import resource, time
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
try:
    codec.decode(codec.header + body)
    print("taken")
except WireError as exc:
    print(exc.code)
print(int((time.process_time() - start) * 1000), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("bomb", sorted(BOMBS))
def test_bombs_cost_neither_time_nor_memory(bomb: str) -> None:
    """In a child process: no crash, under 200 MiB, and a share of a second of CPU."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD], input=BOMBS[bomb].hex(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    verdict, cost = done.stdout.splitlines()
    cpu_ms, memory_mib = map(int, cost.split())
    assert verdict == "bad-avro"
    assert memory_mib < 200
    assert cpu_ms < 500


class FakeRegistry:
    """Holds schemas by id; counts the questions."""

    def __init__(self, schemas: dict[int, str]) -> None:
        self.schemas = schemas
        self.asked = 0

    def id_of(self, subject: str, schema: str) -> int:
        return next(number for number, text in self.schemas.items() if json.loads(text) == json.loads(schema))

    def schema_of(self, schema_id: int) -> str:
        self.asked += 1
        return self.schemas[schema_id]


def test_confluent_framing_and_foreign_schemas() -> None:
    """Known ids are read; an id of somebody else's schema is not, and is asked for once only."""
    ours = json.dumps(wire.load("tick"))
    hostile = json.dumps(
        {"type": "record", "name": "Tick", "fields": [{"name": "x", "type": {"type": "array", "items": "null"}}]}
    )
    registry = FakeRegistry({7: ours, 8: hostile, 9: ours})
    codec = wire.Codec("tick", registry)
    raw = codec.encode({"at_ms": 5})
    assert raw[:5] == b"\x00\x00\x00\x00\x07"
    assert codec.decode(raw) == {"at_ms": 5}
    assert codec.decode(b"\x00\x00\x00\x00\x09" + raw[5:]) == {"at_ms": 5}
    assert codec.decode(codec_of("tick").encode({"at_ms": 6})) == {"at_ms": 6}
    for _ in range(3):
        with pytest.raises(WireError, match="no version of tick"):
            codec.decode(b"\x00\x00\x00\x00\x08" + raw[5:])
    assert registry.asked == 2


def test_a_silent_registry_is_not_the_records_fault() -> None:
    """Its error passes through: a good record must not become a dead letter because the registry is down."""

    class Down(FakeRegistry):
        def schema_of(self, schema_id: int) -> str:
            raise ConnectionError("down")

    codec = wire.Codec("tick", Down({7: json.dumps(wire.load("tick"))}))
    with pytest.raises(ConnectionError):
        codec.decode(b"\x00\x00\x00\x00\x0a\x02")


@pytest.mark.parametrize(
    "schema",
    ["1", "null", "[1, 2]", '{"type": ["int"]}', '{"type": "object"}', 'syntax = "proto3";', "[" * 100_000],
    ids=lambda text: text[:20],
)
def test_what_is_no_avro_schema_in_the_registry(schema: str) -> None:
    """A shared registry holds JSON Schemas and Protobuf, too: a record that names one is refused, like any other."""
    codec = wire.Codec("tick", FakeRegistry({7: json.dumps(wire.load("tick")), 8: schema}))
    with pytest.raises(WireError) as caught:
        codec.decode(b"\x00\x00\x00\x00\x08\x02")
    assert caught.value.code == "unknown-schema"
