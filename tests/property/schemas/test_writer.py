"""The compiled writer writes what fastavro writes."""

from io import BytesIO
from typing import Any

import fastavro
import fastavro.utils
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.wire import SCHEMAS_DIR, codec_of, load
from schemas.writer import UnsupportedSchemaError, compiled

NAMES = sorted(path.stem for path in SCHEMAS_DIR.glob("*.avsc"))


def _reference(schema: Any, value: Any) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return out.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_gives_the_same_bytes(name: str) -> None:
    """Random records of each schema of ours, nested parts included."""
    parsed = fastavro.parse_schema(load(name))
    write = compiled(load(name))
    for value in fastavro.utils.generate_many(parsed, 60):
        assert write(value) == _reference(parsed, value)


@pytest.mark.parametrize("name", NAMES)
def test_codec_uses_it_and_reads_it(name: str) -> None:
    """What the codec writes by the compiled writer, fastavro reads back."""
    codec = codec_of(name)
    value = fastavro.utils.generate_one(codec.parsed)
    raw = codec.encode(value)
    assert raw == codec.header + _reference(codec.parsed, value)
    assert codec.header + _reference(codec.parsed, codec.decode(raw)) == raw


NUMBER = {"type": "record", "name": "N", "fields": [{"name": "n", "type": "long"}]}
FLOATS = {
    "type": "record",
    "name": "F",
    "fields": [
        {"name": "f", "type": {"type": "array", "items": "float"}},
        {"name": "d", "type": {"type": "array", "items": "double"}},
    ],
}
WORDS = {
    "type": "record",
    "name": "W",
    "fields": [{"name": "w", "type": ["null", {"type": "map", "values": "string"}], "default": None}],
}


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_long(n: int) -> None:
    """The look-up tables meet at their seams."""
    assert compiled(NUMBER)({"n": n}) == _reference(NUMBER, {"n": n})


@given(st.none() | st.dictionaries(st.text(max_size=20), st.text(max_size=200), max_size=5))
def test_any_text(words: dict[str, str] | None) -> None:
    """Texts in any script, absent or empty maps."""
    assert compiled(WORDS)({"w": words}) == _reference(WORDS, {"w": words})
    assert compiled(WORDS)({}) == b"\x00"


@given(st.lists(st.floats(width=32), max_size=80), st.lists(st.floats(), max_size=5))
def test_any_array_of_floats(singles: list[float], doubles: list[float]) -> None:
    """Packed at once, they are the same bytes: NaN and infinities included."""
    assert compiled(FLOATS)({"f": singles, "d": doubles}) == _reference(FLOATS, {"f": singles, "d": doubles})


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_what_does_not_fit_is_refused(value: int) -> None:
    """A number beyond a long is not cut."""
    with pytest.raises(OverflowError):
        compiled(NUMBER)({"n": value})


@pytest.mark.parametrize("value", ["1", 1.5, None])
def test_another_type_is_refused(value: object) -> None:
    """A value that is not what the schema says is not written."""
    with pytest.raises((TypeError, AttributeError)):
        compiled(NUMBER)({"n": value})


def test_an_unknown_feature_is_named() -> None:
    """A union of three is not silently taken for something else."""
    with pytest.raises(UnsupportedSchemaError, match="union"):
        compiled({"type": "record", "name": "U", "fields": [{"name": "u", "type": ["null", "long", "string"]}]})
