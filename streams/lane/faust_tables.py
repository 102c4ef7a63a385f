"""Faust's tables, with the lane's stores in them and the lane's recovery before them."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import faust
from aiokafka.errors import IllegalStateError
from faust.stores.base import Store as FaustStore
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from mode import Service

from streams.lane.kept import Kept

if TYPE_CHECKING:
    from streams.lane.lane import Lane

log = logging.getLogger(__name__)


class TableStore(FaustStore):  # type: ignore[misc]  # Faust has no types
    """A view of the committed state of this worker's partitions; only transactions write it."""

    def _kept(self) -> Iterator[Kept[Any]]:
        lane: Lane = self.app.lane
        return (p.kept for (stage, _), p in lane.partitions.items() if stage == self.table_name and p.recovered)

    def __getitem__(self, key: bytes) -> bytes:
        for kept in self._kept():
            found = kept.get(key)
            if found is not None:
                return found
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and any(kept.get(key) is not None for kept in self._kept())

    def __iter__(self) -> Iterator[bytes]:
        return (key for kept in self._kept() for key in kept)

    def __len__(self) -> int:
        return sum(len(kept) for kept in self._kept())

    def __setitem__(self, key: bytes, value: bytes) -> None:
        raise TypeError(f"table {self.table_name} is written by its stage's transactions only")

    def __delitem__(self, key: bytes) -> None:
        raise TypeError(f"table {self.table_name} is written by its stage's transactions only")

    def clear(self) -> None:
        """Refuse: only transactions write."""
        raise TypeError(f"table {self.table_name} is written by its stage's transactions only")

    def persisted_offset(self, tp: Any) -> int | None:  # noqa: ARG002 - Faust's signature
        """Return None: how far a store reflects its changelog is the lane's business."""
        return None

    def apply_changelog_batch(self, batch: Any, to_key: Any, to_value: Any) -> None:
        """Do nothing: the lane replays changelogs by itself."""

    async def backup_partition(self, tp: Any, flush: bool = True, purge: bool = False, keep: int = 1) -> None:
        """Refuse: the changelog is the backup."""
        raise NotImplementedError("the changelog is the backup of this table")

    def restore_backup(self, tp: Any, latest: bool = True, backup_id: int = 0) -> None:
        """Refuse: the changelog is the backup."""
        raise NotImplementedError("the changelog is the backup of this table")

    def reset_state(self) -> None:
        """Do nothing: Faust keeps no files for this table."""


class LaneTable(faust.Table):  # type: ignore[misc]  # Faust has no types
    """A table whose store is the lane's."""

    def _new_store(self) -> TableStore:
        return TableStore("lane://", self.app, self, table_name=self.name)


class LaneRecovery(Recovery):  # type: ignore[misc]  # Faust has no types
    """Faust's recovery service, in which the lane does the reading."""

    @Service.task  # type: ignore[untyped-decorator]  # mode has no types
    async def _restart_recovery(self) -> None:
        lane: Lane = self.app.lane
        while not self.should_stop:
            if await self.wait_for_stopped(self.signal_recovery_start):
                return
            self.signal_recovery_start.clear()
            generation = self._generation_id
            try:
                self._set_recovery_started()
                if await lane.recover():
                    self._set_recovery_ended()
                    await self._resume_streams(generation_id=generation)
            except (RebalanceAgain, IllegalStateError) as exc:
                log.info("another rebalance came in between (%s)", type(exc).__name__)
            except ServiceStopped:
                return
            except Exception as exc:  # noqa: BLE001 - without state there is nothing to run: the process ends
                lane.fail(exc)
                return

    @Service.task  # type: ignore[untyped-decorator]  # mode has no types
    async def _slurp_changelogs(self) -> None:
        """Do nothing: nothing comes through Faust's changelog queue."""

    @Service.task  # type: ignore[untyped-decorator]  # mode has no types
    async def _publish_stats(self) -> None:
        """Do nothing: the lane tells what it recovers."""


class LaneTableManager(TableManager):  # type: ignore[misc]  # Faust has no types
    """Faust's table manager with the lane's recovery."""

    _recovery: LaneRecovery | None

    @property
    def recovery(self) -> LaneRecovery:
        """The recovery service."""
        if self._recovery is None:
            self._recovery = LaneRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Start without Faust's fixed wait of a second: all agents and tables are known when the app is built."""
        await self._update_channels()
        await self.recovery.start()
