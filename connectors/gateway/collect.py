"""The collection API: what Segment's and RudderStack's SDKs call, each in its own way (facts: their sources).

200 is said only after the broker acknowledged. An item that cannot be a signal becomes a dead letter and costs the
others nothing: the answer lists it. A request of which nothing could be taken is answered 400, so that no SDK
believes it delivered; strict senders are answered 400 as soon as one item is refused.
"""

import base64
import binascii
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

from aiohttp import web

from connectors.gateway import body as bodies
from connectors.gateway.accept import Acceptance, Origin, Parse, Refused
from connectors.gateway.access import Access
from connectors.gateway.keys import Key
from connectors.gateway.producer import UnavailableError
from connectors.gateway.refusal import Refusal, answer, unavailable
from connectors.inbound.fields import PayloadError, mapping, moment_ms, text
from connectors.inbound.segment import Arrival, parse
from connectors.inbound.signal_json import parse as parse_signal

# Segment takes 2,500 events a batch; Rudder's limit is its body's size alone. This bounds the time of one request.
MAX_ITEMS = 10_000

# Refused items listed in an answer; the dead letters have them all.
_LISTED = 100

_OK = {"success": True}

# A transparent pixel, 43 bytes: the smallest GIF there is.
_PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")

# One message: path → its type. The short ones are analytics-next's.
SINGLE: Mapping[str, str] = {
    "/v1/identify": "identify",
    "/v1/track": "track",
    "/v1/page": "page",
    "/v1/screen": "screen",
    "/v1/group": "group",
    "/v1/alias": "alias",
    "/v1/merge": "merge",
    "/v1/i": "identify",
    "/v1/t": "track",
    "/v1/p": "page",
    "/v1/s": "screen",
    "/v1/g": "group",
    "/v1/a": "alias",
}
BATCH = ("/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch")
PIXELS: Mapping[str, str] = {"/pixel/v1/track": "track", "/pixel/v1/page": "page"}

# Oversize is 413 for Rudder, whose SDKs drop it, and 400 for Segment, whose own API says so; nobody tries again.
_RUDDER = frozenset({"/v1/import", "/v1/merge", "/v1/webhook", "/beacon/v1/batch"})


