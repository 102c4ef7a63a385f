"""What the lane tells the world about itself; `streams.lane.metrics` makes Prometheus metrics of it."""

from typing import NamedTuple, Protocol


class Committed(NamedTuple):
    """One committed batch: counts, seconds and stream time (epoch ms).

    ``secrets_left``: those that may still be wrapped under the seal key of before.
    """

    stage: str
    partition: int
    records: int
    dead_letters: int
    outputs: int
    changes: int
    commit_s: float
    stream_ms: int
    secrets_left: int = 0


class Lag(NamedTuple):
    """One source partition: records not yet committed, the age of the oldest that was fetched, seconds, and the offset.

    ``next_offset`` is the first that is not committed.
    """

    stage: str
    topic: str
    partition: int
    records: int
    oldest_s: float
    next_offset: int = 0


class Observer(Protocol):
    """Called from several threads; must be quick and must not raise."""

    def committed(self, batch: Committed) -> None:
        """Take note of a committed batch."""
        ...

    def aborted(self, stage: str, partition: int) -> None:
        """Take note of a transaction that was aborted, its overlay dropped."""
        ...

    def recovered(self, stage: str, partition: int, keys: int, seconds: float) -> None:
        """Take note of a recovery."""
        ...

    def lag(self, lag: Lag) -> None:
        """Say how far behind a source partition is; about once a second."""
        ...

    def released(self, stage: str, partition: int) -> None:
        """Take note that a partition went to another worker: its gauges are no longer ours."""
        ...


class _NoObserver:
    """Tells nobody."""

    def committed(self, batch: Committed) -> None:
        """Do nothing."""

    def aborted(self, stage: str, partition: int) -> None:
        """Do nothing."""

    def recovered(self, stage: str, partition: int, keys: int, seconds: float) -> None:
        """Do nothing."""

    def lag(self, lag: Lag) -> None:
        """Do nothing."""

    def released(self, stage: str, partition: int) -> None:
        """Do nothing."""


NO_OBSERVER: Observer = _NoObserver()
