"""What a recovery has used for a moment does not stay with the worker."""

import ctypes
from pathlib import Path

import pytest

from streams.lane.memory import give_back


def resident_mb() -> float:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4_096 / 1e6


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc can give memory back")
def test_free_memory_is_given_back() -> None:
    chunk = [bytes(2_000) + b"%d" % number for number in range(40_000)]
    # The C library gives back by itself what ends its memory, and nothing that lies before what is still used.
    used = chunk[::100]
    chunk.clear()
    before = resident_mb()
    give_back()
    assert resident_mb() < before - 40
    assert len(used) == 400


def test_a_library_that_cannot_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    give_back()
