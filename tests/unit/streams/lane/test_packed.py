"""The packed table against a plain dict; slabs against what was put into them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.lane import packed
from streams.lane.packed import PackedTable
from streams.lane.slabs import Place, Slabs

KEYS = st.integers(0, 40).map(lambda n: b"%04d" % n)
STEPS = st.lists(st.tuples(KEYS, st.one_of(st.none(), st.binary(max_size=7)), st.booleans()), max_size=300)


@given(STEPS)
def test_table_is_a_dict(steps: list[tuple[bytes, bytes | None, bool]]) -> None:
    table, plain = PackedTable(4, 7), dict[bytes, tuple[bytes, bool]]()
    for key, value, mark in steps:
        if value is None:
            assert table.pop(key) == plain.pop(key, None)
        else:
            assert table.put(key, value, mark=mark) == plain.get(key)
            plain[key] = (value, mark)
        assert len(table) == len(plain)
    assert {key: (value, mark) for key, value, mark in table.items()} == plain
    assert all(table.get(b"%04d" % n) == plain.get(b"%04d" % n) for n in range(41))


def test_places_of_keys_that_went_do_not_pile_up() -> None:
    """A search ends at an empty place: when keys come and go for ever, there must stay some."""
    table = PackedTable(8, 1)
    for number in range(5_000):
        table.put(b"%08d" % number, b"x")
        table.pop(b"%08d" % number)
    assert table.get(b"absent..") is None
    assert len(table._index) <= 16
    assert len(table._rows) == 10


@pytest.mark.parametrize(("key", "value"), [(b"abc", b""), (b"abcde", b""), (b"abcd", b"12345678")])
def test_what_does_not_fit_is_refused(key: bytes, value: bytes) -> None:
    with pytest.raises(ValueError, match=r"a row takes 4 \+ 7 bytes"):
        PackedTable(4, 7).put(key, value)


def test_a_row_has_room_for_127_bytes_at_most() -> None:
    with pytest.raises(ValueError, match="not 128"):
        PackedTable(4, 128)


@given(st.lists(st.tuples(st.integers(0, 6_000), st.booleans()), max_size=60))
def test_slabs_keep_what_is_put_and_use_places_again(steps: list[tuple[int, bool]]) -> None:
    slabs, kept = Slabs(), list[tuple[Place, bytes]]()
    for number, (length, frees) in enumerate(steps):
        if frees and kept:
            place, _ = kept.pop(number % len(kept))
            slabs.free(place)
        value = number.to_bytes(2, "big") * (length // 2)
        kept.append((slabs.put(value), value))
    assert all(slabs.get(place) == value for place, value in kept)
    assert len({(place.size, place.number) for place, _ in kept}) == len(kept)


@pytest.mark.parametrize("many", [1, 8, 1_000], ids=["all together", "together, then one by one", "one by one"])
@given(steps=st.lists(st.tuples(st.dictionaries(KEYS, st.tuples(st.binary(max_size=7), st.booleans())), st.sets(KEYS))))
def test_many_at_once_are_as_one_after_another(
    many: int, steps: list[tuple[dict[bytes, tuple[bytes, bool]], set[bytes]]]
) -> None:
    """Rows and places that came free in between are used again, and what had a mark before is told."""
    table, plain = PackedTable(4, 7), dict[bytes, tuple[bytes, bool]]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "_MANY", many)
        for values, gone in steps:
            before = [plain[key][0] for key in values if key in plain and plain[key][1]]
            raw = {key: value for key, (value, _) in values.items()}
            assert sorted(table.put_all(raw, marked={key for key in values if values[key][1]})) == sorted(before)
            plain |= values
            for key in gone:
                assert table.pop(key) == plain.pop(key, None)
            assert len(table) == len(plain)
            assert {key: (value, mark) for key, value, mark in table.items()} == plain
            every = [b"%04d" % n for n in range(41)]
            assert table.present(every) == [key for key in every if key in plain]
            assert all(table.get(key) == plain.get(key) for key in every)


def test_many_that_want_one_place_get_one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Together they all ask for the same empty place first."""
    monkeypatch.setattr(packed, "_MANY", 1)
    monkeypatch.setattr(packed, "_hashes", lambda keys, _: np.zeros(len(list(keys)), np.int64))
    table = PackedTable(8, 1)
    keys = [b"%08d" % number for number in range(200)]
    table.put_all(dict.fromkeys(keys, b"x"))
    assert table.present(keys) == keys
    assert len(set(table._index)) == 1 + len(keys)


def test_many_at_once_grow_the_index_in_time() -> None:
    """A search ends at an empty place: without any it would go on for ever."""
    table = PackedTable(8, 1)
    for begin in range(0, 30_000, 10_000):
        table.put_all({b"%08d" % number: b"x" for number in range(begin, begin + 10_000)})
        assert 3 * len(table) <= 2 * len(table._index)
    assert table.get(b"absent..") is None
    assert (len(table), len(table._rows)) == (30_000, 300_000)


@pytest.mark.parametrize(("key", "value"), [(b"abc", b""), (b"abcd", b"12345678")])
def test_of_many_the_first_that_does_not_fit_is_refused(key: bytes, value: bytes) -> None:
    table = PackedTable(4, 7)
    with pytest.raises(ValueError, match=r"a row takes 4 \+ 7 bytes"):
        table.put_all({b"good": b"1", key: value})
    assert table.get(b"good") is None
