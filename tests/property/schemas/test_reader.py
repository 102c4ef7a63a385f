"""The compiled reader takes what fastavro reads and the writer writes again, and nothing else."""

import json
import struct
from io import BytesIO
from typing import Any

import fastavro
import fastavro.utils
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import reader, wire, writer
from schemas.reader import MalformedError
from schemas.writer import UnsupportedSchemaError

NAMES = wire.names()

# What our schemas use or may use, in one small record: mutations of its bytes reach every check soon.
EVERYTHING: dict[str, Any] = {
    "type": "record",
    "name": "E",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "raw", "type": "bytes"},
        {"name": "small", "type": "int"},
        {"name": "large", "type": "long"},
        {"name": "d", "type": "double"},
        {"name": "f", "type": "float"},
        {"name": "yes", "type": "boolean"},
        {"name": "nothing", "type": "null"},
        {"name": "word", "type": ["null", "string"], "default": None},
        {"name": "at", "type": ["long", "null"], "default": 0},
        {"name": "colour", "type": {"type": "enum", "name": "Colour", "symbols": ["red", "green", "blue"]}},
        {"name": "floats", "type": {"type": "array", "items": "float"}},
        {"name": "doubles", "type": {"type": "array", "items": "double"}},
        {"name": "flags", "type": {"type": "map", "values": "boolean"}},
        {
            "name": "parts",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Part",
                    "fields": [
                        {"name": "id", "type": "bytes"},
                        {"name": "n", "type": ["null", "long"]},
                        {"name": "of", "type": {"type": "map", "values": {"type": "array", "items": "long"}}},
                    ],
                },
            },
        },
        {"name": "last", "type": ["null", "Part"]},
    ],
}

LONGS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-200, 200),
    st.integers(1_600_000_000_000, 1_900_000_000_000),
    st.sampled_from([sign * (1 << bits) - less for bits in range(63) for sign in (1, -1) for less in (0, 1)]),
)
FLOATS = st.floats(width=32)
PARTS = st.fixed_dictionaries(
    {
        "id": st.binary(max_size=20),
        "n": st.none() | LONGS,
        "of": st.dictionaries(st.text(max_size=3), st.lists(LONGS, max_size=3), max_size=2),
    }
)
VALUES = st.fixed_dictionaries(
    {
        "text": st.text(max_size=90),
        "raw": st.binary(max_size=90),
        "small": st.integers(-(2**31), 2**31 - 1),
        "large": LONGS,
        "d": st.floats(),
        "f": FLOATS,
        "yes": st.booleans(),
        "nothing": st.none(),
        "word": st.none() | st.text(max_size=5),
        "at": st.none() | LONGS,
        "colour": st.sampled_from(["red", "green", "blue"]),
        "floats": st.lists(FLOATS, max_size=4),
        "doubles": st.lists(st.floats(), max_size=4),
        "flags": st.dictionaries(st.text(max_size=3), st.booleans(), max_size=3),
        "parts": st.lists(PARTS, max_size=3),
        "last": st.none() | PARTS,
    }
)

HUGE = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
INSERTS = st.sampled_from(
    [b"\x00", b"\x01", b"\x02", b"\x80\x00", b"\x82\x00", b"\x80\x80\x00", HUGE, b"\x01\x02", b"\xff" * 9 + b"\x01",
     b"\xff" * 9 + b"\x02", b"\xff" * 9 + b"\x7f", b"\xff" * 10 + b"\x01", b"\x01\x00\xa0\x7f",
     b"\xed\xa0\x80", b"\xc0\x80"]
)  # fmt: skip


class Held:
    """A schema with the reader, and the check that it replaces: fastavro, and the writer again."""

    def __init__(self, schema: Any) -> None:
        self.parsed = fastavro.parse_schema(schema)
        self.read, self.write = reader.compiled(schema), writer.compiled(schema)

    def reference(self, raw: bytes) -> dict[str, Any] | None:
        """Return what the check by encoding again takes; None when it refuses."""
        stream = BytesIO(raw)
        try:
            value: Any = fastavro.schemaless_reader(stream, self.parsed, None)
        except Exception:  # noqa: BLE001 - fastavro raises whatever its C code meets
            return None
        return value if stream.tell() == len(raw) and self.write(value) == raw else None

    def check(self, raw: bytes) -> bool:
        """Compare the reader with the reference; return whether they took the bytes."""
        expected = self.reference(raw)
        if expected is None:
            with pytest.raises(MalformedError, match=r" at byte \d+: "):
                self.read(raw, 0)
            return False
        found = self.read(raw, 0)
        assert _exact(found) == _exact(expected)
        framed = self.read(b"\xc3\x01 a frame" + raw, 10)
        assert _exact(framed) == _exact(expected)
        return True


