"""Which records are finished: the offset that may be committed is that of the first unfinished one."""

import threading
from collections import deque
from collections.abc import Iterable


class _Partition:
    __slots__ = ("finished", "next_offset", "open")

    def __init__(self) -> None:
        self.open: deque[int] = deque()
        self.finished: set[int] = set()
        self.next_offset: int | None = None


class Ledger:
    """Offsets taken and finished, per partition.

    Records finish in any order; a commit never passes an unfinished one. Safe between the thread that polls and
    the event loop.

    Examples
    --------
    >>> ledger = Ledger()
    >>> ledger.assign([0])
    >>> for offset in (5, 6, 9):
    ...     ledger.take(0, offset)
    >>> ledger.finish(0, 6)
    >>> ledger.committable()
    {}
    >>> ledger.finish(0, 5)
    >>> ledger.committable()
    {0: 9}
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._partitions: dict[int, _Partition] = {}
        self._committed: dict[int, int] = {}

    def assign(self, partitions: Iterable[int]) -> None:
        """Begin with partitions."""
        with self._lock:
            for partition in partitions:
                self._partitions[partition] = _Partition()

    def revoke(self, partitions: Iterable[int]) -> None:
        """Forget partitions: what is still open there belongs to somebody else."""
        with self._lock:
            for partition in partitions:
                self._partitions.pop(partition, None)
                self._committed.pop(partition, None)

    def owns(self, partition: int) -> bool:
        """Say whether a partition is ours."""
        with self._lock:
            return partition in self._partitions

    def take(self, partition: int, offset: int) -> None:
        """Begin with a record; offsets of a partition come in order."""
        with self._lock:
            entry = self._partitions.get(partition)
            if entry is not None:
                entry.open.append(offset)

    def finish(self, partition: int, offset: int) -> None:
        """Be done with a record."""
        with self._lock:
            entry = self._partitions.get(partition)
            if entry is None:
                return
            entry.finished.add(offset)
            while entry.open and entry.open[0] in entry.finished:
                done = entry.open.popleft()
                entry.finished.discard(done)
                entry.next_offset = done + 1
            if entry.open and entry.next_offset is not None:
                entry.next_offset = entry.open[0]  # over the gaps that transaction markers leave

    def committable(self) -> dict[int, int]:
        """Return the next offset of each partition that has moved since the last commit."""
        with self._lock:
            return {
                partition: entry.next_offset
                for partition, entry in self._partitions.items()
                if entry.next_offset is not None and entry.next_offset != self._committed.get(partition)
            }

    def committed(self, offsets: dict[int, int]) -> None:
        """Remember what was committed."""
        with self._lock:
            self._committed.update({p: o for p, o in offsets.items() if p in self._partitions})
