"""An export's document as it waits in Redis: only who holds the address that was answered can open it.

Its key is drawn by the gateway and given to the requester, in the address to ask at. Redis, which writes its files to
disk, holds it wrapped under the deployment's node key only, and only until the document is made.
"""

import hashlib
from typing import Final

from streams.lane.errors import FormError
from streams.lane.forms import Forms, is_sealed
from streams.lane.vault import SECRET_BYTES, SealKey

KEY_BYTES: Final = SECRET_BYTES
# As customers' state is sealed, without its dictionary.
_FORMS: Final = Forms()


def wrapper(node_key: bytes) -> SealKey:
    """Return what wraps the keys of exports between gateway and serve, who both have the node key."""
    return SealKey(hashlib.blake2b(node_key, digest_size=32, person=b"sada-export").digest())


def check_of(key: bytes) -> str:
    """Return what tells whether a key is the one, without telling it."""
    return hashlib.blake2b(key, digest_size=16, person=b"sada-export").hexdigest()


def sealed(document: bytes, key: bytes, node: bytes) -> bytes:
    """Return a document squeezed and sealed, for who asked by a node."""
    return _FORMS.sealed(node, document, key)


def opened(raw: bytes, key: bytes, node: bytes) -> bytes | None:
    """Return the document again, or None when it was sealed under another key or for another node, or not at all.

    Examples
    --------
    >>> raw = sealed(b"{}", b"k" * 32, b"sara")
    >>> opened(raw, b"k" * 32, b"sara"), opened(raw, b"K" * 32, b"sara"), opened(b"{}", b"k" * 32, b"sara")
    (b'{}', None, None)
    """
    try:
        return _FORMS.open(node, raw, key) if is_sealed(raw) else None
    except FormError:
        return None
