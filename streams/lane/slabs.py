"""Bytes of many lengths in few large pieces of memory: places of equal size, given back and taken again.

An allocator of general use leaves holes when millions of values of changing lengths come and go; here a hole is always
as large as the next value of its size class.
"""

from array import array
from typing import NamedTuple

# 64 bytes: a value wastes 32 of its place in the mean, and a store has at most 64 classes.
_STEP = 64
# Larger values are objects of their own: their overhead of some 100 bytes is then under 3 %.
_LARGEST = 4_096
# 64 KiB: memory of a piece that is not written yet is not resident.
_PIECE = 65_536
# Places in a piece, by size class; class 0 has none.
_PER_PIECE = (0, *(_PIECE // (size * _STEP) for size in range(1, _LARGEST // _STEP + 1)))


class Place(NamedTuple):
    """Where a value lies: its class (0: an object of its own), its number there, and its length."""

    size: int
    number: int
    length: int


class Slabs:
    """Values by place."""

    __slots__ = ("_free", "_large", "_next_large", "_pieces", "_used")

    def __init__(self) -> None:
        classes = _LARGEST // _STEP + 1
        self._pieces: list[list[bytearray]] = [[] for _ in range(classes)]
        self._free = [array("I") for _ in range(classes)]
        self._used = [0] * classes
        self._large: dict[int, bytes] = {}
        self._next_large = 0

    def put(self, value: bytes) -> Place:
        """Keep a value; return its place."""
        length = len(value)
        size = max(1, -(-length // _STEP))
        if length > _LARGEST:
            number = self._next_large
            self._next_large += 1
            self._large[number] = value
            return Place(0, number, length)
        free = self._free[size]
        if free:
            number = free.pop()
        else:
            number = self._used[size]
            self._used[size] += 1
            if number // _PER_PIECE[size] == len(self._pieces[size]):
                self._pieces[size].append(bytearray(_PIECE))
        piece, at = self._find(size, number)
        piece[at : at + length] = value
        return Place(size, number, length)

    def get(self, place: Place) -> bytes:
        """Return the value at a place."""
        size, number, length = place
        if not size:
            return self._large[number]
        piece, at = self._find(size, number)
        return bytes(piece[at : at + length])

    def free(self, place: Place) -> None:
        """Give a place back."""
        if place.size:
            self._free[place.size].append(place.number)
        else:
            del self._large[place.number]

    def _find(self, size: int, number: int) -> tuple[bytearray, int]:
        piece, within = divmod(number, _PER_PIECE[size])
        return self._pieces[size][piece], within * size * _STEP
