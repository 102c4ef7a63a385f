"""Exports that were asked for through the API, in Redis: one per identifier, for an hour, made by `sada serve`.

======================  ====  =====================================================================
``Pexport:<hex>``       hash  an export asked for by this node: see ``Job``; for ``LASTS_S``
``Pexport:<hex>:made``  text  the document, sealed (see seal.py); for ``LASTS_S``
``Pexports``            zset  nodes whose export is to be made, by when it may be begun, epoch seconds
======================  ====  =====================================================================

Who takes a job owns it, and puts it off by a lease that is renewed while the work goes on: what a killed process has
left is taken up by the next one as soon as the lease is over, and what the former owner still makes of it is not kept.
Nor is what is made after an erasure, which deletes both keys, or after another request took this one's place.
"""

import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import redis

# How long an export waits to be fetched, and at most to be made, in seconds.
LASTS_S: Final = 3_600
# A job whose process was killed is begun again after so long, in seconds; the lease is renewed three times in it.
LEASE_S: Final = 30.0
# Kafka may be restarting: another try after so long, in seconds, and so many in all.
AGAIN_S: Final = 20.0
TRIES: Final = 3
# Sealed and squeezed, bytes. A gateway opens it in its memory, where it is ten times as much.
MAX_BYTES: Final = 8 * 1024 * 1024
# Records of one person as they lie in the topics, bytes: some hundred thousand. Decoded they take ten times as much.
MAX_HELD_BYTES: Final = 48 * 1024 * 1024
# Exports that may wait; each takes a minute a million signals, one after another.
MOST_WAITING: Final = 100

WAITING, RUNNING, MADE, FAILED = "waiting", "running", "made", "failed"

# Ask for a job in the place of one for the same node, unless too many wait: KEYS hash, document, zset; ARGV node, now,
# the most that may wait, seconds that the hash lasts, then fields and values. Answers 0 when there is no room.
ASK: Final = """
local room = redis.call('ZCARD', KEYS[3]) < tonumber(ARGV[3])
if not room and not redis.call('ZSCORE', KEYS[3], ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
return 1
"""
# Take the first job that may be begun: KEYS zset; ARGV now, end of the lease.
_TAKE = """
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 1)
if #found > 0 then redis.call('ZADD', KEYS[1], ARGV[2], found[1]) end
return found[1]
"""
# Own a job, and count that it was begun; nothing when nobody asks for it any more: KEYS hash, zset; ARGV owner, node.
_OWN = """
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], ARGV[2]) return 0 end
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
return redis.call('HINCRBY', KEYS[1], 'tries', 1)
"""
# Change a job that is still one's own: KEYS hash, zset, document; ARGV owner, node, new score or '' when it is over,
# the document or '', seconds that both last, then fields and values. Answers 0 when it is not.
_CHANGE = """
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 6))
if ARGV[4] ~= '' then redis.call('SET', KEYS[3], ARGV[4], 'EX', ARGV[5]) end
if ARGV[3] ~= '' then redis.call('ZADD', KEYS[2], 'XX', ARGV[3], ARGV[2]) return 1 end
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('HDEL', KEYS[1], 'key')
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
"""


class Job(NamedTuple):
    """An export that was asked for.

    Parameters
    ----------
    check : tells the key that opens it
    key : wrapped; empty once it is made or has failed
    state : waiting, running, made or failed
    owner : who took it last
    tries : how often it was begun
    reason : why it failed, for people; empty otherwise
    done, of : records read and to be read, as far as is known
    """

    check: str
    key: bytes
    state: str
    owner: bytes
    tries: int
    reason: str
    done: int
    of: int


def job_of(fields: Mapping[bytes, bytes]) -> Job | None:
    """Return a job as its hash holds it, None where there is none."""
    if b"check" not in fields:
        return None
    text = {name.decode(): value for name, value in fields.items()}
    return Job(
        text["check"].decode(),
        text.get("key", b""),
        text["state"].decode(),
        text.get("owner", b""),
        int(text.get("tries", b"0")),
        text.get("reason", b"").decode(),
        int(text.get("done", b"0")),
        int(text.get("of", b"0")),
    )


class JobKeys:
    """Where jobs are.

    Parameters
    ----------
    prefix : of what all generations share
    """

    def __init__(self, prefix: str) -> None:
        self._export = f"{prefix}export:"
        self.waiting = f"{prefix}exports"

    def job(self, node: bytes) -> str:
        """Return where a node's export is."""
        return self._export + node.hex()

    def made(self, node: bytes) -> str:
        """Return where its document is."""
        return f"{self._export}{node.hex()}:made"


class Jobs:
    """The side that makes exports.

    Parameters
    ----------
    client : of Redis
    keys : names
    """

    def __init__(self, client: redis.Redis, keys: JobKeys) -> None:
        self._client = client
        self._keys = keys
        self._take = client.register_script(_TAKE)
        self._own = client.register_script(_OWN)
        self._change = client.register_script(_CHANGE)

    def take(self, now_s: float) -> bytes | None:
        """Take a job that may be begun, for ``LEASE_S``; return its node."""
        found: Any = self._take(keys=[self._keys.waiting], args=[now_s, now_s + LEASE_S])
        if found is None:
            return None
        node = bytes.fromhex(found.decode())
        tries: Any = self._own(keys=[self._keys.job(node), self._keys.waiting], args=[os.urandom(16), found])
        if tries > TRIES and (job := self.find(node)) is not None:
            self.failed(node, job, f"{TRIES} times it was begun and never ended: is there too little memory?", now_s)
        return node if 0 < tries <= TRIES else None

    def find(self, node: bytes) -> Job | None:
        """Return a job."""
        fields: Any = self._client.hgetall(self._keys.job(node))
        return job_of(fields)

    def renew(self, node: bytes, job: Job, now_s: float, *, done: int = 0, of: int = 0) -> bool:
        """Keep a job for another lease, and say how far it is; False when it is ours no more."""
        return self._set(node, job, now_s + LEASE_S, state=RUNNING, done=done, of=of)

    def made(self, node: bytes, job: Job, document: bytes) -> bool:
        """Keep a sealed document; False, and nothing is kept, when it was erased meanwhile or asked for anew."""
        return self._set(node, job, None, document=document, state=MADE)

    def failed(self, node: bytes, job: Job, reason: str, now_s: float, *, for_good: bool = False) -> bool:
        """Note that it was not made; it is tried again, unless it has been often enough or would fail again."""
        again = job.tries < TRIES and not for_good
        return self._set(
            node,
            job,
            now_s + AGAIN_S if again else None,
            state=WAITING if again else FAILED,
            reason=reason[:500],
        )

    def _set(self, node: bytes, job: Job, score: float | None, *, document: bytes = b"", **fields: str | int) -> bool:
        done: Any = self._change(
            keys=[self._keys.job(node), self._keys.waiting, self._keys.made(node)],
            args=[
                *(job.owner, node.hex(), "" if score is None else score, document, LASTS_S),
                *(part for field in fields.items() for part in field),
            ],
        )
        return bool(done)
