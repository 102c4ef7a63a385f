"""From records of one generation to what a rebuild tells the next: pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from schemas.codecs import Codecs
from schemas.topics import DECISIONS, REPLAY, RULINGS
from schemas.views import Signal
from schemas.wire import Codec, WireError, codec_of
from streams.agents.naming import Namer
from streams.agents.routing import Owner
from streams.core.errors import SignalError
from streams.core.validate import check

# Rulings that are obeyed before all else, or whose marks are: they are not told again in their time.
_FIRST = frozenset({"cut", "split", "merge", "erase"})


class Lay(NamedTuple):
    """A record as it lay: table's name of its topic, partition, offset, when it arrived (epoch ms), value."""

    name: str
    partition: int
    offset: int
    at_ms: int
    value: bytes


class Told(NamedTuple):
    """What one partition of the new generation is told."""

    partition: int
    key: bytes
    value: bytes


class Past:
    """Makes of records what the new generation is told.

    Parameters
    ----------
    codecs : of the generation that is left
    namer, owner : of the new one
    since_ms : rulings of before have been obeyed first
    """

    def __init__(self, codecs: Codecs, namer: Namer, owner: Owner, *, since_ms: int) -> None:
        self._codecs = codecs
        self._namer = namer
        self._owner = owner
        self.since_ms = since_ms
        self._replay: Codec = codec_of("replay")
        # Records that tell nothing, by reason.
        self.left_out: Counter[str] = Counter()

    def tell(self, lay: Lay) -> Told | None:
        """Return what a record tells, None where it tells nothing: see ``left_out``."""
        try:
            if lay.name == DECISIONS:
                return self._decision(lay)
            if lay.name == RULINGS:
                return self._ruling(lay)
            if lay.name == REPLAY:
                return self._again(lay)
            return self._signal(lay.name, lay.value, lay.at_ms, f"{lay.partition}/{lay.offset}")
        except (WireError, SignalError) as exc:  # it was a dead letter when it came, and stays one
            self.left_out[exc.code] += 1
            return None

    def _signal(self, name: str, value: bytes, at_ms: int, origin: str) -> Told:
        signal = cast("Signal", self._codecs.of(name).decode(value))
        check(signal)
        node = self._namer.name(signal, name).node
        return self.told(node, "signal", at_ms, topic=name, origin=origin, value=value)

    def _decision(self, lay: Lay) -> Told:
        decision = self._codecs.of(DECISIONS).decode(lay.value)
        return self.told(decision["node"] or decision["customer"], "decision", lay.at_ms, value=lay.value)

    def _ruling(self, lay: Lay) -> Told | None:
        ruling = self._codecs.of(RULINGS).decode(lay.value)
        if lay.at_ms < self.since_ms and ruling["kind"] in _FIRST:
            return None
        return self.told(ruling["node"], "ruling", lay.at_ms, value=lay.value)

    def _again(self, lay: Lay) -> Told | None:
        """Return what was told to the generation that is left, for the next: signals; decisions lie in their topic."""
        said = self._replay.decode(lay.value)
        if said["kind"] != "signal":
            return None
        return self._signal(said["topic"], said["value"], said["at_ms"], said["origin"])

    def told(self, node: bytes, kind: str, at_ms: int, **more: Any) -> Told:
        """Return what the partition of a node is told."""
        value = self._replay.encode({"kind": kind, "at_ms": at_ms, "node": node, **more})
        return Told(self._owner.partition_of(node), node, value)

    def tick(self, at_ms: int) -> list[Told]:
        """Return what moves every partition's time."""
        value = self._replay.encode({"kind": "tick", "at_ms": at_ms})
        return [Told(number, b"", value) for number in range(self._owner.partitions)]


def marks_of(profile: Mapping[str, Any], now_ms: int) -> list[tuple[bytes, int, dict[str, Any]]]:
    """Return (node, since, mark) of the members of a profile that cuts keep from others.

    Each is bound by what its customer has withdrawn, as each side of a split is: what was said as the whole lies in
    facets that the cut keeps away. Whatever was granted before ``now_ms`` has not lifted it.
    """
    bound = [m for m in profile["members"] if m["cuts"] and len(m["cuts"]) == len(m["cut_sides"])]
    said = ("purpose", "channel", "at_ms", "source")
    no = [{**{name: c[name] for name in said}, "since_ms": now_ms} for c in profile["consent"] if not c["granted"]]
    return [(m["node"], m["since_ms"], {**mark_of(m), "withdrawn": no}) for m in bound]


def mark_of(member: Mapping[str, Any]) -> dict[str, Any]:
    """Return the mark of a member of a profile, without what binds it."""
    return {
        **{name: member[name] for name in ("kind", "value", "original", "source", "signal_id", "cuts")},
        "sides": member["cut_sides"],
        "withdrawn": [],
    }
