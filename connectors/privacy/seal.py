"""An export's document as it waits in Redis: only who holds the address that was answered can open it. Pure.

Its key is drawn by the gateway and given to the requester, in the address to ask at. Redis, which writes its files to
disk, holds it wrapped under the deployment's node key only, and only until the document is made.
"""

import hashlib
import zlib
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from streams.lane.vault import SealKey

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
# A person's signals are much alike: level 6 takes nine tenths away, and more would take longer than reading them.
_LEVEL: Final = 6


def wrapper(node_key: bytes) -> SealKey:
    """Return what wraps the keys of exports between gateway and serve, who both have the node key."""
    return SealKey(hashlib.blake2b(node_key, digest_size=32, person=b"sada-export").digest())


def check_of(key: bytes) -> str:
    """Return what tells whether a key is the one, without telling it."""
    return hashlib.blake2b(key, digest_size=16, person=b"sada-export").hexdigest()


def sealed(document: bytes, key: bytes, node: bytes, nonce: bytes) -> bytes:
    """Return a document squeezed and sealed.

    Parameters
    ----------
    node : whom it was asked for; the same is needed to open it
    nonce : twelve random bytes, never the same for a key
    """
    return nonce + AESGCM(key).encrypt(nonce, zlib.compress(document, _LEVEL), node)


def opened(raw: bytes, key: bytes, node: bytes) -> bytes | None:
    """Return the document again, or None when it was sealed under another key or for another node.

    Examples
    --------
    >>> raw = sealed(b"{}", b"k" * 32, b"sara", b"n" * 12)
    >>> opened(raw, b"k" * 32, b"sara"), opened(raw, b"K" * 32, b"sara")
    (b'{}', None)
    """
    try:
        return zlib.decompress(AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], node))
    except (InvalidTag, ValueError):
        return None