class Collector:
    """The handlers of the collection API."""

    def __init__(self, access: Access, acceptance: Acceptance) -> None:
        self._access = access
        self._acceptance = acceptance

    def add_routes(self, app: web.Application) -> None:
        """Add every path, with and without a trailing slash: a redirect would count as delivered."""
        for path, kind in SINGLE.items():
            self._post(app, path, self._single(kind))
        for path in BATCH:
            self._post(app, path, self._batch)
        self._post(app, "/v1/webhook", self._signals)
        for path, kind in PIXELS.items():
            app.router.add_get(path, self._pixel(kind))

    @staticmethod
    def _post(app: web.Application, path: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        app.router.add_post(path, handler)
        app.router.add_post(f"{path}/", handler)

    def _single(self, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            content, raw, key = await self._open(request)
            return await self._accept(request, [content], kind, self._origin(request, content, key), len(raw))

        return handle

    async def _batch(self, request: web.Request) -> web.Response:
        content, raw, key = await self._open(request)
        items = content.get("batch")
        if not isinstance(items, list):
            await self._lost(raw, "missing-field", "batch is missing or not a list", request, key)
        if len(items) > MAX_ITEMS:
            await self._lost(raw, "too-large", f"{len(items)} events; at most {MAX_ITEMS} are taken", request, key)
        return await self._accept(request, items, None, self._origin(request, content, key), len(raw))

    async def _signals(self, request: web.Request) -> web.Response:
        """Take our own form of a signal, one or a list."""
        content, raw, key = await self._open(request, object_only=False)
        items = content if isinstance(content, list) else [content]
        if len(items) > MAX_ITEMS:
            await self._lost(raw, "too-large", f"{len(items)} signals; at most {MAX_ITEMS} are taken", request, key)
        return await self._accept(request, items, None, self._origin(request, {}, key), len(raw), reader=parse_signal)

    def _pixel(self, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            key = self._access.passed(self._access.key_of(request), "collect", request)
            content: dict[str, Any] = {name: value for name, value in request.query.items() if name != "writeKey"}
            nested = content.pop("data", None)
            if nested is not None:
                content = {**content, **mapping(bodies.parsed(_plain(nested)))}
            await self._accept(request, [content], kind, self._origin(request, content, key), 0)
            return web.Response(body=_PIXEL, content_type="image/gif", headers={"Cache-Control": "no-store"})

        return handle

    async def _open(self, request: web.Request, *, object_only: bool = True) -> tuple[Any, bytes, Key]:
        """Read, authenticate and parse a request; what an authenticated sender got wrong becomes a dead letter."""
        access = self._access
        access.check_address(access.address(request))
        key = access.key_of(request)
        if key is not None or ("Authorization" in request.headers and not _bearer(request)):
            key = access.passed(key, "collect", request)
        try:
            raw = await bodies.read(request)
        except Refusal as refusal:
            if key is not None and refusal.code != "slow-body":
                await self._keep(b"", refusal, request, key)
            if refusal.status == 413 and request.path.rstrip("/") not in _RUDDER:
                refusal.status = 400
            raise
        try:
            content = bodies.parsed(raw)
        except Refusal as refusal:
            if key is not None:
                await self._keep(raw, refusal, request, key)
            raise
        if not isinstance(content, dict) and (object_only or not isinstance(content, list)):
            wrong = Refusal(400, "bad-json", "the body is not a JSON object")
            if key is not None:
                await self._keep(raw, wrong, request, key)
            raise wrong
        if key is None:
            key = access.passed(access.key_of(request, mapping(content)), "collect", request)
        return content, raw, key

    async def _lost(self, raw: bytes, code: str, message: str, request: web.Request, key: Key) -> NoReturn:
        refusal = Refusal(400, code, message)
        await self._keep(raw, refusal, request, key)
        raise refusal

    async def _keep(self, raw: bytes, refusal: Refusal, request: web.Request, key: Key) -> None:
        """Keep what an authenticated sender got wrong, and count it."""
        try:
            await self._acceptance.dead(raw, refusal.code, refusal.message, self._origin(request, {}, key))
        except UnavailableError as error:
            raise unavailable(f"nothing was kept, send again: {error}") from error

    def _origin(self, request: web.Request, content: Mapping[str, Any], key: Key) -> Origin:
        try:
            sent = moment_ms(content.get("sentAt"), "sentAt")
        except PayloadError:
            sent = None  # without it the clock is not corrected; each item's own sentAt is still looked at
        arrival = Arrival(
            time.time_ns() // 1_000_000,
            sent,
            self._access.address(request) or None,
            text(request.headers.get("User-Agent"), 500),
            mapping(content.get("context")) if "batch" in content else {},
        )
        return Origin(request.path, key, arrival)

    async def _accept(
        self,
        request: web.Request,
        items: list[Any],
        kind: str | None,
        origin: Origin,
        size: int,
        *,
        reader: Parse = parse,
    ) -> web.Response:
        key = origin.key
        self._access.check_events(key, len(items))
        try:
            report = await self._acceptance.items(
                items, kind, origin, measure=size > key.max_event_bytes, reader=reader
            )
        except UnavailableError as error:
            raise unavailable(f"nothing is lost if you send again: {error}") from error
        if not report.refused:
            return answer(_OK)
        listed = {"accepted": report.accepted, "refused": [_line(item) for item in report.refused[:_LISTED]]}
        strict = key.strict or request.headers.get("Sada-Strict", "").casefold() in {"1", "true"}
        if strict or not report.accepted:
            first = report.refused[0]
            code = first.code if len(items) == 1 else "invalid"
            message = f"{len(report.refused)} of {len(items)} refused; item {first.position}: {first.message}"
            raise Refusal(400, code, message, more=listed)
        return answer({**_OK, **listed})


def _line(item: Refused) -> dict[str, Any]:
    return {"index": item.position, "code": item.code, "message": item.message}


def _bearer(request: web.Request) -> bool:
    return request.headers.get("Authorization", "").casefold().startswith("bearer ")


def _plain(encoded: str) -> bytes:
    """Return a pixel's ``data``: JSON, or JSON in base64."""
    if encoded.lstrip().startswith("{"):
        return encoded.encode()
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(400, "bad-json", "data is neither JSON nor JSON in base64") from None
