"""Where something of an erased customer may still lie, and until when: pure.

An erasure takes everything away at once that can be changed. What cannot is bounded: topics that others write or read
end by their retention, compacted ones by their compaction; until then only what is stated here is left.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from schemas.topics import (
    CARDS,
    CUSTOMERS_CHANGELOG,
    DAY_MS,
    DEAD_LETTERS,
    DECISIONS,
    EXAMPLES,
    HOUR_MS,
    IDENTITIES,
    INBOX,
    NEAR_CHANGELOG,
    NEAR_VAULT,
    PROFILES,
    REPLAY,
    TOPICS,
    VAULT,
    actions,
    signals,
)

# The broker looks for what is past its time so often, and a worker deletes read messages: both below a minute or so.
_LOOK_MS = 10 * 60_000


class Place(NamedTuple):
    """A place, what lies there after the erasure, and how long after it the last of it is gone; 0: at once."""

    place: str
    holds: str
    gone_after_ms: int


def places(kept_ms: Mapping[str, int]) -> list[Place]:
    """Return every place, those with the longest first.

    Parameters
    ----------
    kept_ms : retention by ``Topic.kept``: of the broker or of the settings
    """

    def by_retention(name: str) -> int:
        topic = TOPICS[name]
        return kept_ms.get(topic.kept, topic.retention_ms) + topic.segment_ms + _LOOK_MS

    def by_compaction(name: str) -> int:
        return (TOPICS[name].max_lag_ms or 0) + _LOOK_MS

    found = [
        Place("signals.*", "signals as they came in, plain", by_retention(signals("web"))),
        Place(REPLAY, "the same in a generation that was rebuilt, by their own time, plain", by_retention(REPLAY)),
        Place(DEAD_LETTERS, "signals and actions that failed before, plain", by_retention(DEAD_LETTERS)),
        Place("actions.*", "what was sent before: address and words, plain", by_retention(actions("web"))),
        Place(DECISIONS, "decisions: hashes and numbers", by_retention(DECISIONS)),
        Place(EXAMPLES, "examples: numbers without a name", by_retention(EXAMPLES)),
        Place(PROFILES, "older golden records, plain, until compacted", by_compaction(PROFILES)),
        Place(IDENTITIES, "older hashes, until compacted", by_compaction(IDENTITIES)),
        Place(CUSTOMERS_CHANGELOG, "sealed bytes whose secret is destroyed", by_compaction(CUSTOMERS_CHANGELOG)),
        Place(VAULT, "the secret, wrapped, until compacted", by_compaction(VAULT)),
        Place(
            INBOX, "messages between nodes: unreadable within 30 s, on disk until the segment ends", HOUR_MS + _LOOK_MS
        ),
        Place(CARDS, "names and addresses: deleted in 30 s, on disk until their segment ends", HOUR_MS + _LOOK_MS),
        Place(NEAR_CHANGELOG, "sealed bytes whose secret is destroyed", by_compaction(NEAR_CHANGELOG)),
        Place(NEAR_VAULT, "the secret, wrapped, until compacted", by_compaction(NEAR_VAULT)),
        Place("Redis' files", "older values, until Redis has written them anew: asked for at once", _LOOK_MS),
        Place("Redis, state stores", "that these hashes were erased", 0),
    ]
    return sorted(found, key=lambda place: -place.gone_after_ms)


def told(kept_ms: Mapping[str, int], erased_at_ms: int) -> list[dict[str, Any]]:
    """Return the places for a client, each with the moment from which nothing is left there.

    Parameters
    ----------
    erased_at_ms : wall clock, epoch ms
    """
    return [
        {"place": each.place, "holds": each.holds, "gone_at_ms": erased_at_ms + each.gone_after_ms}
        for each in places(kept_ms)
    ]


def in_words(ms: int) -> str:
    """Return a duration for a person.

    >>> in_words(31 * DAY_MS + 600_000), in_words(HOUR_MS + 600_000), in_words(0)
    ('31 days', '1 hour', 'at once')
    """
    for unit, name in ((DAY_MS, "day"), (HOUR_MS, "hour")):
        if ms >= unit:
            count = ms // unit
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "at once" if not ms else f"{ms // 60_000} minutes"
