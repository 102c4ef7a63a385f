"""The form in which a value lies in the changelog, the stores and nowhere else: a mark, squeezed, sealed.

A sealed value is AES-256-GCM under its key's own secret (see ``vault``): mark, nonce, ciphertext and tag. Mark and
state key are authenticated with it, so a value that was moved under another key does not open. A seal costs 29 bytes
and some 3 us.

The nonce is 12 random bytes, not a counter: an aborted transaction leaves its records in the log, where whoever reads
uncommitted finds them, and the next try would use the same count for another plaintext. One secret seals what one key
ever was: 2^32 writes of a key, NIST's bound for random nonces, are not reached.

References
----------
NIST SP 800-38D, 8.3: at most 2^32 invocations with one key and random nonces of 96 bits.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from streams.lane.errors import FormError

# Bits of the mark, a value's first byte. What begins with more than both is from before there were forms: it is as it
# was (MessagePack's arrays and maps begin at 0x80, JSON at 0x20).
SQUEEZED: Final = 1
SEALED: Final = 2
_LAST_MARK: Final = SQUEEZED | SEALED
_MARKS: Final = tuple(bytes((mark,)) for mark in range(_LAST_MARK + 1))
_SEALS: Final = frozenset(_MARKS[SEALED:])

NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
# What a sealed value is longer by.
SEAL_BYTES: Final = 1 + NONCE_BYTES + _TAG_BYTES

# 64: an alias (30 bytes) is not worth a frame; anything that tells something of a customer is longer.
_WORTH_SQUEEZING: Final = 64
# Every write squeezes. Of 5,030 bytes, with a dictionary of 8 KiB: level -1 leaves 1,833 bytes in 17 us, 1 1,778 in 22,
# 2 1,735 in 23, 3 1,690 in 29.
_LEVEL: Final = 3


def find_zstd() -> Any:
    """Return Python's own zstd module (3.14), or its backport.

    Raises
    ------
    ImportError
        when there is neither
    """
    try:
        return import_module("compression.zstd")
    except ImportError:
        return import_module("backports.zstd")


def is_sealed(value: bytes) -> bool:
    """Say whether a value's mark says that it is sealed.

    >>> is_sealed(bytes([SEALED]) + b"..."), is_sealed(b"plain"), is_sealed(b"")
    (True, False, False)
    """
    return value[:1] in _SEALS


def sealed_keys(changes: Mapping[bytes, bytes | None]) -> list[bytes]:
    """Return the keys whose value's mark says that it is sealed: of millions, without a call for each."""
    return [key for key, value in changes.items() if value is not None and value[:1] in _SEALS]


class Forms:
    """Brings the values of one stage into their form and back; all its partitions share it. Safe from any thread.

    Parameters
    ----------
    words : zstd dictionaries: the first one squeezes, all are known when a value is read; without any, plain zstd
    draw : so many random bytes
    """

    def __init__(self, words: Sequence[bytes] = (), *, draw: Callable[[int], bytes] = os.urandom) -> None:
        self._zstd: Final = find_zstd()
        known = [self._zstd.ZstdDict(each) for each in words]
        self._words: Final = {each.dict_id: each.as_digested_dict for each in known}
        self._newest: Final = known[0].as_digested_dict if known else None
        self._draw: Final = draw
        self._own: Final = threading.local()

    def plain(self, raw: bytes) -> bytes:
        """Return a value's form without a seal."""
        mark, body = self._squeeze(raw)
        return _MARKS[mark] + body

    def sealed(self, key: bytes, raw: bytes, secret: bytes) -> bytes:
        """Return a value's form, sealed with its key's secret."""
        mark, body = self._squeeze(raw)
        head = _MARKS[mark | SEALED]
        nonce = self._draw(NONCE_BYTES)
        return head + nonce + AESGCM(secret).encrypt(nonce, body, head + key)

    def open(self, key: bytes, value: bytes, secret: bytes | None) -> bytes:
        """Return the value that a form holds.

        Parameters
        ----------
        secret : of the key; None when there is none, or the value is not sealed

        Raises
        ------
        FormError
            when it is sealed and the secret is not its own, or its bytes are damaged; the message holds none of them
        """
        if not value or (mark := value[0]) > _LAST_MARK:
            return value
        body = value[1:]
        if mark & SEALED:
            if secret is None:
                raise FormError("it is sealed, and its key has no secret")
            try:
                body = AESGCM(secret).decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], value[:1] + key)
            except (InvalidTag, ValueError):
                raise FormError("its key's secret does not open it") from None
        return self._unsqueeze(body) if mark & SQUEEZED else body

    def _squeeze(self, raw: bytes) -> tuple[int, bytes]:
        if len(raw) < _WORTH_SQUEEZING:
            return 0, raw
        # One compressor per thread: it is not to be shared, and making one costs more than a value.
        compressor = getattr(self._own, "compressor", None)
        if compressor is None:
            compressor = self._own.compressor = self._zstd.ZstdCompressor(level=_LEVEL, zstd_dict=self._newest)
        body: bytes = compressor.compress(raw, compressor.FLUSH_FRAME)
        return (SQUEEZED, body) if len(body) < len(raw) else (0, raw)

    def _unsqueeze(self, body: bytes) -> bytes:
        try:
            words = self._words.get(self._zstd.get_frame_info(body).dictionary_id)
            value: bytes = self._zstd.decompress(body, zstd_dict=words)
        except self._zstd.ZstdError as exc:
            raise FormError(f"it cannot be unsqueezed: {exc}") from None
        return value
