"""The view in Redis: values and position move together, so that a batch counts once, whoever applies it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import redis

from connectors.serve.changes import Change
from connectors.serve.keys import RULING_LASTS_S, ViewKeys
from streams.settings import Settings

# Redis answers within so long, in seconds, or counts as away.
_TIMEOUT_S = 2.0

# Applies a batch of one partition if it begins at or before the position and ends after it; else it is a repetition,
# by a process that was here earlier or at the same time. All of it or nothing: Redis runs a script alone.
#   KEYS[1] positions, KEYS[2..] keys to set or, with an empty value, to delete; with a field, hashes
#   ARGV[1] partition, ARGV[2] first offset of the batch, ARGV[3] next offset, ARGV[4] 1 when the reader began at the
#   topic's beginning, ARGV[5] seconds that a hash lasts, ARGV[6..] a value, a field and a score for each key: with a
#   score the field is a member of a sorted set, with the score 'gone' no longer
# Answers the position afterwards; -1 when the batch would leave a gap (Redis lost what came before).
_APPLY = """
local at = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '-1')
local first, next = tonumber(ARGV[2]), tonumber(ARGV[3])
if at >= next then return at end
if at ~= -1 and at < first then return -1 end
if at == -1 and ARGV[4] ~= '1' then return -1 end
for i = 2, #KEYS do
  local value, field, score = ARGV[3 * i], ARGV[3 * i + 1], ARGV[3 * i + 2]
  if score == 'gone' then redis.call('ZREM', KEYS[i], field)
  elseif score ~= '' then redis.call('ZADD', KEYS[i], score, field)
  elseif field ~= '' then
    redis.call('HSET', KEYS[i], field, value)
    redis.call('EXPIRE', KEYS[i], ARGV[5])
  elseif value == '' then redis.call('DEL', KEYS[i]) else redis.call('SET', KEYS[i], value) end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return next
"""


def client_of(settings: Settings) -> redis.Redis:
    """Return a client of the view's Redis."""
    url = settings.redis.get_secret_value()
    return redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)


class Span(NamedTuple):
    """The records of a batch: ``first`` is the position that the reader had before it, ``next`` the one after.

    ``from_start`` says that the reader began at the topic's beginning: an empty Redis is right then.
    """

    partition: int
    first: int
    next: int
    from_start: bool


class GapError(Exception):
    """Redis reflects less than the reader has read: it was emptied or restored; read again from its position."""


class View:
    """Writes the view.

    Parameters
    ----------
    client : of Redis
    keys : names
    """

    def __init__(self, client: redis.Redis, keys: ViewKeys) -> None:
        self._client = client
        self._keys = keys
        self._script = client.register_script(_APPLY)

    def positions(self, topic: str) -> dict[int, int]:
        """Return the next offset by partition; a partition that is not there starts at the beginning."""
        found: Mapping[Any, Any] = self._client.hgetall(self._keys.position(topic))
        return {int(partition): int(offset) for partition, offset in found.items()}

    def forget(self, topic: str, partition: int) -> None:
        """Forget a partition's position: its topic was made anew."""
        self._client.hdel(self._keys.position(topic), str(partition))

    def ping(self) -> None:
        """Raise `redis.RedisError` unless Redis answers."""
        self._client.ping()

    def reviews(self) -> tuple[int, int]:
        """Return how many near matches are open, and since when the oldest is, epoch ms; 0 where none is."""
        count: Any = self._client.zcard(self._keys.matches)
        oldest: Any = self._client.zrange(self._keys.matches_since, 0, 0, withscores=True)
        return count, int(oldest[0][1]) if oldest else 0

    def apply(self, topic: str, span: Span, changes: Sequence[Change]) -> int:
        """Apply a batch of one partition and return the position afterwards.

        Parameters
        ----------
        changes : an empty value deletes, except in a hash. One per key and field

        Raises
        ------
        GapError
            when Redis lacks what came before
        redis.RedisError
            when it does not answer; whether the batch was applied is then unknown, and it does no harm again
        """
        position: int = self._script(
            keys=[self._keys.position(topic), *(change.key for change in changes)],
            args=[
                *(span.partition, span.first, span.next, int(span.from_start), RULING_LASTS_S),
                *(part for change in changes for part in (change.value, change.field, change.score)),
            ],
        )
        if position < 0:
            raise GapError(f"{topic}/{span.partition}: Redis does not reflect what came before {span.first}")
        return position
