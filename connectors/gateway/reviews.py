"""The review queue's API: who may be one person, and an operator's answer. Only operators look and answer."""

import time
import uuid
from typing import Any

import orjson
import structlog
from aiohttp import web
from redis import RedisError

from connectors.gateway.access import Access
from connectors.gateway.body import parsed, read
from connectors.gateway.customers import Lookup
from connectors.gateway.producer import Outgoing, SignalProducer, UnavailableError
from connectors.gateway.refusal import Refusal, private, unavailable
from connectors.operate.reviews import Review, is_id, review_of, ruling_of, standing, told
from connectors.operate.rulings import Ruling, RulingError, to_kafka
from connectors.serve.keys import ViewKeys
from schemas.codecs import Codecs

_log = structlog.get_logger(__name__)

# Questions of one page, and the most that are asked for at once: each is two profiles of some 10 KB.
PAGE, MOST = 20, 100

_FIELDS = frozenset({"same", "reason"})


class Queue:
    """Open questions, and answers to them: for the API and the desk.

    Parameters
    ----------
    client : of Redis
    keys : names in Redis
    lookup : of profiles
    producer : of the gateway: acks=all
    codecs : of the topics
    """

    def __init__(self, client: Any, keys: ViewKeys, lookup: Lookup, producer: SignalProducer, codecs: Codecs) -> None:
        self._redis = client
        self._keys = keys
        self._lookup = lookup
        self._producer = producer
        self._codecs = codecs

    async def most_probable(self, limit: int, skip: int = 0) -> tuple[list[Review], int]:
        """Return questions, the most probable first, and how many there are in all.

        What is settled but not yet out of the view is passed over, so there may be fewer than ``limit``.

        Raises
        ------
        Refusal
            503 when Redis is away
        """
        try:
            ids = await self._redis.zrevrange(self._keys.matches, skip, skip + limit - 1)
            total: int = await self._redis.zcard(self._keys.matches)
        except RedisError as error:
            raise unavailable("the view is away for a moment") from error
        return await self._of([id_.decode() for id_ in ids]), total

    async def concerning(self, nodes: list[str]) -> list[Review]:
        """Return the questions on a customer, by its nodes in hex.

        Raises
        ------
        Refusal
            503 when Redis is away
        """
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for node in nodes:
                    pipe.zrevrange(self._keys.alike(node), 0, PAGE - 1)
                found = await pipe.execute()
        except RedisError as error:
            raise unavailable("the view is away for a moment") from error
        return await self._of(list(dict.fromkeys(id_.decode() for ids in found for id_ in ids))[:PAGE])

    async def one(self, id_: str) -> tuple[dict[str, Any], Review] | None:
        """Return an open pair and its question, None when it is settled or never was.

        Raises
        ------
        Refusal
            503 when Redis is away
        """
        try:
            raw = await self._redis.get(self._keys.match(id_))
        except RedisError as error:
            raise unavailable("the view is away for a moment") from error
        if raw is None:
            return None
        match: dict[str, Any] = orjson.loads(raw)
        sides = [await self._lookup.by_node(bytes.fromhex(match[side])) for side in ("node", "other")]
        if not standing(*sides) or sides[0] is None or sides[1] is None:
            return None
        return match, review_of(match, sides[0], sides[1])

    async def _of(self, ids: list[str]) -> list[Review]:
        found = [await self.one(id_) for id_ in ids]
        return [each[1] for each in found if each is not None]

    async def answer(self, id_: str, *, same: bool, reason: str, by: str) -> Ruling:
        """Make a ruling of an answer and return it when Kafka has it.

        Raises
        ------
        RulingError
            bad-reason, personal-reason
        Refusal
            404 when the question is none any more, 503 when Kafka or Redis is away
        """
        found = await self.one(id_)
        if found is None:
            raise Refusal(404, "not-found", "this question is settled already, or never was")
        ruling = ruling_of(
            found[0], same=same, reason=reason, by=by, id_=uuid.uuid4().hex, at_ms=time.time_ns() // 1_000_000
        )
        try:
            await self._producer.send([Outgoing(*to_kafka(self._codecs, ruling))])
        except UnavailableError as error:
            raise unavailable("the answer may not have been kept: look at the queue first") from error
        _log.info("review answered", id=ruling.id, pair=id_, same=same, by=by)
        await self._lookup.note_ruling(ruling.record())
        await self._take_out(id_)
        return ruling

    async def _take_out(self, id_: str) -> None:
        """Ask it no more, before the word of the worker: that comes within a second, and a person is faster."""
        try:
            await self._redis.zrem(self._keys.matches, id_)
        except RedisError as error:
            _log.warning("the answered question is still in the queue", pair=id_, reason=type(error).__name__)


class Reviews:
    """The handlers."""

    def __init__(self, access: Access, queue: Queue) -> None:
        self._access = access
        self._queue = queue

    def add_routes(self, app: web.Application) -> None:
        """Add the paths."""
        app.router.add_get("/v1/identity/reviews", self._list)
        app.router.add_get("/v1/identity/reviews/{id}", self._one)
        app.router.add_post("/v1/identity/reviews/{id}", self._answer)

    async def _list(self, request: web.Request) -> web.Response:
        """Tell open questions, the most probable first."""
        self._access.admitted(request, "rule")
        limit, skip = (_number(request, name, *bounds) for name, bounds in _BOUNDS.items())
        reviews, total = await self._queue.most_probable(limit, skip)
        return private({"reviews": [told(each) for each in reviews], "total": total})

    async def _one(self, request: web.Request) -> web.Response:
        self._access.admitted(request, "rule")
        found = await self._queue.one(_id(request))
        if found is None:
            raise Refusal(404, "not-found", "this question is settled already, or never was")
        return private(told(found[1]))

    async def _answer(self, request: web.Request) -> web.Response:
        """Take an answer: 202 when Kafka has it; what comes of it is told at ``status``."""
        key = self._access.admitted(request, "rule")
        id_ = _id(request)
        body = parsed(await read(request))
        if not isinstance(body, dict) or set(body) != _FIELDS or not isinstance(body["same"], bool):
            raise Refusal(400, "bad-answer", 'an answer is {"same": true or false, "reason": "why"}')
        if not isinstance(body["reason"], str):
            raise Refusal(400, "bad-reason", "reason is a text: say why")
        try:
            ruling = await self._queue.answer(id_, same=body["same"], reason=body["reason"], by=key.name)
        except RulingError as error:
            raise Refusal(400, error.code, str(error)) from None
        status = f"/v1/identity/rulings/{ruling.id}"
        return private({"id": ruling.id, "status": status}, status=202, Location=status)


# Of a list: default, least and most.
_BOUNDS = {"limit": (PAGE, 1, MOST), "skip": (0, 0, 1_000_000)}


def _number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and least <= int(text) <= most):
        raise Refusal(400, "bad-number", f"{name} is a whole number from {least} to {most}")
    return int(text)


def _id(request: web.Request) -> str:
    id_ = request.match_info["id"]
    if not is_id(id_):
        raise Refusal(400, "bad-review-id", "a review's id has 32 hexadecimal digits in small letters")
    return id_
