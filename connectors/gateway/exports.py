"""All that is held on a person, through the API: asked for here, made by `sada serve`, fetched here within the hour.

The gateway reads no topics: it faces the world, and its Kafka user may only write. It draws the key under which the
document waits, and tells it to nobody but who asked, in the address to come back to.
"""

import asyncio
import hmac
import os
import time
from typing import Any

import redis.asyncio
import structlog
from aiohttp import web
from redis import RedisError

from connectors.gateway.access import Access
from connectors.gateway.body import read
from connectors.gateway.customers import Lookup
from connectors.gateway.privacy import body_of
from connectors.gateway.refusal import JSON_TYPE, Refusal, private, unavailable
from connectors.privacy.jobs import ASK, FAILED, LASTS_S, MADE, MOST_WAITING, WAITING, Job, JobKeys, job_of
from connectors.privacy.seal import KEY_BYTES, check_of, opened, wrapper
from schemas.identifiers import NODE_BYTES

_log = structlog.get_logger(__name__)

_AWAY = "the view is away for a moment"
_NOT_THERE = "no export waits here: it is kept for an hour, and another request for the same customer takes its place"


class Exports:
    """The handlers.

    Parameters
    ----------
    lookup : of profiles
    client, keys : where exports wait
    node_key : the deployment's
    """

    def __init__(
        self, access: Access, lookup: Lookup, client: "redis.asyncio.Redis", keys: JobKeys, node_key: bytes
    ) -> None:
        self._access = access
        self._lookup = lookup
        self._redis = client
        self._keys = keys
        self._wrapper = wrapper(node_key)
        self._ask_for = client.register_script(ASK)

    def add_routes(self, app: web.Application) -> None:
        """Add the paths."""
        app.router.add_post("/v1/privacy/exports", self._ask)
        app.router.add_get("/v1/privacy/exports/{address}", self._fetch)

    async def _ask(self, request: web.Request) -> web.Response:
        """Have an export made: 202 with the address to come back to."""
        by = self._access.admitted(request, "privacy")
        body = body_of(await read(request), {"identifier"})
        profile = await self._lookup.by_node(self._lookup.named(body.get("identifier"), "identifier"))
        if profile is None:
            raise Refusal(404, "not-found", "no customer is known by this")
        node, key = bytes.fromhex(profile["customer"]), os.urandom(KEY_BYTES)
        try:
            await self._put(node, key)
        except RedisError as error:
            raise unavailable(_AWAY) from error
        _log.info("export asked for", by=by.name)
        address = f"/v1/privacy/exports/{node.hex()}.{key.hex()}"
        return private({"state": WAITING, "address": address, "kept_s": LASTS_S}, status=202, Location=address)

    async def _put(self, node: bytes, key: bytes) -> None:
        """Ask for an export; counted and asked for at once, so that many who ask together are not too many."""
        keys = self._keys
        fields = ("check", check_of(key), "key", self._wrapper.wrap(key), "state", WAITING)
        asked = await self._ask_for(
            keys=[keys.job(node), keys.made(node), keys.waiting],
            args=[node.hex(), time.time(), MOST_WAITING, LASTS_S, *fields],
        )
        if not asked:
            raise Refusal(429, "rate-limited", f"{MOST_WAITING} exports wait already: ask later", retry_after_s=60)

    async def _fetch(self, request: web.Request) -> web.Response:
        """Return an export, or how far it is."""
        by = self._access.admitted(request, "privacy")
        node, key = _parts(request.match_info["address"])
        if await self._lookup.by_node(node) is None:  # 410 when the customer has been erased meanwhile
            raise Refusal(404, "not-found", _NOT_THERE)
        try:
            fields: Any = await self._redis.hgetall(self._keys.job(node))
            job = job_of(fields)
            if job is None or not hmac.compare_digest(job.check, check_of(key)):
                raise Refusal(404, "not-found", _NOT_THERE)
            if job.state != MADE:
                return private(_progress(job))
            raw: Any = await self._redis.get(self._keys.made(node))
        except RedisError as error:
            raise unavailable(_AWAY) from error
        document = None if raw is None else await asyncio.to_thread(opened, raw, key, node)
        if document is None:
            raise Refusal(404, "not-found", _NOT_THERE)
        _log.info("export given", by=by.name)
        return web.Response(body=document, content_type=JSON_TYPE, headers={"Cache-Control": "no-store"})


def _progress(job: Job) -> dict[str, Any]:
    """Return how far an export is."""
    found: dict[str, Any] = {"state": job.state, "records_read": job.done, "records": job.of}
    if job.reason:
        found["reason"] = job.reason
    if job.state == FAILED:
        found["message"] = "it was not made: mend what the reason says and ask again, or use `sada privacy export`"
    return found


def _parts(address: str) -> tuple[bytes, bytes]:
    """Return node and key of an address."""
    node, _, key = address.partition(".")
    try:
        parts = bytes.fromhex(node), bytes.fromhex(key)
    except ValueError:
        parts = b"", b""
    if (len(parts[0]), len(parts[1])) != (NODE_BYTES, KEY_BYTES):
        raise Refusal(404, "not-found", _NOT_THERE)
    return parts
