"""Timers of one partition: which keys are due at a stream time. A calendar of hours, and a heap for the one that runs.

A million timers wait: each is a row of a packed table and a line in its hour, some 60 bytes; only those of hours that
have begun are Python objects in a heap.
"""

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from itertools import islice

from streams.lane.due import from_bytes, to_bytes
from streams.lane.packed_map import PackedMap

# An hour: timers reach weeks ahead, so there are a few hundred hours, each with a few thousand keys of a million.
_HOUR_MS = 3_600_000
_DUE_BYTES = 8
# A store's timers are taken in so many at once: of a million, no list as long lies beside them.
_CHUNK = 10_000
# Before anything was due.
_NEVER = -(2**62)


class Timers:
    """Due times per key. Pure but for its own state; O(log n) per change.

    A key that was handed out and committed unchanged has spent its timer: it is due again only once its value is
    written again. Otherwise a job that leaves a due key alone would be called for ever.
    """

    __slots__ = ("_due_at", "_far", "_heap", "_hours", "_lines", "_until_hour")

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._due_at = PackedMap(_DUE_BYTES)
        # Keys by hour, each after its length in two bytes; hours that lie ahead, as a heap.
        self._far: dict[int, bytearray] = {}
        self._hours: list[int] = []
        # Those of hours up to this one.
        self._heap: list[tuple[int, bytes]] = []
        self._until_hour = _NEVER
        # Entries in hours and heap, dead ones included.
        self._lines = 0

    def __len__(self) -> int:
        return len(self._due_at)

    def rebuild(self, due: Iterable[tuple[bytes, int]]) -> None:
        """Start anew from all keys that have a timer, each once."""
        self._begin()
        due = iter(due)
        while chunk := list(islice(due, _CHUNK)):
            self._due_at.set_all({key: to_bytes(at) for key, at in chunk})
            for key, at in chunk:
                self._enter(key, at)

    def set(self, key: bytes, due_ms: int | None) -> None:
        """Set, move or (None) remove the timer of a key."""
        if due_ms is None:
            self._due_at.pop(key)
        elif self._due_at.get(key) != (raw := to_bytes(due_ms)):
            self._due_at.set(key, raw)
            self._enter(key, due_ms)
            if self._lines > 64 and self._lines > 4 * len(self._due_at):
                # Entries that moved stay until they come up; three of four being dead is enough.
                self.rebuild([(key, from_bytes(raw)) for key, raw in self._due_at.items()])

    def set_all(self, due: Mapping[bytes, int | None]) -> None:
        """Set, move or remove many timers, as recovery finds them."""
        known = set(self._due_at.present(list(due)))
        for key in known:
            self.set(key, due[key])
        new = {key: due_ms for key, due_ms in due.items() if due_ms is not None and key not in known}
        self._due_at.set_all({key: to_bytes(due_ms) for key, due_ms in new.items()})
        for key, due_ms in new.items():
            self._enter(key, due_ms)

    def _enter(self, key: bytes, due_ms: int) -> None:
        self._lines += 1
        hour = due_ms // _HOUR_MS
        if hour <= self._until_hour:
            heappush(self._heap, (due_ms, key))
            return
        line = self._far.get(hour)
        if line is None:
            line = self._far[hour] = bytearray()
            heappush(self._hours, hour)
        line += len(key).to_bytes(2, "big") + key

    def _begin_hours(self, stream_ms: int) -> None:
        """Bring the timers of the hours that have begun into the heap; those that moved away are left out."""
        while self._hours and self._hours[0] * _HOUR_MS <= stream_ms:
            hour = self._until_hour = heappop(self._hours)
            line = self._far.pop(hour)
            at = 0
            while at < len(line):
                begin = at + 2
                at = begin + int.from_bytes(line[begin - 2 : begin], "big")
                key = bytes(line[begin:at])
                due = self._due_at.get(key)
                if due is not None and (due_ms := from_bytes(due)) // _HOUR_MS == hour:
                    heappush(self._heap, (due_ms, key))
                else:
                    self._lines -= 1

    def any_due(self, stream_ms: int) -> bool:
        """Say whether a key is due at this stream time."""
        if self._hours:
            self._begin_hours(stream_ms)
        heap = self._heap
        while heap:
            at, key = heap[0]
            if self._due_at.get(key) == to_bytes(at):
                return at <= stream_ms
            heappop(heap)
            self._lines -= 1
        return False

    def take(self, stream_ms: int, limit: int) -> list[tuple[int, bytes]]:
        """Take at most ``limit`` due keys with their due times, earliest first.

        They have no timer from here on: a commit sets what changed, an abort must ``give_back`` them.
        """
        taken: list[tuple[int, bytes]] = []
        while len(taken) < limit and self.any_due(stream_ms):
            entry = heappop(self._heap)
            self._lines -= 1
            self._due_at.pop(entry[1])
            taken.append(entry)
        return taken

    def give_back(self, taken: Iterable[tuple[int, bytes]]) -> None:
        """Put keys back that were taken by a batch which was then aborted."""
        for at, key in taken:
            self.set(key, at)
