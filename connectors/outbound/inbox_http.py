"""The inbox over HTTP, for a web page or an app: poll it, listen to it, say what the customer did.

::

    GET  /v1/inbox/{kind}/{value}?channel=web            the messages, newest first
    GET  /v1/inbox/{kind}/{value}/stream?channel=web     the same as server-sent events, then each new one
    POST /v1/inbox/{kind}/{value}/{action_id}/{event}    opened, clicked or dismissed

Who may read: an ``anonymous_id`` or ``device_id`` is known to its browser or app alone and is itself the key. Any other
identifier (an e-mail address can be guessed) needs an identity token that the shop's own backend makes for its
signed-in customer: ``Authorization: Bearer EXPIRES.MAC``, or ``?token=`` where a browser's EventSource can send no
header. See ``identity_token``. Whoever is not known gets an empty inbox, as one with no messages does.
"""

import asyncio
import hmac
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import structlog
from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from connectors.outbound import tracking_http
from connectors.outbound.inbox import CHANNELS, Item, decode, keys_of, live_channel
from connectors.outbound.outcomes import WRITER, WriteError, give_writer, outcome_signal
from connectors.outbound.whereabouts import customer_of
from schemas.identifiers import Hasher, Identifier, IdentifierError
from streams.settings import Settings

EVENTS = frozenset({"opened", "clicked", "dismissed"})
# Kinds whose values only the customer's own browser or app knows.
CAPABILITIES = frozenset({"anonymous_id", "device_id"})
# A comment line so often, in seconds: proxies close what is silent for a minute.
HEARTBEAT_S = 15.0
# Messages waiting for a slow listener; more and it is cut off, comes back and reads the inbox.
MAX_WAITING = 100
# Listeners of one process, each a socket; and of one customer: tabs, phone, tablet.
MAX_LISTENERS = 10_000
MAX_LISTENERS_EACH = 10

log = structlog.get_logger("inbox")


def identity_token(secret: bytes, kind: str, value: str, expires_at_s: int) -> str:
    """Return the token with which a signed-in customer reads the inbox: ``EXPIRES.HMAC-SHA256(hex)``.

    Parameters
    ----------
    secret : SADA_INBOX_SECRET's bytes
    kind, value : the identifier, in normalised form (schemas.identifiers.normalise)
    expires_at_s : epoch seconds after which it is worth nothing

    Examples
    --------
    >>> identity_token(b"k" * 32, "user_id", "u1", 2_000_000_000).split(".")[0]
    '2000000000'
    """
    signed = f"{kind}\0{value}\0{expires_at_s}".encode()
    return f"{expires_at_s}.{hmac.digest(secret, signed, 'sha256').hex()}"


def token_holds(secret: bytes, identifier: Identifier, token: str, *, now_s: float) -> bool:
    """Say whether a token is ours, for this identifier, and not expired."""
    text, _, _ = token.partition(".")
    if not (text.isascii() and text.isdigit() and len(text) <= 12) or int(text) < now_s:
        return False
    expected = identity_token(secret, identifier.kind, identifier.value, int(text))
    return hmac.compare_digest(expected.encode(), token.encode("utf-8", "replace"))


def refuse(status: int, code: str, message: str) -> web.Response:
    """Return an error in the gateway's form."""
    return web.json_response({"code": code, "message": message}, status=status)


