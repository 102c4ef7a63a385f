"""Small values under keys of any length: a packed table for those of one length, a dict for the rest."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from streams.lane.packed import PackedTable


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
        if self._packed is not None and self._packs(values):
            self._packed.put_all(values)
            return
        for key, value in values.items():
            self.set(key, value)

    def _packs(self, keys: Collection[bytes]) -> bool:
        return set(map(len, keys)) == {self._key_bytes}

    def present(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return those keys that are here, in order."""
        if self._packed is not None and self._packs(keys):
            return self._packed.present(keys)
        return [key for key in keys if key in self]

    def pop(self, key: bytes) -> None:
        """Remove a key, if it is there."""
        if self._packed is None or len(key) != self._key_bytes:
            self._others.pop(key, None)
        else:
            self._packed.pop(key)

    @property
    def rows(self) -> int:
        """Places of packed keys, some of which may have come free; a key keeps its place."""
        return 0 if self._packed is None else self._packed.rows

    def keys_at(self, begin: int, count: int) -> list[bytes]:
        """Return the keys of some places, as ``PackedTable.keys_at``, and at 0 also those that are not packed."""
        found = [] if self._packed is None else self._packed.keys_at(begin, count)
        return found if begin else [*self._others, *found]

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys and values; the map may not change meanwhile."""
        yield from self._others.items()
        if self._packed is not None:
            for key, value, _ in self._packed.items():
                yield key, value