def _exact(value: Any) -> Any:
    """Return a value with its types and the bits of its floats: 1, 1.0 and True differ, NaN equals itself."""
    if isinstance(value, dict):
        return [(key, _exact(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [_exact(item) for item in value]
    return (type(value), struct.pack("<d", value) if isinstance(value, float) else value)


SMALL = Held(EVERYTHING)
OURS = {name: Held(wire.load(name)) for name in NAMES}


@st.composite
def mutated(draw: st.DrawFn, raw: bytes) -> bytes:
    """Return bytes with one to three faults: a bit flipped, a byte set, a piece cut, doubled or put in."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(raw)))
        end = min(len(raw), at + draw(st.integers(1, 4)))
        put = draw(
            st.one_of(
                st.just(raw[at:end] and bytes([raw[at] ^ (1 << draw(st.integers(0, 7)))]) + raw[at + 1 : end]),
                st.just(b""),
                st.just(raw[at:end] * 2),
                INSERTS,
                st.binary(max_size=12),
                INSERTS.map(lambda piece: piece + raw[at:end]),  # noqa: B023 - drawn at once
                st.just(bytes([(raw[at] if at < len(raw) else 0) | 128, 0])),  # the same number, too long
            )
        )
        raw = raw[:at] + put + raw[end:]
    return raw


@given(VALUES)
def test_any_value_is_read_as_fastavro_reads_it(value: dict[str, Any]) -> None:
    """All types, the seams of long numbers, NaN included."""
    assert SMALL.check(SMALL.write(value))


@given(st.data())
def test_faults_are_refused_exactly_where_encoding_again_differs(data: st.DataObject) -> None:
    """Bits flipped, pieces cut, doubled or put in: taken by both or by neither."""
    SMALL.check(data.draw(mutated(SMALL.write(data.draw(VALUES)))))


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_is_read_as_fastavro_reads_it(name: str) -> None:
    """Random records of each schema of ours, and one of them cut short: at any byte, of a long one at 1,000 places."""
    held = OURS[name]
    for value in fastavro.utils.generate_many(held.parsed, 40):
        assert held.check(held.write(value))
    raw = held.write(fastavro.utils.generate_one(held.parsed))
    taken = [end for end in range(0, len(raw), max(1, len(raw) // 1_000)) if held.check(raw[:end])]
    assert not taken


@given(st.data())
def test_faults_in_our_schemas(data: st.DataObject) -> None:
    """Faulty bytes of each of our schemas are taken by both or by neither."""
    held = OURS[data.draw(st.sampled_from(NAMES))]
    held.check(data.draw(mutated(held.write(fastavro.utils.generate_one(held.parsed)))))


NUMBER = Held({"type": "record", "name": "N", "fields": [{"name": "n", "type": "long"}]})


@given(st.binary(max_size=12))
@example(b"\x80\x00")
@example(b"\x80\x80\x80\x80\x80\x00")
@example(b"\xff" * 9 + b"\x01")
@example(b"\xff" * 9 + b"\x02")
@example(b"\xff" * 9 + b"\x7f")
@example(b"\xff" * 10 + b"\x01")
def test_any_bytes_as_a_number(raw: bytes) -> None:
    """Too long, too large, cut short: only the shortest form of 64 bits is a number."""
    NUMBER.check(raw)


@given(LONGS)
def test_any_number_twice(n: int) -> None:
    """The second time its upper part is remembered; a longer form of it is refused all the same."""
    raw = NUMBER.write({"n": n})
    assert NUMBER.check(raw)
    assert NUMBER.check(raw)
    assert not NUMBER.check(raw[:-1] + bytes([raw[-1] | 128, 0]))


def _one(kind: Any) -> Held:
    return Held({"type": "record", "name": "R", "fields": [{"name": "x", "type": kind}]})


MANY = {"type": "array", "items": "long"}
MAP = {"type": "map", "values": "long"}
FLOAT_ARRAY = {"type": "array", "items": "float"}


@pytest.mark.parametrize(
    ("kind", "raw", "why"),
    [
        (["null", "long"], b"\x04\x02", "neither null nor a value"),
        (["null", "long"], b"\x01\x02", "neither null nor a value"),
        ("boolean", b"\x02", "neither true nor false"),
        ("string", b"\x04a", "cut short"),
        ("string", b"\x04\xc3(", "not UTF-8"),
        ("string", b"\x01", "a negative length"),
        ("bytes", b"\x02ab", "1 bytes after the end"),
        ("long", b"\x80\x00", "longer than it need be"),
        ("long", b"\xff" * 9 + b"\x02", "more than 64 bits"),
        ("long", b"\xff" * 12, "more than ten bytes"),
        (MANY, b"\x01\x02\x02\x00", "a negative length or count, -1"),
        (MANY, b"\x02\x02\x02\x02\x00", "more than one block"),
        (MANY, b"\x0a\x02\x00", "5 items are said to come"),
        (MAP, b"\x04\x02a\x02\x02a\x02\x00", "a key comes twice"),
        (MAP, b"\x06\x02a\x02\x00", "3 items are said to come"),
        ("double", b"1234567", "the bytes end at 7"),
        ("float", struct.pack("<I", 0x7F800001), "a float that no writer makes"),
        (FLOAT_ARRAY, b"\x04" + bytes(4) + struct.pack("<I", 0x7F800001) + b"\x00", "a float that no writer makes"),
        ({"type": "enum", "name": "C", "symbols": ["a", "b"]}, b"\x04", "no symbol 2"),
        ({"type": "enum", "name": "C", "symbols": ["a", "b"]}, b"\x01", "a negative length"),
    ],
)
def test_each_fault_is_named(kind: Any, raw: bytes, why: str) -> None:
    """What is wrong stands in the message with the field and the byte; the reference refuses it, too."""
    held = _one(kind)
    assert held.reference(raw) is None
    with pytest.raises(MalformedError, match=rf"^R.* at byte \d+: .*{why}"):
        held.read(raw, 0)


def test_the_field_is_named() -> None:
    """A fault deep inside says which field it is in."""
    part = {"id": b"i", "n": 7, "of": {"k": [1]}}
    value = {**fastavro.utils.generate_one(SMALL.parsed), "parts": [part], "last": None}
    raw = SMALL.write(value)
    at = raw.rindex(b"\x02i\x02\x0e")
    with pytest.raises(MalformedError, match=rf"^E\.parts\[\]\.n at byte {at + 2}: neither null"):
        SMALL.read(raw[: at + 2] + b"\x04" + raw[at + 3 :], 0)


def test_infinities_of_both_signs_pass() -> None:
    """Their sum is not a number, yet they are."""
    held = _one(FLOAT_ARRAY)
    assert held.check(held.write({"x": [float("inf"), float("-inf"), float("nan")]}))


@pytest.mark.parametrize("items", ["null", {"type": "record", "name": "Empty", "fields": []}])
def test_items_of_no_bytes_are_not_compiled(items: Any) -> None:
    """A few bytes could say that 2**60 of them come."""
    with pytest.raises(UnsupportedSchemaError, match=r"R\.x: items of no bytes"):
        reader.compiled(
            {"type": "record", "name": "R", "fields": [{"name": "x", "type": {"type": "array", "items": items}}]}
        )


def test_recursion_and_wide_unions_are_not_compiled() -> None:
    """Bytes could nest without end; a union of three could be taken for another."""
    loop = {"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]}
    with pytest.raises(UnsupportedSchemaError, match="holds itself"):
        reader.compiled(loop)
    wide = {"type": "record", "name": "W", "fields": [{"name": "x", "type": ["null", "long", "string"]}]}
    with pytest.raises(UnsupportedSchemaError, match="union"):
        reader.compiled(wide)
    fixed = {
        "type": "record",
        "name": "W",
        "fields": [{"name": "x", "type": {"type": "fixed", "name": "F", "size": 4}}],
    }
    with pytest.raises(UnsupportedSchemaError, match="'fixed'"):
        reader.compiled(fixed)


def test_upper_parts_of_numbers_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of a thousand years cost no more memory than the table's limit."""
    monkeypatch.setattr(reader, "_high", {})
    monkeypatch.setattr(reader, "_HIGH_KEPT", 100)
    for n in range(1_000):
        at_ms = 1_700_000_000_000 + n * 100_000
        assert NUMBER.read(NUMBER.write({"n": at_ms}), 0) == {"n": at_ms}
        assert len(reader._high) <= 100
    assert reader._high


def test_names_in_a_schema_are_not_code() -> None:
    """A field's name reaches the source through repr alone."""
    name = "x'}); raise SystemExit #{v}"
    held = {"type": "record", "name": "R", "fields": [{"name": name, "type": ["null", "long"]}]}
    assert reader.compiled(json.loads(json.dumps(held)))(b"\x02\x02", 0) == {name: 1}
