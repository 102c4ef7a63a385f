"""Tables of many small values without a Python object per entry: rows of one width, found by open addressing.

A dict of two bytes objects costs some 200 bytes an entry, whatever is in it. Here an entry of 16 + 31 bytes costs 48
and six to twelve for its place in the index, and growing copies the rows by ``realloc`` only.
"""

from array import array
from collections.abc import Iterator, Mapping
from struct import Struct

# In the index: nothing here, and nothing here any more (the search goes on). Rows count from FIRST.
_EMPTY, _GONE, _FIRST = 0, 1, 2
# The bit of a row's length byte that is the caller's own mark.
_MARK = 0x80
_LENGTH = tuple(bytes((length,)) for length in range(256))
# 2/3: linear probing then looks at two places in the mean for what is there, and at five for what is not.
_FULL_OF_3 = 2


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

    def put_all(self, values: Mapping[bytes, bytes], *, mark: bool = False) -> list[bytes]:
        """Set the values of many keys; return what those that had a mark held before.

        Recovery does little else, five times per customer: so what is new is dealt with here, without further calls.

        Raises
        ------
        ValueError
            as ``put``, for the first key that does not fit; those before it are set
        """
        self._make_room(len(values))
        key_bytes, room, width = self._key_bytes, self.room, self._width
        index, rows, free = self._index, self._rows, self._free
        mask, bit = len(index) - 1, _MARK if mark else 0
        before: list[bytes] = []
        for key, value in values.items():
            place = hash(key) & mask
            if index[place] != _EMPTY:
                place = ~self._place(key)
            if place < 0 or free or self._gone or len(key) != key_bytes or len(value) > room:
                had = self.put(key, value, mark=mark)
                if had is not None and had[1]:
                    before.append(had[0])
            else:
                index[place] = len(rows) // width + _FIRST
                rows += (key + _LENGTH[len(value) | bit] + value).ljust(width, b"\0")
                self._live += 1
        return before

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
        index, mask = array("I", bytes(4 * size)), size - 1
        gone = set(self._free)
        keys_of_rows = Struct(f"{self._key_bytes}s{self._width - self._key_bytes}x").iter_unpack(self._rows)
        for row, (key,) in enumerate(keys_of_rows):
            if row in gone:
                continue
            place = hash(key) & mask
            while index[place]:
                place = (place + 1) & mask
            index[place] = row + _FIRST
        self._index, self._gone = index, 0

    def items(self) -> Iterator[tuple[bytes, bytes, bool]]:
        """Iterate over keys, values and marks; the table may not change meanwhile."""
        for row in self._index:
            if row >= _FIRST:
                at = (row - _FIRST) * self._width
                yield bytes(self._rows[at : at + self._key_bytes]), *self._read(at)


class PackedMap:
    """Small values under keys of any length: those of the length of the first one are packed, the others lie in a dict.

    Parameters
    ----------
    room : longest value, at most 127 bytes
    """

    __slots__ = ("_key_bytes", "_others", "_packed", "_room")

    def __init__(self, room: int) -> None:
        self._room = room
        self._packed: PackedTable | None = None
        self._key_bytes = -1
        self._others: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._others) + (0 if self._packed is None else len(self._packed))

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def get(self, key: bytes) -> bytes | None:
        """Return the value under a key, or None."""
        if self._packed is None or len(key) != self._key_bytes:
            return self._others.get(key)
        found = self._packed.get(key)
        return None if found is None else found[0]

    def set(self, key: bytes, value: bytes) -> None:
        """Set the value under a key."""
        if self._packed is None:
            self._key_bytes = len(key)
            self._packed = PackedTable(len(key), self._room)
        if len(key) == self._key_bytes:
            self._packed.put(key, value)
        else:
            self._others[key] = value

    def set_all(self, values: Mapping[bytes, bytes]) -> None:
        """Set the values under many keys."""
        if self._packed is not None and not any(len(key) != self._key_bytes for key in values):
            self._packed.put_all(values)
            return
        for key, value in values.items():
            self.set(key, value)

    def pop(self, key: bytes) -> None:
        """Remove a key, if it is there."""
        if self._packed is None or len(key) != self._key_bytes:
            self._others.pop(key, None)
        else:
            self._packed.pop(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys and values; the map may not change meanwhile."""
        yield from self._others.items()
        if self._packed is not None:
            for key, value, _ in self._packed.items():
                yield key, value
