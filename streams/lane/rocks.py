"""State larger than memory: RocksDB as a cache of the committed changelog.

It is written only after the commit, in one write batch with the changelog offset that it then reflects, so a restart
reads the changelog on from there. What is behind, not ours or too old is thrown away and rebuilt: nothing is lost.
"""

import logging
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson
from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBatch, WriteBufferManager

from streams.lane.due import NEVER, NO_DUE, Due
from streams.lane.errors import StoreError
from streams.lane.job import LANE_KEY_PREFIX
from streams.lane.store import NOTHING_REFLECTED, Changes

log = logging.getLogger(__name__)

REFLECTS_KEY: Final = LANE_KEY_PREFIX + b"reflects"
# 12 h, half of Kafka's default delete.retention.ms: an older store may have missed a tombstone that compaction has
# removed by now, and would keep a deleted key for ever.
TRUSTED_FOR_S = 12 * 3600
# 3: personal values are sealed; a store of before holds them openly, and is removed whole.
_VERSION = 3

# Due times by key, before the lane's other keys in one run, so that they are read without the values.
DUE_PREFIX: Final = LANE_KEY_PREFIX + b"due:"

# 256 MB for all partitions of a worker: blocks that were read, the index and the filters of all files; a million
# customers have 25 MB of filters, and the rest holds the records that are looked at again.
CACHE_BYTES = 256 << 20
# 64 MB for all partitions: what is written waits in memory for a file of its own. It counts within the cache.
WRITE_BUFFER_BYTES = 64 << 20
# 8 MB a partition before a file is written: a worker with twelve partitions writes files of a size that is worth it.
_PARTITION_BUFFER_BYTES = 8 << 20
# 10 bits: 1 % of the searches for a node that nobody has seen read a block for nothing.
_BLOOM_BITS = 10.0
# 16 KiB: three records; four times less index than with 4 KiB, and zstd finds what they have in common.
_BLOCK_BYTES = 16 << 10
# 64: a file takes a descriptor and its reader's memory; a partition of a million customers' twelfth has some twenty.
_OPEN_FILES = 64
# 10,000 timers are read at once: of a million, no list as long lies beside them.
_TIMERS_AT_ONCE = 10_000


@lru_cache(maxsize=1)
def _memory() -> tuple[Cache, WriteBufferManager]:
    """Return the memory that all stores of this process share: partitions come and go, the bound stays."""
    cache = Cache(CACHE_BYTES)
    return cache, WriteBufferManager.new_write_buffer_manager_with_cache(WRITE_BUFFER_BYTES, False, cache)


def _options() -> Options:
    cache, buffers = _memory()
    blocks = BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_block_size(_BLOCK_BYTES)
    blocks.set_bloom_filter(_BLOOM_BITS, False)
    # Else index and filters of every open file lie outside the cache, and memory grows with the state.
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(blocks)
    options.set_write_buffer_manager(buffers)
    options.set_write_buffer_size(_PARTITION_BUFFER_BYTES)
    options.set_max_open_files(_OPEN_FILES)
    # lz4 where files are written often, zstd on the last level, which holds nine tenths.
    options.set_compression_type(DBCompressionType.lz4())
    options.set_bottommost_compression_type(DBCompressionType.zstd())
    return options


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
        try:
            return Rdict(str(self._path), _options())
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

    def write(self, changes: Changes, offset: int, due: Due = NO_DUE) -> None:
        """Apply committed changes, timers and the changelog offset that they reach, together."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes.items():
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        for key, at in due.items():
            if at == NEVER:
                batch.delete(DUE_PREFIX + key)
            else:
                batch.put(DUE_PREFIX + key, at)
        reflects = {"v": _VERSION, "of": self._identity, "offset": offset, "at_s": self._clock_s()}
        batch.put(REFLECTS_KEY, orjson.dumps(reflects))
        self._db.write(batch)
        self.offset = offset

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over all keys of the job."""
        return ((key, value) for key, value in self._db.items() if not key.startswith(LANE_KEY_PREFIX))

    def due(self) -> Iterator[Due]:
        """Iterate over the timers, some thousand at a time, without a look at the values."""
        begin = len(DUE_PREFIX)
        items = iter(self._db.items(from_key=DUE_PREFIX))
        while chunk := list(islice(items, _TIMERS_AT_ONCE)):
            if not chunk[-1][0].startswith(DUE_PREFIX):
                chunk = [each for each in chunk if each[0].startswith(DUE_PREFIX)]
                items = iter(())
            yield {key[begin:]: at for key, at in chunk}

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
