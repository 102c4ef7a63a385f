"""What a job sees: decoded once while hot, forgotten after an abort."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.lane.store import MemoryStore
from streams.lane.views import CachedView, OverlaidView


def view_of(values: dict[bytes, Any], limit: int = 100) -> tuple[CachedView[Any], list[bytes]]:
    store, decoded = MemoryStore(), []
    store.write({key: json.dumps(value).encode() for key, value in values.items()}, 1)

    def decode(raw: bytes) -> Any:
        decoded.append(raw)
        return json.loads(raw)

    return CachedView(store, decode, limit), decoded


def test_hot_keys_are_decoded_once() -> None:
    view, decoded = view_of({b"a": [1]})
    assert view.get(b"a") is view.get(b"a")
    view.committed({})
    assert view.get(b"a") == [1]
    assert view.get(b"absent") is None
    assert len(decoded) == 1


def test_values_changed_in_place_are_forgotten_on_abort() -> None:
    view, _ = view_of({b"a": [1], b"b": [2]})
    for key in (b"a", b"b"):
        value = view.get(key)
        assert value is not None
        value.append(99)
    view.forget()
    assert (view.get(b"a"), view.get(b"b")) == ([1], [2])


def test_committed_values_are_what_is_seen_next() -> None:
    view, decoded = view_of({b"a": [1]})
    view.committed({b"a": [7], b"gone": None})
    assert (view.get(b"a"), view.get(b"gone")) == ([7], None)
    assert decoded == []


@given(st.lists(st.integers(0, 50)), st.integers(1, 20))
def test_cache_is_bounded_and_never_wrong(keys: list[int], limit: int) -> None:
    view, _ = view_of({b"%d" % n: n for n in range(51)}, limit)
    for key in keys:
        assert view.get(b"%d" % key) == key
        assert len(view._young) + len(view._old) <= max(2, limit)


def test_overlay_is_seen_first_and_nothing_is_shared() -> None:
    store = MemoryStore()
    store.write({b"a": b"[1]", b"b": b"[2]"}, 1)
    view = OverlaidView[Any](store, json.loads, {b"a": b"[5]", b"b": None})
    first = view.get(b"a")
    assert first == [5]
    first.append(6)
    assert view.get(b"a") == [5]
    assert view.get(b"b") is None
    assert view.get(b"c") is None
