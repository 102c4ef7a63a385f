"""The position record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.lane.errors import PositionError
from streams.lane.position import Position, decode_position, encode_position


@given(st.dictionaries(st.text(min_size=1), st.integers(0, 2**62)), st.integers(-1, 2**62))
def test_what_is_written_is_read(offsets: dict[str, int], stream_ms: int) -> None:
    position = Position(offsets, stream_ms)
    assert decode_position(encode_position(position), where="x[0]") == position


@pytest.mark.parametrize(
    "raw", [b"", b"1", b"{}", b'{"v":2}', b'{"v":1,"stream_ms":"x","next":{}}', b'{"v":1,"stream_ms":1,"next":[]}']
)
def test_what_is_no_position_record_is_refused_by_name(raw: bytes) -> None:
    with pytest.raises(PositionError, match=r"words-changelog\[3\]"):
        decode_position(raw, where="words-changelog[3]")


def test_stream_time_never_goes_back() -> None:
    position = Position({"a": 1}, 100).after({"b": 5}, 50)
    assert position == Position({"a": 1, "b": 5}, 100)
    assert position.after({}, None).stream_ms == 100
    assert position.after({}, 101).stream_ms == 101