class _Feed:
    """All new messages of this Redis, handed to those who listen here: one subscription per process."""

    def __init__(self, redis: "Redis", prefix: str) -> None:
        self._redis = redis
        self._pattern = live_channel(prefix, "*", "*")
        self._queues: dict[str, set[asyncio.Queue[bytes | None]]] = defaultdict(set)
        self.listeners = 0

    async def run(self) -> None:
        """Read the subscription for ever; a lost connection is made again and every listener reads anew."""
        while True:
            try:
                async with self._redis.pubsub() as subscription:
                    await subscription.psubscribe(self._pattern)
                    self._tell_all_to_read_anew()
                    while True:
                        message = await subscription.get_message(ignore_subscribe_messages=True, timeout=HEARTBEAT_S)
                        if message is not None:
                            self._hand_out(message["channel"].decode(), message["data"])
            except (RedisError, OSError) as exc:
                log.warning("no live messages: Redis is away", error=type(exc).__name__)
            await asyncio.sleep(1.0)

    def _hand_out(self, channel: str, raw: bytes | None) -> None:
        for queue in self._queues.get(channel, ()):
            if queue.full():
                queue.get_nowait()
                raw = None  # it is behind: it reads the whole inbox anew
            queue.put_nowait(raw)

    def _tell_all_to_read_anew(self) -> None:
        for channel in list(self._queues):
            self._hand_out(channel, None)

    def listen(self, channels: list[str]) -> asyncio.Queue[bytes | None] | None:
        """Return a queue of new messages (None: read the inbox anew), or None when too many listen."""
        if self.listeners >= MAX_LISTENERS or any(len(self._queues[c]) >= MAX_LISTENERS_EACH for c in channels):
            return None
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        for channel in channels:
            self._queues[channel].add(queue)
        self.listeners += 1
        return queue

    def forget(self, queue: asyncio.Queue[bytes | None], channels: list[str]) -> None:
        """Stop listening."""
        self.listeners -= 1
        for channel in channels:
            self._queues[channel].discard(queue)
            if not self._queues[channel]:
                del self._queues[channel]


class _Doors:
    """The three routes."""

    def __init__(self, settings: Settings, redis: "Redis") -> None:
        self._redis = redis
        self._prefix, self._view = settings.topic_prefix, settings.view_prefix
        self._rules = settings.identity_rules()
        self._hasher = Hasher(settings.secret("node_key"))
        self._secret = settings.secret("inbox_secret")
        self.feed = _Feed(redis, self._prefix)

    async def _owners(self, request: web.Request) -> list[str]:
        """Return whose inboxes the request may read: the node itself and its customer, hex.

        A message for an anonymous visitor lies under the visitor's node; after signing in it is another customer's.
        """
        try:
            identifier = self._rules.normalise(request.match_info["kind"], request.match_info["value"])
        except IdentifierError as exc:
            raise _RefusedError(400, exc.code, str(exc)) from None
        if identifier.kind not in CAPABILITIES:
            header = request.headers.get("Authorization", "")
            token = header[7:] if header[:7].lower() == "bearer " else request.query.get("token", "")
            if not token_holds(self._secret, identifier, token, now_s=time.time()):
                raise _RefusedError(401, "bad-token", f"{identifier.kind} needs a valid identity token")
        node = self._hasher.node(identifier)
        customer = await customer_of(self._redis, self._view, node)
        return list(dict.fromkeys([node.hex(), customer.hex() if customer else node.hex()]))

    def _channel(self, request: web.Request) -> str:
        channel = request.query.get("channel", "web")
        if channel not in CHANNELS:
            raise _RefusedError(400, "bad-channel", f"channel must be one of {', '.join(sorted(CHANNELS))}")
        return channel

    async def _items(self, channel: str, owners: list[str]) -> list[Item]:
        """Return what has not expired, newest first."""
        wall_ms = time.time_ns() // 1_000_000
        found: dict[str, Item] = {}
        for owner in owners:
            bodies = await self._redis.hvals(keys_of(self._prefix, channel, owner)[1])
            found.update((item.id, item) for item in map(decode, bodies))
        fresh = [item for item in found.values() if item.now_ms(wall_ms) <= item.expires_at_ms]
        return sorted(fresh, key=lambda item: (-item.decided_at_ms, item.id))

    async def poll(self, request: web.Request) -> web.StreamResponse:
        items = await self._items(self._channel(request), await self._owners(request))
        return web.Response(
            body=msgspec.json.encode({"messages": [_public(item) for item in items]}),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        channel, owners = self._channel(request), await self._owners(request)
        names = [live_channel(self._prefix, channel, owner) for owner in owners]
        queue = self.feed.listen(names)
        if queue is None:
            raise _RefusedError(429, "too-many-listeners", "too many streams are open; poll instead")
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
                # No cookie is ever read here, so any page may listen that holds the identifier or a token.
                "Access-Control-Allow-Origin": "*",
            }
        )
        try:
            await response.prepare(request)
            await self._tell(response, queue, channel, owners)
        except ConnectionError:
            pass  # the listener went away, as they all do in the end
        finally:
            self.feed.forget(queue, names)
        return response

    async def _tell(
        self, response: web.StreamResponse, queue: asyncio.Queue[bytes | None], channel: str, owners: list[str]
    ) -> None:
        """Send what is there, then what comes. Listening began before reading: nothing falls between."""
        told: set[str] = set()
        waiting: bytes | None = None
        while True:
            items = [decode(waiting)] if waiting is not None else (await self._items(channel, owners))[::-1]
            for item in items:
                if item.id not in told:
                    told.add(item.id)
                    await response.write(
                        b"id: %s\nevent: message\ndata: %s\n\n" % (item.id.encode(), msgspec.json.encode(_public(item)))
                    )
            waiting = await self._next(response, queue)

    async def _next(self, response: web.StreamResponse, queue: asyncio.Queue[bytes | None]) -> bytes | None:
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    return await queue.get()
            except TimeoutError:
                await response.write(b": still here\n\n")

    async def tell_outcome(self, request: web.Request) -> web.StreamResponse:
        event, action_id = request.match_info["event"], request.match_info["action_id"]
        if event not in EVENTS:
            raise _RefusedError(400, "bad-event", f"event must be one of {', '.join(sorted(EVENTS))}")
        channel, owners = self._channel(request), await self._owners(request)
        owner, item = await self._find(channel, owners, action_id)
        wall_ms = time.time_ns() // 1_000_000
        signal = outcome_signal(
            action_id=item.id,
            action=item.action,
            channel=channel,
            customer=bytes.fromhex(item.customer),
            event=event,
            occurred_at_ms=item.now_ms(wall_ms),
            received_at_ms=wall_ms,
        )
        await request.app[WRITER].outcome(signal, bytes.fromhex(item.customer))
        if event == "dismissed":
            index, bodies = keys_of(self._prefix, channel, owner)
            await self._redis.zrem(index, item.id)
            await self._redis.hdel(bodies, item.id)
        return web.json_response({"ok": True})

    async def _find(self, channel: str, owners: list[str], action_id: str) -> tuple[str, Item]:
        for owner in owners:
            raw = await self._redis.hget(keys_of(self._prefix, channel, owner)[1], action_id[:200])
            if raw is not None:
                return owner, decode(raw)
        raise _RefusedError(404, "not-found", "no such message in this inbox")


