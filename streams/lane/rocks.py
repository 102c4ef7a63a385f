"""State larger than memory: RocksDB as a cache of the committed changelog.

It is written only after the commit, in one write batch with the changelog offset that it then reflects, so a restart
reads the changelog on from there. What is behind, not ours or too old is thrown away and rebuilt: nothing is lost.
"""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson
from rocksdict import Options, Rdict, WriteBatch

from streams.lane.errors import StoreError
from streams.lane.job import LANE_KEY_PREFIX
from streams.lane.store import NOTHING_REFLECTED, Changes

log = logging.getLogger(__name__)

REFLECTS_KEY: Final = LANE_KEY_PREFIX + b"reflects"
# 12 h, half of Kafka's default delete.retention.ms: an older store may have missed a tombstone that compaction has
# removed by now, and would keep a deleted key for ever.
TRUSTED_FOR_S = 12 * 3600
_VERSION = 1


class RocksStore:
    """State of one partition in RocksDB.

    Parameters
    ----------
    path : directory of this partition's database; its parents are made
    identity : of the changelog partition (its topic id); a store of another one is thrown away
    clock_s : wall clock, epoch seconds

    Raises
    ------
    StoreError
        when the database cannot be opened, for one because another process has it
    """

    def __init__(self, path: Path, identity: str, *, clock_s: Callable[[], float] = time.time) -> None:
        self._path = path
        self._identity = identity
        self._clock_s = clock_s
        self._db = self._open()
        self.offset = self._reflected()

    def _open(self) -> Any:
        self._path.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        try:
            return Rdict(str(self._path), options)
        except Exception as exc:  # rocksdict raises plain exceptions
            raise StoreError(
                f"cannot open the store at {self._path}: {exc}. Does another worker use this directory? "
                "Each worker needs its own."
            ) from exc

    def _reflected(self) -> int:
        raw = self._db.get(REFLECTS_KEY)
        if raw is None:
            self.clear()  # an empty one, or the rest of a rebuild that was cut short before its first write
            return NOTHING_REFLECTED
        found = orjson.loads(raw)
        reason = None
        if found.get("v") != _VERSION or found.get("of") != self._identity:
            reason = "it belongs to another changelog"
        elif self._clock_s() - found["at_s"] > TRUSTED_FOR_S:
            reason = f"it is older than {TRUSTED_FOR_S // 3600} h, so deletions may have been missed"
        if reason is not None:
            log.warning("store at %s is rebuilt from the changelog: %s", self._path, reason)
            self.clear()
            return NOTHING_REFLECTED
        offset: int = found["offset"]
        return offset

    def get(self, key: bytes) -> bytes | None:
        """Return the bytes under a key, or None."""
        found: bytes | None = self._db.get(key)
        return found

    def write(self, changes: Changes, offset: int) -> None:
        """Apply committed changes and the changelog offset that they reach, together."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        reflects = {"v": _VERSION, "of": self._identity, "offset": offset, "at_s": self._clock_s()}
        batch.put(REFLECTS_KEY, orjson.dumps(reflects))
        self._db.write(batch)
        self.offset = offset

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over all keys of the job."""
        return ((key, value) for key, value in self._db.items() if not key.startswith(LANE_KEY_PREFIX))

    def __len__(self) -> int:
        estimate: int | None = self._db.property_int_value("rocksdb.estimate-num-keys")
        return estimate or 0

    def clear(self) -> None:
        """Forget everything: the files are removed and a new database is begun."""
        self._db.close()
        Rdict.destroy(str(self._path), Options(raw_mode=True))
        self._db = self._open()
        self.offset = NOTHING_REFLECTED

    def close(self) -> None:
        """Let go of the files; they stay."""
        self._db.close()
