"""The gateway's composition: its doors, and what surrounds each of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from typing import Any, Protocol

import structlog
from aiohttp import web
from prometheus_client import Counter, Histogram

from connectors.gateway.access import Access
from connectors.gateway.body import MAX_BODY
from connectors.gateway.metrics import ANSWERS, SECONDS
from connectors.gateway.refusal import Refusal

_log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Headers that browser SDKs send; a preflight asks for them.
_CORS_HEADERS = "Authorization, Content-Type, Content-Encoding, AnonymousId, X-Retry-Count, Sada-Strict"
# How long a browser may remember a preflight, in seconds: RudderStack's own value.
_CORS_MAX_AGE_S = "900"


def around(access: Access) -> Any:
    """Return the middleware around every door: errors become JSON, pages of allowed origins may read the answer."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        start = time.perf_counter()
        origin = request.headers.get("Origin")
        if request.method == "OPTIONS":
            return _preflight(access, origin)
        try:
            response = await handler(request)
        except Refusal as refusal:
            response = refusal.response()
        except web.HTTPException as error:
            if error.status < 400:
                raise
            response = Refusal(error.status, *_WORDS.get(error.status, ("refused", error.reason))).response()
        except Exception:  # noqa: BLE001 - the last line of defence: logged whole, told to nobody
            _log.exception("request failed", door=_door(request))
            response = Refusal(500, "internal", "something went wrong here; it is logged").response()
        if origin is not None and access.allows(origin):
            _allow(response, origin)
        answers, seconds = _meters(_door(request), response.status)
        answers.inc()
        seconds.observe(time.perf_counter() - start)
        return response

    return middleware


_WORDS = {
    404: ("not-found", "there is nothing at this path"),
    405: ("method-not-allowed", "this path takes another method"),
    413: ("too-large", "the request is too large"),
}


@cache
def _meters(door: str, status: int) -> tuple[Counter, Histogram]:
    """Return a door's metrics; looking labels up for every request would cost as much as parsing it."""
    return ANSWERS.labels(door, status), SECONDS.labels(door)


def _door(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "none" if resource is None else resource.canonical


def _preflight(access: Access, origin: str | None) -> web.Response:
    if origin is None or not access.allows(origin):
        return Refusal(403, "origin-not-allowed", "no key may be used by pages of this origin").response()
    response = web.Response(status=204)
    _allow(response, origin)
    response.headers["Access-Control-Allow-Methods"] = "GET, POST"
    response.headers["Access-Control-Allow-Headers"] = _CORS_HEADERS
    response.headers["Access-Control-Max-Age"] = _CORS_MAX_AGE_S
    return response


def _allow(response: web.StreamResponse, origin: str) -> None:
    if response.prepared:
        return  # a stream has sent its headers already
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Allow-Credentials"] = "true"
    response.headers["Access-Control-Expose-Headers"] = "Retry-After"
    response.headers["Vary"] = "Origin"


class Doors(Protocol):
    """Something with paths."""

    def add_routes(self, app: web.Application) -> None:
        """Add the paths."""
        ...


def build(access: Access, doors: Iterable[Doors]) -> web.Application:
    """Return the application with these doors."""
    app = web.Application(middlewares=[around(access)], client_max_size=MAX_BODY)
    for door in doors:
        door.add_routes(app)

    async def background(_: web.Application) -> Any:
        task = asyncio.create_task(access.keep_fresh())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    app.cleanup_ctx.append(background)
    return app