class _RefusedError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.response = refuse(status, code, message)


def _public(item: Item) -> dict[str, Any]:
    """Leave out what concerns only us: the customer's node and the clocks' relation."""
    return {
        "id": item.id,
        "action": item.action,
        "treatment": item.treatment,
        "language": item.language,
        "title": item.title,
        "body": item.body,
        "params": item.params,
        "decided_at_ms": item.decided_at_ms,
        "expires_at_ms": item.expires_at_ms,
    }


def _answering(handler: Any) -> Any:
    """Turn our refusals, a Redis that is away and a broker that is silent into answers."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            response: web.StreamResponse = await handler(request)
        except _RefusedError as exc:
            return exc.response
        except (RedisError, WriteError) as exc:
            log.warning("inbox not answered", error=type(exc).__name__)
            response = refuse(503, "try-again", "the inbox cannot be reached now")
            response.headers["Retry-After"] = "5"
        return response

    return handle


def add_routes(app: web.Application, *, settings: Settings, redis: "Redis") -> None:
    """Add the inbox's routes, and those of the links in messages, to an application.

    Parameters
    ----------
    redis : decode_responses=False

    Raises
    ------
    SettingsError
        when SADA_NODE_KEY or SADA_INBOX_SECRET is not set
    """
    doors = _Doors(settings, redis)
    give_writer(app, settings)

    async def feeding(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(doors.feed.run())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    app.cleanup_ctx.append(feeding)
    app.router.add_get("/v1/inbox/{kind}/{value}", _answering(doors.poll))
    app.router.add_get("/v1/inbox/{kind}/{value}/stream", _answering(doors.stream))
    app.router.add_post("/v1/inbox/{kind}/{value}/{action_id}/{event}", _answering(doors.tell_outcome))
    tracking_http.add_routes(app, settings=settings)
