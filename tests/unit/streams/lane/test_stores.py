"""Both stores behave alike; RocksDB also outlives its process, and is thrown away when it cannot be trusted."""

from collections.abc import Callable
from pathlib import Path

import pytest

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
