"""What a job sees: decoded once while hot, forgotten after an abort."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.lane.store import MemoryStore
from streams.lane.views import CachedView, OverlaidView


def view_of(values: dict[bytes, Any], limit: int = 10_000) -> tuple[CachedView[Any], list[bytes]]:
    store, decoded = MemoryStore(), []
    store.write({key: json.dumps(value).encode() for key, value in values.items()}, 1)

    def decode(raw: bytes) -> Any:
        decoded.append(raw)
        return json.loads(raw)

    return CachedView(store, decode, limit), decoded


def test_hot_keys_are_decoded_once() -> None:
    view, decoded = view_of({b"a": [1]})
    assert view.get(b"a") is view.get(b"a")
    view.committed({}, {})
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
    view.committed({b"a": [7], b"gone": None}, {b"a": b"[7]", b"gone": None})
    assert (view.get(b"a"), view.get(b"gone")) == ([7], None)
    assert decoded == []


def _weight(view: CachedView[Any]) -> int:
    return sum(size for kept in (view._young, view._old) for _, size in kept.values())


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans())), st.integers(1, 2_000))
def test_cache_is_bounded_and_never_wrong(steps: list[tuple[int, bool]], limit: int) -> None:
    """A generation weighs at most half the limit, or is a single value, whatever is read and written."""
    values = {n: "x" * n for n in range(51)}
    view, _ = view_of({b"%d" % n: value for n, value in values.items() if n != 7}, limit)
    for number, written in steps:
        key = b"%d" % number
        if written:
            view.committed({key: values[number]}, {key: json.dumps(values[number]).encode()})
        elif number != 7:
            assert view.get(key) == values[number]
        for kept in (view._young, view._old):
            assert sum(size for _, size in kept.values()) <= limit // 2 or len(kept) <= 1
        assert view._young_bytes == sum(size for _, size in view._young.values())


def test_a_value_that_grows_counts_with_its_new_weight() -> None:
    view, decoded = view_of({b"big": "x", b"small": "y"}, limit=600)
    assert view.get(b"small") == "y"
    for _ in range(3):
        view.committed({b"big": "x" * 250}, {b"big": b"x" * 252})
    assert view.get(b"small") == "y"
    assert len(decoded) == 1


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
