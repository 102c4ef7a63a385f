"""What a recovery has used for a moment does not stay with the worker."""

import ctypes
from pathlib import Path

import pytest

from streams.lane import memory
from streams.lane.memory import give_back


def resident_mb() -> float:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4_096 / 1e6


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc can give memory back")
def test_free_memory_is_given_back() -> None:
    chunk = [b"x" * 2_000 for _ in range(40_000)]
    last = [b"y" * 2_000 for _ in range(10)]  # lies behind it: the C library gives back by itself what ends its memory
    chunk.clear()
    before = resident_mb()
    give_back()
    assert resident_mb() < before - 40
    assert len(last) == 10


def test_a_library_that_cannot_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    give_back()
