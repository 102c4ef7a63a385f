"""Makes values small that lie in memory and are not hot: zstd, with a dictionary where Python has one.

Measured on golden records of 4.9 kB (30 signals): plain zstd 2.3 kB, 28 us in and 16 us out; with a dictionary learned
from such records 1.77 kB, 22 and 13 us; zlib with a preset dictionary 1.9 kB, but 92 and 20 us. Dictionaries need
Python's own ``compression.zstd`` (3.14, or its backport ``backports.zstd``); cramjam, which is always there, has none.
Nothing that is squeezed leaves the process: neither the changelog nor a local store depends on what is installed.
"""

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import cramjam

RAW, PLAIN, LEARNED = 0, 1, 2

# 600 values teach as well as 2,000 do (1,766 and 1,762 bytes); learning takes 0.2 s, once per stage and worker.
_LESSONS = 600
# 32 KiB: 110 KiB gain nothing more (1,771 bytes), 16 KiB lose 1 %.
_DICTIONARY_BYTES = 32_768
# 1: level 3 saves 4 % more and costs a third more CPU.
_LEVEL = 1


def find_zstd() -> Any:
    """Return Python's own zstd module, or None where it is not there."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


class Squeezer:
    """Squeezes the values of one stage; all its partitions share what was learned. Safe from any thread.

    Parameters
    ----------
    zstd : the module that knows dictionaries, or None
    lessons : values from which the dictionary is learned
    """

    def __init__(self, zstd: Any = None, *, lessons: int = _LESSONS) -> None:
        self._zstd = zstd
        self._lessons: Final = lessons
        self._samples: list[bytes] = []
        self._learning = threading.Lock()
        self._with: Any = None
        self._own = threading.local()
        self._pack: Callable[[bytes], tuple[int, bytes]] = self._plain if zstd is None else self._learn

    def squeeze(self, value: bytes) -> tuple[int, bytes]:
        """Return how the value was squeezed, and what came of it."""
        how, packed = self._pack(value)
        return (how, packed) if len(packed) < len(value) else (RAW, value)

    def _plain(self, value: bytes) -> tuple[int, bytes]:
        return PLAIN, bytes(cramjam.zstd.compress(value, _LEVEL))

    def _learn(self, value: bytes) -> tuple[int, bytes]:
        with self._learning:
            if self._with is None:
                self._samples.append(value)
                if len(self._samples) >= self._lessons:
                    try:
                        self._with = self._zstd.train_dict(self._samples, _DICTIONARY_BYTES)
                    except self._zstd.ZstdError:  # too alike or too few bytes to learn from: nothing to gain
                        self._pack = self._plain
                    else:
                        self._pack = self._learned
                    self._samples = []
        return self._plain(value)

    def _learned(self, value: bytes) -> tuple[int, bytes]:
        # One compressor per thread: it is not to be shared, and making one costs more than a value.
        compressor = getattr(self._own, "compressor", None)
        if compressor is None:
            compressor = self._zstd.ZstdCompressor(level=_LEVEL, zstd_dict=self._with.as_digested_dict)
            self._own.compressor = compressor
        packed: bytes = compressor.compress(value, compressor.FLUSH_FRAME)
        return LEARNED, packed

    def unsqueeze(self, how: int, packed: bytes) -> bytes:
        """Return the value again."""
        if how == RAW:
            return packed
        if how == PLAIN:
            return bytes(cramjam.zstd.decompress(packed))
        value: bytes = self._zstd.decompress(packed, zstd_dict=self._with)
        return value
