"""The inbox of web and app: messages wait in Redis until the customer's page or app fetches them.

Per customer and channel: an index by time and the bodies, capped, expiring. Storing an id twice stores it once. Who
listens at that moment is told over Redis' publish/subscribe; who does not finds it at the next poll.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from connectors.outbound.channels import Inbox
from connectors.outbound.delivery import Delivery, rendered, stream_now_ms
from connectors.outbound.errors import TransientError
from connectors.outbound.together import Together
from connectors.serve.keys import ViewKeys

# What has an inbox.
CHANNELS = frozenset({"web", "app"})

# One step, so that an index never names a body that is not there, and no message follows an erasure.
# KEYS index, bodies, the mark of an erasure; ARGV id, time, body, most, life, live.
_STORE = """
if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
local over = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[4])
if over > 0 then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, over - 1)) do redis.call('HDEL', KEYS[2], id) end
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, over - 1)
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('PUBLISH', ARGV[6], ARGV[3])
return 1
"""


class Item(msgspec.Struct, frozen=True):
    """One message in an inbox, as stored and as served.

    Parameters
    ----------
    decided_at_ms, expires_at_ms : stream time
    recorded_at_ms : wall time at which ``decided_at_ms`` was recorded; relates the two clocks
    """

    id: str
    action: str
    treatment: str
    channel: str
    purpose: str
    customer: str
    language: str
    title: str
    body: str
    params: Mapping[str, str]
    decided_at_ms: int
    expires_at_ms: int
    recorded_at_ms: int

    def now_ms(self, wall_ms: int) -> int:
        """Return the stream time at a moment of wall time."""
        return stream_now_ms(self.decided_at_ms, self.recorded_at_ms, wall_ms)


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Item)


def keys_of(prefix: str, channel: str, customer: str) -> tuple[str, str]:
    """Return the Redis keys of an inbox: index and bodies. ``customer`` is a node in hex."""
    base = f"{prefix}inbox:{channel}:{{{customer}}}"
    return f"{base}:index", f"{base}:bodies"


def live_channel(prefix: str, channel: str, customer: str) -> str:
    """Return the publish/subscribe channel of an inbox."""
    return f"{prefix}inbox-live:{channel}:{customer}"


def decode(raw: bytes | str) -> Item:
    """Return a stored item."""
    return _decoder.decode(raw)


class InboxConnector:
    """Stores actions in inboxes.

    Parameters
    ----------
    config : cap and life
    redis : where they lie, decode_responses=False
    prefix : before every key
    """

    in_doubt: Literal["drop", "resend"] = "resend"  # an id is stored once, however often it is sent
    lease_s = 30.0

    def __init__(self, config: Inbox, redis: "Redis", prefix: str) -> None:
        self._config = config
        self._prefix = prefix
        self._view = ViewKeys(prefix)
        self._redis = Together(redis)

    async def send(self, delivery: Delivery) -> str | None:
        """Store an action; see ``Connector.send``."""
        action = delivery.action
        title, body = rendered(action)
        customer = action["customer"].hex()
        item = Item(
            id=action["id"],
            action=action["action"],
            treatment=action["treatment"],
            channel=action["channel"],
            purpose=action["purpose"],
            customer=customer,
            language=action["language"],
            title=title,
            body=body,
            params=action["params"],
            decided_at_ms=action["decided_at_ms"],
            expires_at_ms=action["expires_at_ms"],
            recorded_at_ms=delivery.recorded_at_ms,
        )
        try:
            await self._redis.script(
                _STORE,
                (*keys_of(self._prefix, action["channel"], customer), self._view.erased(action["customer"])),
                (
                    item.id,
                    item.decided_at_ms,
                    _encode(item),
                    self._config.most,
                    int(self._config.keep_s * 1000),
                    live_channel(self._prefix, action["channel"], customer),
                ),
            )
        except (RedisError, OSError) as exc:
            raise TransientError("redis-away", f"Redis did not store it: {type(exc).__name__}") from exc
        return "inbox"

    async def close(self) -> None:
        """Nothing is held."""
