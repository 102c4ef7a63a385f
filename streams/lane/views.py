"""What a job sees of the state while its batch runs."""

from collections.abc import Callable, Mapping
from typing import Final, Generic, Protocol, TypeVar

from streams.lane.store import Changes

V = TypeVar("V")


# What an entry costs besides its value, counted in encoded bytes: so knowing that a key is absent is bounded too.
_ENTRY_BYTES: Final = 32


class Values(Protocol):
    """Committed values by key, as their job wrote them."""

    def get(self, key: bytes, /) -> bytes | None:
        """Return the bytes under a key, or None."""
        ...


class CachedView(Generic[V]):
    """Committed values, decoded once and kept while they are hot.

    Two generations bound the cache: a value that is used moves to the young one; when that is full, the old one
    is dropped. It costs one dict access per hit, where a strict least-recently-used order costs three.
    Values handed out may be changed in place, so an aborted batch must ``forget`` what was handed out.

    Parameters
    ----------
    store : where values are that are not hot
    decode : of their bytes
    limit_bytes : bound on what is kept, in encoded bytes: a customer and a pointer do not weigh the same
    """

    __slots__ = ("_decode", "_handed", "_limit", "_old", "_stored", "_young", "_young_bytes")

    def __init__(self, store: Values, decode: Callable[[bytes], V], limit_bytes: int) -> None:
        self._stored = store.get
        self._decode = decode
        self._limit = limit_bytes // 2
        self._young_bytes = 0
        self._young: dict[bytes, tuple[V | None, int]] = {}
        self._old: dict[bytes, tuple[V | None, int]] = {}
        self._handed: list[bytes] = []

    def get(self, key: bytes, /) -> V | None:
        """Return the value under a key, decoded, or None."""
        self._handed.append(key)
        kept = self._young.get(key)
        if kept is not None:
            return kept[0]
        kept = self._old.pop(key, None)
        if kept is None:
            raw = self._stored(key)
            kept = (None, _ENTRY_BYTES) if raw is None else (self._decode(raw), _ENTRY_BYTES + len(raw))
        self._keep(key, *kept)
        return kept[0]

    def _keep(self, key: bytes, value: V | None, size: int) -> None:
        if self._young and self._young_bytes + size > self._limit:
            self._old = self._young
            self._young = {}
            self._young_bytes = 0
        self._young[key] = value, size
        self._young_bytes += size

    def committed(self, values: Mapping[bytes, V | None], raw: Changes) -> None:
        """Take over the values of a committed batch; ``raw`` are their bytes."""
        self._handed.clear()
        for key, value in values.items():
            self._drop(key)
            self._keep(key, value, _ENTRY_BYTES + len(raw[key] or b""))

    def _drop(self, key: bytes) -> None:
        self._old.pop(key, None)
        kept = self._young.pop(key, None)
        if kept is not None:
            self._young_bytes -= kept[1]

    def forget(self) -> None:
        """Forget all that was handed out since the last commit: the batch was aborted."""
        for key in self._handed:
            self._drop(key)
        self._handed.clear()

    def forget_all(self) -> None:
        """Forget everything: the store was filled anew."""
        self._young.clear()
        self._old.clear()
        self._young_bytes = 0
        self._handed.clear()


class OverlaidView(Generic[V]):
    """Committed values under the changes of earlier parts of the same batch; decodes afresh at every call.

    A part that fails may have changed values in place; nothing that it touched is ever seen by another part.
    """

    __slots__ = ("_decode", "_overlay", "_stored")

    def __init__(self, store: Values, decode: Callable[[bytes], V], overlay: Mapping[bytes, bytes | None]) -> None:
        self._stored = store.get
        self._decode = decode
        self._overlay = overlay

    def get(self, key: bytes, /) -> V | None:
        """Return the value under a key, decoded, or None."""
        raw = self._overlay[key] if key in self._overlay else self._stored(key)
        return None if raw is None else self._decode(raw)
