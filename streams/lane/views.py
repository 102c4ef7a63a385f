"""What a job sees of the state while its batch runs."""

from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar, cast

from streams.lane.store import Store

V = TypeVar("V")


class _Missing:
    """Type of the mark for 'not in the cache' (None is an answer)."""


_MISSING: Final = _Missing()


class CachedView(Generic[V]):
    """Committed values, decoded once and kept while they are hot.

    Two generations bound the cache: a value that is used moves to the young one; when that is full, the old one
    is dropped. It costs one dict access per hit, where a strict least-recently-used order costs three.
    Values handed out may be changed in place, so an aborted batch must ``forget`` what was handed out.
    """

    __slots__ = ("_decode", "_handed", "_limit", "_old", "_stored", "_young")

    def __init__(self, store: Store, decode: Callable[[bytes], V], limit: int) -> None:
        self._stored = store.get
        self._decode = decode
        self._limit = max(1, limit // 2)
        self._young: dict[bytes, V | None] = {}
        self._old: dict[bytes, V | None] = {}
        self._handed: list[bytes] = []

    def get(self, key: bytes, /) -> V | None:
        """Return the value under a key, decoded, or None."""
        self._handed.append(key)
        value = self._young.get(key, cast("V", _MISSING))
        if value is not _MISSING:
            return value
        value = self._old.pop(key, cast("V", _MISSING))
        if value is _MISSING:
            raw = self._stored(key)
            value = None if raw is None else self._decode(raw)
        self._keep(key, value)
        return value

    def _keep(self, key: bytes, value: V | None) -> None:
        if len(self._young) >= self._limit:
            self._old = self._young
            self._young = {}
        self._young[key] = value

    def committed(self, values: Mapping[bytes, V | None]) -> None:
        """Take over the values of a committed batch."""
        self._handed.clear()
        for key, value in values.items():
            self._old.pop(key, None)
            self._keep(key, value)

    def forget(self) -> None:
        """Forget all that was handed out since the last commit: the batch was aborted."""
        for key in self._handed:
            self._young.pop(key, None)
            self._old.pop(key, None)
        self._handed.clear()

    def forget_all(self) -> None:
        """Forget everything: the store was filled anew."""
        self._young.clear()
        self._old.clear()
        self._handed.clear()


class OverlaidView(Generic[V]):
    """Committed values under the changes of earlier parts of the same batch; decodes afresh at every call.

    A part that fails may have changed values in place; nothing that it touched is ever seen by another part.
    """

    __slots__ = ("_decode", "_overlay", "_stored")

    def __init__(self, store: Store, decode: Callable[[bytes], V], overlay: Mapping[bytes, bytes | None]) -> None:
        self._stored = store.get
        self._decode = decode
        self._overlay = overlay

    def get(self, key: bytes, /) -> V | None:
        """Return the value under a key, decoded, or None."""
        raw = self._overlay[key] if key in self._overlay else self._stored(key)
        return None if raw is None else self._decode(raw)
