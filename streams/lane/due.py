"""When keys are due: beside the value in its changelog record, so that recovery decodes no value to find its timers.

It is a header, so the value's own form is as it ever was. A record without it, of an earlier version, is decoded once.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from streams.lane.job import Headers

# When keys are due: epoch ms of stream time in eight bytes (signed, big endian), or NEVER. A key that is left out is as
# it was. Bytes, since recovery moves millions of them from records to tables, and looks at none.
Due = Mapping[bytes, bytes]
NO_DUE: Final[Due] = {}
NEVER: Final = b""

DUE_BYTES: Final = 8
_HEADER: Final = "due"
_FAR_MS: Final = 2**63


def checked(due_ms: int | None) -> bytes:
    """Return a due time as it is kept.

    Raises
    ------
    ValueError
        when it does not fit into eight bytes: the fault of the record that led to it, which becomes a dead letter
    """
    if due_ms is None:
        return NEVER
    if not -_FAR_MS <= due_ms < _FAR_MS:
        raise ValueError(f"a value wants to be woken at {due_ms}, which is no time in milliseconds")
    return to_bytes(due_ms)


def to_bytes(due_ms: int) -> bytes:
    """Return the eight bytes of a due time."""
    return due_ms.to_bytes(DUE_BYTES, "big", signed=True)


def from_bytes(raw: bytes) -> int:
    """Return the due time in eight bytes."""
    return int.from_bytes(raw, "big", signed=True)


def headers_of(key: bytes, value: bytes | None, due: Due) -> Headers:
    r"""Return the headers of a key's changelog record; none where its due time is not known, or its value deleted.

    >>> headers_of(b"k", b"value", {b"k": checked(1)})
    (('due', b'\x00\x00\x00\x00\x00\x00\x00\x01'),)
    """
    return () if value is None or key not in due else ((_HEADER, due[key]),)


def noted(
    keys: Iterable[bytes], values: Iterable[bytes | None], headers: Iterable[Sequence[tuple[str, bytes | None]] | None]
) -> dict[bytes, bytes]:
    """Return when keys are due, by their last records: a tombstone never, a value as its header says.

    A key whose last record does not say it is left out: it is not known.
    """
    due: dict[bytes, bytes] = {}
    for key, value, said in zip(keys, values, headers, strict=True):
        if value is None:
            due[key] = NEVER
            continue
        for name, raw in said or ():
            if name == _HEADER:
                due[key] = raw or NEVER
                break
        else:
            due.pop(key, None)
    return due
