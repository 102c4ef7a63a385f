"""Where one partition's committed state lies: bytes by key, written only after the commit."""

import struct
import threading
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

from streams.lane.due import NO_DUE, Due
from streams.lane.job import LANE_KEY_PREFIX
from streams.lane.packed import PackedTable
from streams.lane.position import POSITION_KEY
from streams.lane.slabs import Place, Slabs

Changes = Mapping[bytes, bytes | None]

# Changelog offset of a store that reflects nothing yet.
NOTHING_REFLECTED = -1

# Size class, number and length of a value that lies in a slab.
_PLACE: Final = struct.Struct("<BII")
# 31 bytes: with a key of 16 a row is 48. What points somewhere (an alias with its mark: 31) fits, what tells something
# does not.
_ROOM = 31
# Longer keys are rare, and rows of one width would be mostly key.
_LONGEST_KEY = 64


class Store(Protocol):
    """Committed state of one partition, with the changelog offset that it reflects."""

    @property
    def offset(self) -> int:
        """Offset of the last changelog record that is reflected here; -1 for none."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """Return the bytes under a key, or None."""
        ...

    def write(self, changes: Changes, offset: int, due: Due = NO_DUE) -> None:
        """Apply committed changes (None deletes) and timers, together with the changelog offset that they reach."""
        ...

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over all keys of the job; the lane's own are left out."""
        ...

    def due(self) -> Iterator[Due]:
        """Iterate over the timers that outlived the process, many at a time, for a store that does."""
        ...

    def __len__(self) -> int:
        """Return the number of the job's keys (RocksDB: an estimate)."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


class MemoryStore:
    """State in memory, packed: lost with the process, rebuilt from the changelog.

    A small value lies in a row of a table, a larger one in a slab, each as it lies in the changelog: what is squeezed
    and sealed there is so here. An alias costs some 60 bytes, a golden record what it has in the changelog and some 100
    more, and neither any Python object. Keys of the length of the first one are packed; the lane's own and those of
    other lengths lie in a dict.
    """

    def __init__(self) -> None:
        # A reader of the table (Faust's view, a dead letter) may come while another thread writes.
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._table: PackedTable | None = None
        self._key_bytes = -1
        self._slabs = Slabs()
        self._others: dict[bytes, bytes] = {}
        self.offset = NOTHING_REFLECTED

    def get(self, key: bytes) -> bytes | None:
        """Return the bytes under a key, or None."""
        with self._lock:
            if len(key) != self._key_bytes or self._table is None:
                return self._others.get(key)
            found = self._table.get(key)
            return None if found is None else self._value(*found)

    def _value(self, kept: bytes, elsewhere: bool) -> bytes:
        return self._slabs.get(Place(*_PLACE.unpack(kept))) if elsewhere else kept

    def write(self, changes: Changes, offset: int, due: Due = NO_DUE) -> None:  # noqa: ARG002 - timers are in memory
        """Apply committed changes."""
        with self._lock:
            if others := [key for key in changes if len(key) != self._key_bytes and not self._packs(key)]:
                for key in others:
                    if (other := changes[key]) is None:
                        self._others.pop(key, None)
                    else:
                        self._others[key] = other
                changes = {key: changes[key] for key in changes.keys() - set(others)}
            if self._table is not None:
                self._write(self._table, changes)
            self.offset = offset

    def _write(self, table: PackedTable, changes: Changes) -> None:
        put, pack = self._slabs.put, _PLACE.pack
        large = {key for key, value in changes.items() if value is not None and len(value) > _ROOM}
        rows = {
            key: pack(*put(value)) if key in large else value for key, value in changes.items() if value is not None
        }
        for before in table.put_all(rows, marked=large):
            self._slabs.free(Place(*_PLACE.unpack(before)))
        if len(rows) < len(changes):
            for key, value in changes.items():
                gone = table.pop(key) if value is None else None
                if gone is not None and gone[1]:
                    self._slabs.free(Place(*_PLACE.unpack(gone[0])))

    def _packs(self, key: bytes) -> bool:
        """Make a table for keys of this one's length, if there is none yet; say whether it is the table's length."""
        # The lane's own key is told from others by its length: looking at each key's beginning costs more than that.
        if self._table is None and 0 < len(key) <= _LONGEST_KEY and len(key) != len(POSITION_KEY):
            self._key_bytes = len(key)
            self._table = PackedTable(len(key), _ROOM)
        return len(key) == self._key_bytes

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over all keys of the job."""
        for key, value in self._others.items():
            if not key.startswith(LANE_KEY_PREFIX):
                yield key, value
        for key, kept, elsewhere in self._table.items() if self._table is not None else ():
            yield key, self._value(kept, elsewhere)

    def due(self) -> Iterator[Due]:
        """Iterate over nothing: what was lost with the process comes from the changelog, timers too."""
        return iter(())

    def __len__(self) -> int:
        others = sum(1 for key in self._others if not key.startswith(LANE_KEY_PREFIX))
        return others + (0 if self._table is None else len(self._table))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._begin()

    def close(self) -> None:
        """Let go of the memory."""
        self.clear()
