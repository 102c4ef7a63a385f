"""Timers of one partition: which keys are due at a stream time. A calendar of hours, and a heap for the one that runs.

A million timers wait: each is a row of a packed table and a line in its hour, some 60 bytes; only those of hours that
have begun are Python objects in a heap.
"""

from collections.abc import Iterable
from heapq import heappop, heappush

import numpy as np

from streams.lane.due import DUE_BYTES, NEVER, Due, from_bytes, to_bytes
from streams.lane.packed_map import PackedMap

# An hour: timers reach weeks ahead, so there are a few hundred hours, each with a few thousand keys of a million.
_HOUR_MS = 3_600_000
# 48: below, one after another is quicker.
_MANY = 48
# Before anything was due.
_BEGINNING = -(2**62)


class Timers:
    """Due times per key. Pure but for its own state; O(log n) per change.

    A key that was handed out and committed unchanged has spent its timer: it is due again only once its value is
    written again. Otherwise a job that leaves a due key alone would be called for ever.
    """

    __slots__ = ("_due_at", "_far", "_heap", "_hours", "_lines", "_until_hour")

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._due_at = PackedMap(DUE_BYTES)
        # Keys by hour, each after its length in two bytes; hours that lie ahead, as a heap.
        self._far: dict[int, bytearray] = {}
        self._hours: list[int] = []
        # Those of hours up to this one.
        self._heap: list[tuple[int, bytes]] = []
        self._until_hour = _BEGINNING
        # Entries in hours and heap, dead ones included.
        self._lines = 0

    def __len__(self) -> int:
        return len(self._due_at)

    def rebuild(self, due: Iterable[Due]) -> None:
        """Start anew from all keys that have a timer, each once, many at a time."""
        self._begin()
        for chunk in due:
            self._add(chunk)

    def set(self, key: bytes, at: bytes) -> None:
        """Set, move or (NEVER) remove the timer of a key."""
        if at == NEVER:
            self._due_at.pop(key)
        elif self._due_at.get(key) != at:
            self._due_at.set(key, at)
            self._enter(key, from_bytes(at))
            self._forget_dead()

    def set_all(self, due: Due) -> None:
        """Set, move or remove many timers, as recovery finds them."""
        self._add({key: at for key, at in due.items() if at != NEVER})
        # Most that have none never had one: pointers, four for each customer.
        for key in self._due_at.present([key for key, at in due.items() if at == NEVER]):
            self._due_at.pop(key)
        self._forget_dead()

    def _add(self, due: Due) -> None:
        """Set many timers. One that is set to the same time again is entered twice, and goes off once."""
        self._due_at.set_all(due)
        lengths = set(map(len, due))
        if len(due) < _MANY or len(lengths) > 1:
            for key, at in due.items():
                self._enter(key, from_bytes(at))
        else:
            self._enter_all(due, lengths.pop())

    def _enter_all(self, due: Due, key_bytes: int) -> None:
        """Enter many keys of one length, hour by hour."""
        count = len(due)
        hours = np.frombuffer(b"".join(due.values()), ">i8").astype(np.int64) // _HOUR_MS
        lines = np.empty((count, 2 + key_bytes), np.uint8)
        lines[:, :2] = np.frombuffer(key_bytes.to_bytes(2, "big"), np.uint8)
        lines[:, 2:] = np.frombuffer(b"".join(due), np.uint8).reshape(count, key_bytes)
        order = np.argsort(hours, kind="stable")
        hours, lines = hours[order], lines[order]
        for own in np.split(np.arange(count), np.flatnonzero(np.diff(hours)) + 1):
            begin, end = int(own[0]), int(own[-1]) + 1
            hour = int(hours[begin])
            if hour > self._until_hour:
                self._lines += end - begin
                self._line(hour).extend(lines[begin:end].tobytes())
                continue
            for line in lines[begin:end]:
                key = line[2:].tobytes()
                self._enter(key, from_bytes(due[key]))

    def _forget_dead(self) -> None:
        """Begin anew when most entries are dead: those that moved stay until they come up; three of four is enough."""
        if self._lines > 64 and self._lines > 4 * len(self._due_at):
            self.rebuild([dict(self._due_at.items())])

    def _enter(self, key: bytes, due_ms: int) -> None:
        hour = due_ms // _HOUR_MS
        self._lines += 1
        if hour <= self._until_hour:
            heappush(self._heap, (due_ms, key))
        else:
            self._line(hour).extend(len(key).to_bytes(2, "big") + key)

    def _line(self, hour: int) -> bytearray:
        """Return the keys of an hour that lies ahead."""
        line = self._far.get(hour)
        if line is None:
            line = self._far[hour] = bytearray()
            heappush(self._hours, hour)
        return line

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
            self.set(key, to_bytes(at))
