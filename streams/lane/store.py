"""Where one partition's committed state lies: bytes by key, written only after the commit."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from streams.lane.job import LANE_KEY_PREFIX

Changes = Mapping[bytes, bytes | None]

# Changelog offset of a store that reflects nothing yet.
NOTHING_REFLECTED = -1


class Store(Protocol):
    """Committed state of one partition, with the changelog offset that it reflects."""

    @property
    def offset(self) -> int:
        """Offset of the last changelog record that is reflected here; -1 for none."""
        ...

    def get(self, key: bytes) -> bytes | None:
        """Return the bytes under a key, or None."""
        ...

    def write(self, changes: Changes, offset: int) -> None:
        """Apply committed changes (None deletes) together with the changelog offset that they reach."""
        ...

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over all keys of the job; the lane's own are left out."""
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
    """State in a dict: fastest, lost with the process, rebuilt from the changelog."""

    __slots__ = ("_bytes", "get", "offset")

    def __init__(self) -> None:
        self._bytes: dict[bytes, bytes] = {}
        self.get = self._bytes.get
        self.offset = NOTHING_REFLECTED

    def write(self, changes: Changes, offset: int) -> None:
        """Apply committed changes."""
        kept = self._bytes
        for key, value in changes.items():
            if value is None:
                kept.pop(key, None)
            else:
                kept[key] = value
        self.offset = offset

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over all keys of the job."""
        return ((key, value) for key, value in self._bytes.items() if not key.startswith(LANE_KEY_PREFIX))

    def __len__(self) -> int:
        return sum(1 for key in self._bytes if not key.startswith(LANE_KEY_PREFIX))

    def clear(self) -> None:
        """Forget everything."""
        self._bytes.clear()
        self.offset = NOTHING_REFLECTED

    def close(self) -> None:
        """Let go of the memory."""
        self.clear()
