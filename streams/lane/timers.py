"""Timers of one partition: which keys are due at a stream time. A heap with lazy deletion."""

from collections.abc import Iterable
from heapq import heapify, heappop, heappush


class Timers:
    """Due times per key. Pure but for its own state; O(log n) per change.

    A key that was handed out and committed unchanged has spent its timer: it is due again only once its value is
    written again. Otherwise a job that leaves a due key alone would be called for ever.
    """

    __slots__ = ("_due_at", "_heap")

    def __init__(self) -> None:
        self._due_at: dict[bytes, int] = {}
        self._heap: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        return len(self._due_at)

    def rebuild(self, due: Iterable[tuple[bytes, int]]) -> None:
        """Start anew from all keys that have a timer."""
        self._due_at = dict(due)
        self._heap = [(at, key) for key, at in self._due_at.items()]
        heapify(self._heap)

    def set(self, key: bytes, due_ms: int | None) -> None:
        """Set, move or (None) remove the timer of a key."""
        if due_ms is None:
            self._due_at.pop(key, None)
        elif self._due_at.get(key) != due_ms:
            self._due_at[key] = due_ms
            heappush(self._heap, (due_ms, key))
            if len(self._heap) > 64 and len(self._heap) > 4 * len(self._due_at):
                # Entries that moved stay in the heap until they come up; three of four being dead is enough.
                self.rebuild(list(self._due_at.items()))

    def any_due(self, stream_ms: int) -> bool:
        """Say whether a key is due at this stream time."""
        heap = self._heap
        while heap:
            at, key = heap[0]
            if self._due_at.get(key) == at:
                return at <= stream_ms
            heappop(heap)
        return False

    def take(self, stream_ms: int, limit: int) -> list[tuple[int, bytes]]:
        """Take at most ``limit`` due keys with their due times, earliest first.

        They have no timer from here on: a commit sets what changed, an abort must ``give_back`` them.
        """
        taken: list[tuple[int, bytes]] = []
        while len(taken) < limit and self.any_due(stream_ms):
            entry = heappop(self._heap)
            self._due_at.pop(entry[1])
            taken.append(entry)
        return taken

    def give_back(self, taken: Iterable[tuple[int, bytes]]) -> None:
        """Put keys back that were taken by a batch which was then aborted."""
        for at, key in taken:
            self.set(key, at)
