"""Both stores behave alike; RocksDB also outlives its process, and is thrown away when it cannot be trusted."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.lane.due import NEVER, checked
from streams.lane.errors import StoreError
from streams.lane.position import POSITION_KEY
from streams.lane.rocks import TRUSTED_FOR_S, RocksStore
from streams.lane.store import NOTHING_REFLECTED, MemoryStore, Store

Make = Callable[[], Store]


@pytest.fixture(params=["memory", "rocksdb"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "memory":
        return MemoryStore
    return lambda: RocksStore(tmp_path / "s" / "0", "id-1")


def test_writes_reads_deletes_and_clears(make: Make) -> None:
    store = make()
    assert store.offset == NOTHING_REFLECTED
    store.write({b"a": b"1", b"b": b"2", POSITION_KEY: b"{}"}, 10)
    store.write({b"a": None, b"gone": None, b"c": b"3"}, 14)
    assert (store.get(b"a"), store.get(b"b"), store.get(POSITION_KEY)) == (None, b"2", b"{}")
    assert sorted(store.items()) == [(b"b", b"2"), (b"c", b"3")]
    assert store.offset == 14
    store.clear()
    assert store.get(b"b") is None
    assert store.offset == NOTHING_REFLECTED
    store.close()


def test_rocksdb_remembers_what_it_reflects(tmp_path: Path) -> None:
    store = RocksStore(tmp_path, "id-1")
    store.write({b"a": b"1"}, 41)
    store.close()
    again = RocksStore(tmp_path, "id-1")
    assert (again.offset, again.get(b"a")) == (41, b"1")
    again.close()


def test_store_of_a_recreated_changelog_is_thrown_away(tmp_path: Path) -> None:
    store = RocksStore(tmp_path, "id-1")
    store.write({b"a": b"1"}, 41)
    store.close()
    other = RocksStore(tmp_path, "id-2")
    assert (other.offset, other.get(b"a")) == (NOTHING_REFLECTED, None)
    other.close()


def test_store_that_may_have_missed_tombstones_is_thrown_away(tmp_path: Path) -> None:
    store = RocksStore(tmp_path, "id-1", clock_s=lambda: 0.0)
    store.write({b"a": b"1"}, 41)
    store.close()
    late = RocksStore(tmp_path, "id-1", clock_s=lambda: TRUSTED_FOR_S + 1.0)
    assert (late.offset, late.get(b"a")) == (NOTHING_REFLECTED, None)
    late.close()


def test_directory_in_use_is_named(tmp_path: Path) -> None:
    store = RocksStore(tmp_path, "id-1")
    with pytest.raises(StoreError, match=f"cannot open the store at {tmp_path}"):
        RocksStore(tmp_path, "id-1")
    store.close()


def test_timers_outlive_the_process_in_rocksdb(tmp_path: Path) -> None:
    store = RocksStore(tmp_path, "id-1")
    store.write({b"a": b"1", b"b": b"2", b"c": b"3"}, 3, {b"a": checked(7), b"b": checked(-1), b"c": NEVER})
    store.write({b"b": None}, 4, {b"b": NEVER})
    store.close()
    again = RocksStore(tmp_path, "id-1")
    assert list(again.due()) == [{b"a": checked(7)}]
    assert dict(again.items()) == {b"a": b"1", b"c": b"3"}
    again.close()


VALUES = st.one_of(
    st.none(), st.binary(max_size=40), st.builds(lambda n, m: b"%d" % n * m, st.integers(0, 9), st.integers(1, 9_000))
)
NODES = st.sampled_from([*(b"%016d" % n for n in range(6)), b"short", b"", b"x" * 70, b"y" * 14])


@given(st.lists(st.dictionaries(NODES, VALUES, max_size=6), max_size=12))
def test_memory_store_is_a_dict(writes: list[dict[bytes, bytes | None]]) -> None:
    """Small or large, packed or not: what is read is what was written last."""
    store, plain = MemoryStore(), dict[bytes, bytes]()
    for offset, changes in enumerate(writes):
        store.write(changes, offset)
        for key, value in changes.items():
            plain.pop(key, None)
            if value is not None:
                plain[key] = value
        assert dict(store.items()) == plain
        assert {key: store.get(key) for key in plain} == plain
        assert len(store) == len(plain)
    assert store.get(b"%016d" % 99) is None


def test_memory_store_takes_places_again(make_records: Callable[[int], list[bytes]]) -> None:
    """Records that change for ever do not grow the memory: their slabs and rows are used again."""
    store = MemoryStore()
    keys = [b"%016d" % n for n in range(50)]
    for turn in range(40):
        store.write(dict(zip(keys, make_records(50), strict=True)), turn)
    pieces = sum(len(pieces) for pieces in store._slabs._pieces)
    for turn in range(40):
        store.write(dict(zip(keys, make_records(50), strict=True)), 40 + turn)
        store.write({keys[turn]: None}, 80 + turn)
    assert sum(len(pieces) for pieces in store._slabs._pieces) <= pieces + 2
    assert store._table is not None
    assert len(store._table._rows) == 50 * 48


def test_a_million_pointers_cost_sixty_bytes_each() -> None:
    store = MemoryStore()
    store.write({b"%016d" % n: b"a pointer of thirty bytes size." for n in range(100_000)}, 1)
    table = store._table
    assert table is not None
    assert (len(table._rows) + 4 * len(table._index)) / 100_000 < 62
    assert store.get(b"%016d" % 77_777) == b"a pointer of thirty bytes size."


@pytest.fixture
def make_records() -> Callable[[int], list[bytes]]:
    """Make values that have much in common, as those of one stage do."""
    draw = Random(1)

    def made(count: int) -> list[bytes]:
        return [
            b"".join(b"[product_viewed, web, sku-%d, https://shop.example/]" % draw.randrange(99) for _ in range(n))
            for n in (draw.randrange(3, 30) for _ in range(count))
        ]

    return made
