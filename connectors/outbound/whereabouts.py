"""Which customer a node belongs to, as the materialiser keeps it in Redis."""

from redis.asyncio import Redis

from connectors.serve.keys import ViewKeys


async def customer_of(redis: "Redis", prefix: str, node: bytes) -> bytes | None:
    """Return the root node of the customer that a node belongs to, or None when nobody knows it."""
    raw = await redis.get(ViewKeys(prefix).node(node))
    return bytes.fromhex(raw.decode() if isinstance(raw, bytes) else raw) if raw else None
