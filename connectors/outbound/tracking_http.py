"""The links in messages: the picture of an opening, the way through a click, and unsubscribing.

::

    GET  /t/o/{token}.gif    opened
    GET  /t/c/{token}        clicked, then to where the message pointed
    GET  /t/u/{token}        asks; scanners of links fetch every URL, so a GET changes nothing
    POST /t/u/{token}        unsubscribes at once (RFC 8058)
"""

import base64
import html
import time

import structlog
from aiohttp import web

from connectors.outbound.delivery import stream_now_ms
from connectors.outbound.outcomes import SOURCE, WRITER, WriteError, give_writer, outcome_id, outcome_signal
from connectors.outbound.tracking import Token, TokenError, tracking_key, unseal
from schemas.views import Signal
from streams.settings import Settings

_PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_NO_STORE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}
_PAGE_HEADERS = {
    **_NO_STORE,
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
}
_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="robots" content="noindex">'
    "<title>{title}</title></head><body><h1>{title}</h1>{rest}</body></html>"
)
_ASK = '<form method="post"><button>Unsubscribe</button></form>'

_HAS_ROUTES: web.AppKey[bool] = web.AppKey("tracking_routes", bool)

log = structlog.get_logger("tracking")


def _page(title: str, rest: str = "", status: int = 200) -> web.Response:
    return web.Response(
        text=_PAGE.format(title=html.escape(title), rest=rest),
        content_type="text/html",
        status=status,
        headers=_PAGE_HEADERS,
    )


def signals_of(token: Token, wall_ms: int) -> list[Signal]:
    """Return what a token says as signals: the outcome, and for unsubscribing the consent withdrawn."""
    event = {"o": "opened", "c": "clicked", "u": "unsubscribed"}[token.kind]
    at_ms = stream_now_ms(token.decided_at_ms, token.recorded_at_ms, wall_ms)
    outcome = outcome_signal(
        action_id=token.action_id,
        action=token.action,
        channel=token.channel,
        customer=token.customer,
        event=event,
        occurred_at_ms=at_ms,
        received_at_ms=wall_ms,
        detail=f"link {token.link}" if token.kind == "c" else None,
        part=str(token.link) if token.kind == "c" else "",
    )
    if token.kind != "u":
        return [outcome]
    consent: Signal = {
        "id": outcome_id(token.action_id, "consent-withdrawn"),
        "kind": "consent",
        "name": "unsubscribed",
        "channel": "outcome",
        "source": SOURCE,
        "identifiers": [{"kind": "customer_id", "value": token.customer.hex()}],
        "occurred_at_ms": at_ms,
        "received_at_ms": wall_ms,
        "consent": {
            "purpose": token.purpose,
            "channel": token.channel,
            "granted": False,
            "proof": f"link in message {token.action_id}",
        },
        "context": {"extra": {}},
    }
    return [outcome, consent]


class _Doors:
    def __init__(self, settings: Settings) -> None:
        self._key = tracking_key(settings.secret("inbox_secret"))

    def _token(self, request: web.Request, kind: str) -> Token | None:
        try:
            token = unseal(self._key, request.match_info["token"])
        except TokenError:
            return None
        return token if token.kind == kind else None

    async def _write(self, request: web.Request, token: Token) -> bool:
        """Write what the token says; False when the broker did not take it."""
        wall_ms = time.time_ns() // 1_000_000
        try:
            for signal in signals_of(token, wall_ms):
                await request.app[WRITER].outcome(signal, token.customer)
        except WriteError as exc:
            log.warning("not written", kind=token.kind, error=str(exc))
            return False
        return True

    async def opened(self, request: web.Request) -> web.Response:
        token = self._token(request, "o")
        if token is None:
            return web.Response(status=404, headers=_NO_STORE)
        if request.method != "HEAD" and not await self._write(request, token):
            return web.Response(status=503, headers=_NO_STORE)
        return web.Response(body=_PIXEL, content_type="image/gif", headers=_NO_STORE)

    async def clicked(self, request: web.Request) -> web.Response:
        token = self._token(request, "c")
        if token is None or not token.target.startswith(("https://", "http://")):
            return _page("This link is not valid", status=404)
        if request.method != "HEAD":
            await self._write(request, token)  # a click that cannot be recorded must still lead on
        return web.Response(status=302, headers={**_NO_STORE, "Location": token.target})

    async def ask(self, request: web.Request) -> web.Response:
        if self._token(request, "u") is None:
            return _page("This link is not valid", status=404)
        return _page("Unsubscribe from these messages?", _ASK)

    async def unsubscribe(self, request: web.Request) -> web.Response:
        token = self._token(request, "u")
        if token is None:
            return _page("This link is not valid", status=404)
        if not await self._write(request, token):
            return _page("Please try again in a minute", status=503)
        return _page("You are unsubscribed")


def add_routes(app: web.Application, *, settings: Settings) -> None:
    """Add the routes of links to an application; twice is once.

    Raises
    ------
    SettingsError
        when SADA_INBOX_SECRET is not set
    """
    if _HAS_ROUTES in app:
        return
    app[_HAS_ROUTES] = True
    doors = _Doors(settings)
    give_writer(app, settings)
    app.router.add_get("/t/o/{token}.gif", doors.opened)
    app.router.add_get("/t/c/{token}", doors.clicked)
    app.router.add_get("/t/u/{token}", doors.ask, allow_head=False)
    app.router.add_post("/t/u/{token}", doors.unsubscribe)
