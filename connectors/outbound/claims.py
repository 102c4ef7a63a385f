"""Who delivers an action: a claim per action id in Redis, taken before sending, settled after it.

::

    (none) ──claim──▶ claimed by X until T ──settle──▶ done: event
                         │        ▲
              transient  ▼        │ claim
                       released ──┘

A claim whose time has run out is *in doubt*: its holder died between claiming and settling, perhaps after sending.
The window is how long an id is remembered. It is longer than the action topics keep their records, so that whatever
can still be read from Kafka is still known here, as long as Redis keeps what it was told (append-only file on).
"""

from dataclasses import dataclass
from typing import Literal

from redis.asyncio import Redis

from connectors.outbound.together import Together
from connectors.serve.keys import ViewKeys

# Records of the action topics outlive their retention by a segment at most, a day (schemas/topics.py); one day more.
_LONGER_MS = 2 * 86_400_000

# Time is Redis's own, so that processes need no common clock.
_CLAIM = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('GET', KEYS[1])
local verdict = 'new'
if held then
  if string.sub(held, 1, 2) == 'd|' then return {'done', held} end
  local owner, deadline = string.match(held, '^c|([^|]*)|(%d+)$')
  if owner and owner ~= ARGV[1] then
    local left = tonumber(deadline) - now
    if left > 0 then return {'busy', string.format('%d', left)} end
    verdict = 'doubt'
  end
end
redis.call('SET', KEYS[1], 'c|' .. ARGV[1] .. '|' .. string.format('%d', now + tonumber(ARGV[2])), 'PX', ARGV[3])
return {verdict, ''}
"""

_RELEASE = """
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^c|([^|]*)|') == ARGV[1] then
  redis.call('SET', KEYS[1], 'r|', 'PX', ARGV[2])
  return 1
end
return 0
"""


def window_ms(actions_kept_ms: int) -> int:
    """Return how long to remember ids where the action topics keep their records so long."""
    return actions_kept_ms + _LONGER_MS


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of an action: the outcome's event, when, and the detail."""

    event: str
    at_ms: int
    detail: str | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """The answer to a claim.

    Parameters
    ----------
    verdict : new: deliver it; doubt: an earlier holder may have; busy: another holder has it for ``busy_ms``;
        done: it is settled
    """

    verdict: Literal["new", "doubt", "busy", "done"]
    busy_ms: int = 0
    settled: Settled | None = None


class Claims:
    """The claims of all channels.

    Parameters
    ----------
    redis : connection with decode_responses=False
    prefix : before every key; that of the topics
    window_ms : how long an id is remembered
    """

    def __init__(self, redis: "Redis", prefix: str, *, window_ms: int) -> None:
        self._prefix = f"{prefix}deliver:"
        self._view = ViewKeys(prefix)
        self._window_ms = window_ms
        self._redis = Together(redis)

    async def claim(self, action_id: str, owner: str, lease_s: float) -> Claimed:
        """Take an action for ``lease_s`` seconds, or learn who has it. Asking twice as one owner is harmless.

        Raises
        ------
        redis.exceptions.RedisError
            when Redis does not answer: it is not known then whether the claim stands
        """
        verdict, text = await self._redis.script(
            _CLAIM, (self._prefix + action_id,), (owner, int(lease_s * 1000), self._window_ms)
        )
        match verdict:
            case b"new":
                return Claimed("new")
            case b"doubt":
                return Claimed("doubt")
            case b"busy":
                return Claimed("busy", busy_ms=int(text))
        _, event, at_ms, detail = text.decode().split("|", 3)
        return Claimed("done", settled=Settled(event, int(at_ms), detail or None))

    async def erased(self, customer: bytes) -> bool:
        """Say whether a customer was erased: then nothing is delivered any more."""
        return bool(await self._redis.command("EXISTS", self._view.erased(customer)))

    async def release(self, action_id: str, owner: str) -> None:
        """Give an action back: it was certainly not delivered."""
        await self._redis.script(_RELEASE, (self._prefix + action_id,), (owner, self._window_ms))

    async def settle(self, action_id: str, settled: Settled) -> None:
        """Remember what became of an action."""
        value = f"d|{settled.event}|{settled.at_ms}|{settled.detail or ''}"
        await self._redis.command("SET", self._prefix + action_id, value, "PX", self._window_ms)
