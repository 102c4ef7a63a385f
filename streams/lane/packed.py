"""Tables of many small values without a Python object per entry: rows of one width, found by open addressing.

A dict of two bytes objects costs some 200 bytes an entry, whatever is in it. Here an entry of 16 + 31 bytes costs 48
and six to twelve for its place in the index, and growing copies the rows by ``realloc`` only.

One key is looked up by Python, many at once (recovery does little else, five times per customer) by NumPy: all keys
take a step of their search together, and those that have ended leave. A step costs the same for 30 keys as for one.
"""

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from struct import Struct

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

# In the index: nothing here, and nothing here any more (the search goes on). Rows count from FIRST.
_EMPTY, _GONE, _FIRST = 0, 1, 2
# The bit of a row's length byte that is the caller's own mark.
_MARK = 0x80
_LENGTH = tuple(bytes((length,)) for length in range(256))
# 2/3: linear probing then looks at two places in the mean for what is there, and at five for what is not.
_FULL_OF_3 = 2
# 48: below, one after another is quicker.
_MANY = 48
# Keys that are placed together in a new index: their hashes are all that is held beside it.
_TOGETHER = 65_536


def _hashes(keys: Iterable[bytes], count: int) -> Numbers:
    return np.fromiter(map(hash, keys), np.int64, count)


def _settle(index: NDArray[np.uint32], places: Numbers, rows: Numbers) -> None:
    """Enter rows into an index, each at the first empty place from its own on; no two of them have the same key.

    Of several that want a place one gets it, the others go on: as if they had come one after another.
    """
    mask = len(index) - 1
    while places.size:
        while (taken := index[places] != _EMPTY).any():
            places[taken] = (places[taken] + 1) & mask
        index[places] = rows
        lost = index[places] != rows
        places, rows = places[lost], rows[lost]


