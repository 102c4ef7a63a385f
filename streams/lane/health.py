"""Is this worker ready, and does it move? Plain values for ``/readyz`` and ``/livez``."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.lane.lane import Lane

# 120 s: the first join of a group waits for the rebalance of its other members (60 s) and more.
JOIN_WITHIN_S = 120.0


class Health:
    """A watchdog over progress: alive means that whatever has work also commits."""

    def __init__(self, lane: "Lane", *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._lane = lane
        self._clock_s = clock_s
        # When something last showed that the machinery moves: an assignment, a chunk of recovery, a fetch.
        self.moved_at = clock_s()

    def moved(self) -> None:
        """Note that assignment, recovery or fetching moved."""
        self.moved_at = self._clock_s()

    def ready(self) -> tuple[bool, str]:
        """Say whether all partitions given to this worker are open and recovered (a spare one, with none, is ready)."""
        lane = self._lane
        if lane.failure is not None:
            return False, f"failed: {type(lane.failure).__name__}"
        if not lane.assigned:
            return False, "no partitions assigned yet" if lane.generation < 0 else "partitions are being reassigned"
        waiting = [f"{p.stage.name}[{p.number}]" for p in lane.partitions.values() if not p.recovered]
        if waiting:
            return False, f"recovering {', '.join(sorted(waiting))}"
        if not lane.flowing:
            return False, "about to begin"
        return True, f"{len(lane.partitions)} partitions"

    def live(self) -> tuple[bool, str]:
        """Say whether this worker moves: no partition has waiting records without a commit for ``stall_after_s``."""
        lane, now = self._lane, self._clock_s()
        if lane.failure is not None:
            return False, f"failed: {type(lane.failure).__name__}"
        stall_s = lane.config.stall_after_s
        for partition in lane.partitions.values():
            since = partition.waiting_since
            if lane.flowing and since is not None and now - since > stall_s:
                what = f"{partition.stage.name}[{partition.number}]"
                return False, f"{what} has had work for {now - since:.0f} s and committed nothing"
        for (topic, number), since in lane.undelivered.items():
            if now - since > stall_s:
                return False, f"{topic}[{number}] has had records for {now - since:.0f} s that were not fetched"
        patience = stall_s if lane.flowing else max(stall_s, JOIN_WITHIN_S)
        if now - self.moved_at > patience:
            return False, f"nothing has moved for {now - self.moved_at:.0f} s"
        return True, "moving"
