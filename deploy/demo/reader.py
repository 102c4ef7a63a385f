"""Reads whole topics, committed records only: what an auditor sees who shares no code with the pipeline's folds."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from deploy.local.processes import StackError
from deploy.local.running import read_topic
from schemas.codecs import Codecs

# A snapshot of the models is larger than what a stranger may send; the auditor reads our own topics.
MAX_BYTES = 2**24


class Found(NamedTuple):
    """A record: its key, and its value decoded; None for a tombstone."""

    key: bytes | None
    value: dict[str, Any] | None


class Reader:
    """Reads the topics of one stack.

    Parameters
    ----------
    kafka : bootstrap servers
    codecs : of its topics
    """

    def __init__(self, kafka: str, codecs: Codecs) -> None:
        self._kafka = kafka
        self._codecs = codecs
        self._stopped = False

    def stop(self) -> None:
        """Let whoever reads, in another thread, end at its next record."""
        self._stopped = True

    def records(self, name: str) -> Iterator[Found]:
        """Yield every committed record of a topic as it is now, in order per partition.

        Raises
        ------
        StackError
            when the broker is silent, or it was stopped
        """
        codec = self._codecs.of(name)
        for key, raw in read_topic(self._kafka, name):
            if self._stopped:
                raise StackError(f"{name} was not read to its end")
            yield Found(key, None if raw is None else codec.decode(raw, strict=False, max_bytes=MAX_BYTES))

    def values(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the values of a topic, tombstones left out."""
        return (found.value for found in self.records(name) if found.value is not None)

    def newest(self, name: str) -> dict[bytes, dict[str, Any]]:
        """Return the newest value of each key; keys whose newest record is a tombstone are left out."""
        found: dict[bytes, dict[str, Any]] = {}
        for key, value in self.records(name):
            if key is None:
                continue
            if value is None:
                found.pop(key, None)
            else:
                found[key] = value
        return found
