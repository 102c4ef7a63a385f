"""The position record: how far a partition's committed state has read its sources, and its stream time.

It is written to the changelog in every transaction, so state, outputs and position move together or not at all.
"""

from dataclasses import dataclass, field

import orjson

from streams.lane.errors import PositionError
from streams.lane.job import LANE_KEY_PREFIX

POSITION_KEY = LANE_KEY_PREFIX + b"position"
# Stream time before anything was said about it. Negative, so that a timer at the epoch itself is not yet due.
BEGINNING_OF_TIME_MS = -1
_VERSION = 1


@dataclass(slots=True)
class Position:
    """Where one partition stands.

    Parameters
    ----------
    next : next offset to read per source topic, all on this partition number; a topic never read is absent
    stream_ms : stream time reached, epoch ms; never goes back
    """

    next: dict[str, int] = field(default_factory=dict)
    stream_ms: int = BEGINNING_OF_TIME_MS

    def after(self, read: dict[str, int], stream_ms: int | None) -> "Position":
        """Return the position after a batch that read up to these next offsets and reached this stream time."""
        reached = self.stream_ms if stream_ms is None else max(self.stream_ms, stream_ms)
        return Position(self.next | read, reached)


def encode_position(position: Position) -> bytes:
    """Return the bytes of the position record.

    >>> encode_position(Position({"lines": 7}, 1000))
    b'{"v":1,"stream_ms":1000,"next":{"lines":7}}'
    """
    return orjson.dumps({"v": _VERSION, "stream_ms": position.stream_ms, "next": position.next})


def decode_position(raw: bytes, *, where: str) -> Position:
    """Return the position in a record's bytes.

    Parameters
    ----------
    raw : value of the position record
    where : changelog and partition, for the error

    Raises
    ------
    PositionError
        when the bytes are not a position record of this version
    """
    try:
        fields = orjson.loads(raw)
        if fields["v"] != _VERSION:
            raise PositionError(f"{where}: position record of version {fields['v']}, this lane reads {_VERSION}")
        return Position({str(topic): int(offset) for topic, offset in fields["next"].items()}, int(fields["stream_ms"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as exc:
        raise PositionError(f"{where}: the position record cannot be read ({exc}); was the changelog ours?") from exc