class PackedTable:
    """Values of at most ``room`` bytes under keys of exactly ``key_bytes``, each with one mark for its owner.

    Parameters
    ----------
    key_bytes : length of every key
    room : longest value, at most 127 bytes
    """

    __slots__ = ("_free", "_gone", "_index", "_key_bytes", "_live", "_rows", "_width", "room")

    def __init__(self, key_bytes: int, room: int) -> None:
        if not 0 < room < _MARK:
            raise ValueError(f"a row has room for 1 to {_MARK - 1} bytes, not {room}")
        self.room = room
        self._key_bytes = key_bytes
        self._width = key_bytes + 1 + room
        self._rows = bytearray()
        self._free = array("I")
        self._index = array("I", bytes(4 * 8))
        self._live = 0
        self._gone = 0

    def __len__(self) -> int:
        return self._live

    def _place(self, key: bytes) -> int:
        """Return the place of a key in the index, or the complement of where it would go."""
        index, rows, width, key_bytes = self._index, self._rows, self._width, self._key_bytes
        mask = len(index) - 1
        place, hole = hash(key) & mask, -1
        while (row := index[place]) != _EMPTY:
            if row == _GONE:
                if hole < 0:
                    hole = place
            else:
                at = (row - _FIRST) * width
                if rows[at : at + key_bytes] == key:
                    return place
            place = (place + 1) & mask
        return ~(place if hole < 0 else hole)

    def get(self, key: bytes) -> tuple[bytes, bool] | None:
        """Return value and mark, or None."""
        place = self._place(key)
        if place < 0:
            return None
        return self._read((self._index[place] - _FIRST) * self._width)

    def _read(self, at: int) -> tuple[bytes, bool]:
        begin = at + self._key_bytes
        length = self._rows[begin]
        return bytes(self._rows[begin + 1 : begin + 1 + (length & ~_MARK)]), length >= _MARK

    def put(self, key: bytes, value: bytes, *, mark: bool = False) -> tuple[bytes, bool] | None:
        """Set the value and mark of a key; return what was there.

        Raises
        ------
        ValueError
            when key or value do not fit
        """
        if len(key) != self._key_bytes or len(value) > self.room:
            raise self._does_not_fit(key, value)
        place = self._place(key)
        if place < 0:
            self._add(~place, key, value, mark=mark)
            return None
        at = (self._index[place] - _FIRST) * self._width
        before = self._read(at)
        begin = at + self._key_bytes
        self._rows[begin] = len(value) | (_MARK if mark else 0)
        self._rows[begin + 1 : begin + 1 + len(value)] = value
        return before

    def _does_not_fit(self, key: bytes, value: bytes) -> ValueError:
        return ValueError(f"a row takes {self._key_bytes} + {self.room} bytes, not {len(key)} + {len(value)}")

    def put_all(self, values: Mapping[bytes, bytes], *, marked: Collection[bytes] = ()) -> list[bytes]:
        """Set the values of many keys; return what those that had a mark held before.

        Parameters
        ----------
        values : by key
        marked : those keys that get the mark; sought in, so no list

        Raises
        ------
        ValueError
            as ``put``, for the first key that does not fit; nothing is set
        """
        key_bytes, room = self._key_bytes, self.room
        if values and (set(map(len, values)) != {key_bytes} or max(map(len, values.values())) > room):
            raise next(
                self._does_not_fit(key, value)
                for key, value in values.items()
                if len(key) != key_bytes or len(value) > room
            )
        if len(values) < _MANY:
            had = [self.put(key, value, mark=key in marked) for key, value in values.items()]
            return [each[0] for each in had if each is not None and each[1]]
        self._make_room(len(values))
        lines = self._lines(values, marked)
        rows, places = self._find_all(list(values))
        new = rows < 0
        before = self._overwrite(rows[~new], lines[~new])
        self._append(places[new], lines[new])
        return before

    def _lines(self, values: Mapping[bytes, bytes], marked: Collection[bytes]) -> NDArray[np.uint8]:
        """Return the rows of these values as they will lie in the table, uint8 (values, width)."""
        count, key_bytes = len(values), self._key_bytes
        lines = np.empty((count, self._width), np.uint8)
        lines[:, :key_bytes] = np.frombuffer(b"".join(values), np.uint8).reshape(count, key_bytes)
        lines[:, key_bytes] = np.fromiter(map(len, values.values()), np.uint8, count)
        if marked:
            lines[:, key_bytes] |= np.fromiter(map(marked.__contains__, values), bool, count).astype(np.uint8) * _MARK
        padded = b"".join([value.ljust(self.room, b"\0") for value in values.values()])
        lines[:, key_bytes + 1 :] = np.frombuffer(padded, np.uint8).reshape(count, self.room)
        return lines

    def _find_all(self, keys: Sequence[bytes]) -> tuple[Numbers, Numbers]:
        """Return the row of each key, or -1, and a place where its search came by or ended, in the keys' order."""
        index = np.frombuffer(self._index, np.uint32)
        table = np.frombuffer(self._rows, np.uint8).reshape(-1, self._width)[:, : self._key_bytes]
        wanted = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, self._key_bytes)
        mask = len(index) - 1
        found = np.full(len(wanted), -1, np.int64)
        places = _hashes(keys, len(wanted)) & mask
        left = np.arange(len(wanted))
        while left.size >= _MANY:
            rows = index[places[left]]
            left, rows = left[rows != _EMPTY], rows[rows != _EMPTY]
            # What is gone is compared with the first row, and not taken.
            rows = np.maximum(rows, _FIRST).astype(np.int64) - _FIRST
            same = (table[rows] == wanted[left]).all(axis=1) & (index[places[left]] != _GONE)
            found[left[same]] = rows[same]
            left = left[~same]
            places[left] = (places[left] + 1) & mask
        for at in left.tolist():
            place = self._place(keys[at])
            if place >= 0:
                found[at] = self._index[place] - _FIRST
        return found, places

    def _overwrite(self, rows: Numbers, lines: NDArray[np.uint8]) -> list[bytes]:
        """Write lines over rows that are there; return what those that had a mark held."""
        table = np.frombuffer(self._rows, np.uint8).reshape(-1, self._width)
        marked = rows[table[rows, self._key_bytes] >= _MARK]
        before = [self._read(row * self._width)[0] for row in marked.tolist()]
        table[rows] = lines
        return before

    def _append(self, places: Numbers, lines: NDArray[np.uint8]) -> None:
        """Write new rows, first where others came free, and enter them from these places on."""
        count, width = len(lines), self._width
        again = min(count, len(self._free))
        rows = np.empty(count, np.int64)
        if again:
            rows[:again] = self._free[-again:]
            del self._free[-again:]
            np.frombuffer(self._rows, np.uint8).reshape(-1, width)[rows[:again]] = lines[:again]
        rows[again:] = np.arange(count - again) + len(self._rows) // width
        self._rows += lines[again:].tobytes()
        _settle(np.frombuffer(self._index, np.uint32), places, rows + _FIRST)
        self._live += count

    def present(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return those keys that are here, in order; all have the table's length."""
        if len(keys) < _MANY:
            return [key for key in keys if self._place(key) >= 0]
        rows, _ = self._find_all(keys)
        return [keys[at] for at in np.flatnonzero(rows >= 0).tolist()]

    def _add(self, place: int, key: bytes, value: bytes, *, mark: bool) -> None:
        """Write a new row whole."""
        index, width = self._index, self._width
        if index[place] == _GONE:
            self._gone -= 1
        self._live += 1
        line = (key + _LENGTH[len(value) | (_MARK if mark else 0)] + value).ljust(width, b"\0")
        if self._free:
            row = self._free.pop()
            self._rows[row * width : (row + 1) * width] = line
        else:
            row = len(self._rows) // width
            self._rows += line
        index[place] = row + _FIRST
        self._make_room(0)

    def pop(self, key: bytes) -> tuple[bytes, bool] | None:
        """Remove a key; return what was there."""
        if self._index[hash(key) & (len(self._index) - 1)] == _EMPTY:
            return None
        place = self._place(key)
        if place < 0:
            return None
        row = self._index[place] - _FIRST
        before = self._read(row * self._width)
        self._index[place] = _GONE
        self._gone += 1
        self._live -= 1
        self._free.append(row)
        return before

    def _make_room(self, more: int) -> None:
        """Build the index anew if it would be too full with so many more keys."""
        if 3 * (self._live + self._gone + more) > _FULL_OF_3 * len(self._index):
            self._reindex(self._live + more)

    def _reindex(self, keys: int) -> None:
        """Build the index anew, so large that it is at most half full with so many keys, and a third after doubling."""
        size = len(self._index)
        while size < 2 * keys:
            size *= 2
        index = np.zeros(size, np.uint32)
        gone = np.zeros(len(self._rows) // self._width, bool)
        gone[self._free] = True
        keys_of_rows = Struct(f"{self._key_bytes}s{self._width - self._key_bytes}x").iter_unpack(self._rows)
        for begin in range(0, len(gone), _TOGETHER):
            rows = np.arange(begin, min(begin + _TOGETHER, len(gone)))
            hashes = _hashes((key for (key,) in islice(keys_of_rows, len(rows))), len(rows))
            there = ~gone[rows]
            _settle(index, hashes[there] & (size - 1), rows[there] + _FIRST)
        self._index, self._gone = array("I", index.tobytes()), 0

    @property
    def rows(self) -> int:
        """Rows that there are, free ones included; a key keeps its row."""
        return len(self._rows) // self._width

    def keys_at(self, begin: int, count: int) -> list[bytes]:
        """Return the keys of some rows; of a row that came free, the key that was there."""
        width, key_bytes = self._width, self._key_bytes
        end = min(begin + count, self.rows)
        return [bytes(self._rows[row * width : row * width + key_bytes]) for row in range(begin, end)]

    def items(self) -> Iterator[tuple[bytes, bytes, bool]]:
        """Iterate over keys, values and marks; the table may not change meanwhile."""
        for row in self._index:
            if row >= _FIRST:
                at = (row - _FIRST) * self._width
                yield bytes(self._rows[at : at + self._key_bytes]), *self._read(at)
