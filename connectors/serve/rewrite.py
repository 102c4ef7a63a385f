"""After an erasure Redis writes its files anew: the append-only file still tells every value that was ever set."""

import redis
import structlog

_log = structlog.get_logger(__name__)

# Profile, lookups and inboxes go by records of three topics: seconds after the first of them all are applied. Erasures
# that follow each other share one rewrite.
SETTLED_AFTER_S = 5.0
# While Redis is busy with a rewrite or a copy of its own it is asked again.
_AGAIN_AFTER_S = 10.0


class Rewriter:
    """Has Redis write its files anew once an erasure has settled.

    Parameters
    ----------
    client : of Redis
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._due_s: float | None = None

    def note(self, now_s: float) -> None:
        """Note that somebody was erased; monotonic seconds."""
        self._due_s = now_s + SETTLED_AFTER_S

    def turn(self, now_s: float) -> bool:
        """Ask Redis when it is time; return whether it has begun.

        Raises
        ------
        redis.RedisError
            when it does not answer; it is asked again
        """
        if self._due_s is None or now_s < self._due_s:
            return False
        try:
            kept = self._client.info("persistence")
            if kept.get("aof_enabled"):
                self._client.bgrewriteaof()
            elif kept.get("rdb_saves"):
                self._client.bgsave()
        except redis.ResponseError as error:
            if "progress" in str(error):
                self._due_s = now_s + _AGAIN_AFTER_S
            else:  # a Redis of somebody else's that does not let us: said once per erasure
                _log.warning("Redis' files still tell of who was erased: have it rewrite them", reason=str(error)[:200])
                self._due_s = None
            return False
        self._due_s = None
        return True
