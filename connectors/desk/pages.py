"""The pages of the desk: server-rendered, escaped, with no script or style inside; identifiers never in addresses."""

import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jinja2
from aiohttp import web

from connectors.desk import related
from connectors.desk.locale import LANGUAGES, Language, Locale, zone_of
from connectors.desk.perhaps import others
from connectors.desk.present import name_of, page
from connectors.desk.session import COOKIE, LASTS_S, Sessions
from connectors.gateway.access import Access
from connectors.gateway.customers import Lookup, node_of
from connectors.gateway.keys import Key
from connectors.gateway.refusal import Refusal
from connectors.gateway.reviews import Queue
from connectors.operate.told import rulings_of
from schemas.identifiers import NODE_BYTES, IdentifierError

_HERE = Path(__file__).parent

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

# Nothing from elsewhere, nothing inside the page; nobody may frame it.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    # Not no-referrer: with it a form's Origin is null, and forms of other sites could not be told apart.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_YEAR_S = 365 * 86_400

_Handler = Callable[[web.Request], Awaitable[web.Response]]


class Desk:
    """The handlers.

    Parameters
    ----------
    access : keys and rates
    lookup : profiles
    queue : who may be the same person
    secret : signs sessions
    secure : the world reaches us over TLS only: the cookie says so
    """

    def __init__(self, access: Access, lookup: Lookup, queue: Queue, *, secret: bytes, secure: bool) -> None:
        self._access = access
        self._queue = queue
        self._lookup = lookup
        # Kinds tried for a text that is neither an address nor a number, strongest first.
        self._tried = tuple(kind for kind in lookup.kinds if kind not in {"email", "phone"})
        self._sessions = Sessions(secret)
        self._secure = secure
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._files = {path.name: path.read_bytes() for path in (_HERE / "static").iterdir()}

    def add_routes(self, app: web.Application) -> None:
        """Add the paths."""
        router = app.router
        router.add_get("/desk/static/{name}", self._static)
        router.add_get("/desk/login", self._login_page)
        router.add_post("/desk/login", self._login)
        router.add_post("/desk/logout", self._logout)
        for path in ("/desk", "/desk/"):
            router.add_get(path, self._signed_in(self._search_page))
        router.add_post("/desk/search", self._signed_in(self._search))
        router.add_get("/desk/customers/{hex}", self._signed_in(self._customer))
        router.add_get("/desk/customers/{hex}/live", self._signed_in(self._live))

    def _signed_in(self, handler: _Handler) -> _Handler:
        async def handle(request: web.Request) -> web.Response:
            self._access.check_address(self._access.address(request))
            if self._key(request) is None:
                raise web.HTTPSeeOther("/desk/login", headers=_HEADERS)
            if request.method == "POST":
                _check_origin(request)
            return await handler(request)

        return handle

    def _key(self, request: web.Request) -> Key | None:
        """Return the key of the session, or of the header of a program, while it is live and may open the desk."""
        found = self._access.key_of(request)
        if found is None and (cookie := request.cookies.get(COOKIE)):
            key_hash = self._sessions.key_hash(cookie)
            found = None if key_hash is None else self._access.ring.by_hash(key_hash)
        return found if found is not None and found.may("desk") else None

    async def _static(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        content = self._files.get(name)
        if content is None:
            raise Refusal(404, "not-found", "there is nothing at this path")
        headers = {**_HEADERS, "Cache-Control": "max-age=300"}
        return web.Response(body=content, content_type=_TYPES[Path(name).suffix], charset="utf-8", headers=headers)

    async def _login_page(self, request: web.Request) -> web.Response:
        return self._render(request, "login.html", signed_in=False, wrong=False)

    async def _login(self, request: web.Request) -> web.Response:
        _check_origin(request)
        self._access.check_address(self._access.address(request))
        form = await request.post()
        text = form.get("key")
        key = self._access.ring.find(text) if isinstance(text, str) and len(text) <= 256 else None
        try:
            self._access.passed(key, "desk", request)
        except Refusal as refusal:
            return self._render(request, "login.html", status=refusal.status, signed_in=False, wrong=True)
        assert key is not None  # noqa: S101 - passed() lets nobody else through
        response = web.Response(status=303, headers={**_HEADERS, "Location": "/desk"})
        response.set_cookie(
            COOKIE,
            self._sessions.issue(key.hash),
            max_age=LASTS_S,
            path="/desk",
            httponly=True,
            samesite="Strict",
            secure=self._secure,
        )
        return response

    async def _logout(self, request: web.Request) -> web.Response:
        _check_origin(request)
        response = web.Response(status=303, headers={**_HEADERS, "Location": "/desk/login"})
        response.del_cookie(COOKIE, path="/desk")
        return response

    async def _search_page(self, request: web.Request) -> web.Response:
        return self._render(request, "search.html", focus=True, message="")

    async def _search(self, request: web.Request) -> web.Response:
        form = await request.post()
        text = form.get("q")
        try:
            profile = await self._find(text.strip() if isinstance(text, str) else "")
        except Refusal as refusal:
            return self._render(request, "search.html", status=refusal.status, focus=True, message=_why(refusal))
        if profile is None:
            return self._render(request, "search.html", status=404, focus=True, message="nobody")
        headers = {**_HEADERS, "Location": f"/desk/customers/{profile['customer']}"}
        return web.Response(status=303, headers=headers)

    async def _find(self, text: str) -> dict[str, Any] | None:
        """Return the profile of whoever a text names, as the first kind of identifier that fits."""
        kinds = ["email"] if "@" in text else ["phone", *self._tried]
        if len(text) == 2 * NODE_BYTES and (found := await self._by_hex(text)):
            return found
        for kind in kinds:
            try:
                found = await self._lookup.by_identifier(kind, text)
            except IdentifierError:
                continue
            if found is not None:
                return found
        return None

    async def _by_hex(self, text: str) -> dict[str, Any] | None:
        try:
            return await self._lookup.by_node(node_of(text))
        except Refusal as refusal:
            if refusal.status == 400:
                return None
            raise

    async def _customer(self, request: web.Request) -> web.Response:
        try:
            profile = await self._lookup.by_node(node_of(request.match_info["hex"]))
        except Refusal as refusal:
            if refusal.status == 400:
                raise
            return self._render(request, "search.html", status=refusal.status, focus=False, message=_why(refusal))
        if profile is None:
            return self._render(request, "search.html", status=404, focus=True, message="nobody")
        shown = page(profile, self._locale(request), await self._rulings(profile))
        shown["perhaps"] = await self._perhaps(request, profile)
        shown["related"] = await self._related(request, profile)
        return self._render(request, "customer.html", focus=False, hex=profile["customer"], **shown)

    async def _live(self, request: web.Request) -> web.Response:
        profile = await self._lookup.by_node(node_of(request.match_info["hex"]))
        if profile is None:
            raise Refusal(404, "not-found", "no customer is known by this")
        rulings = await self._rulings(profile)
        shown = page(profile, self._locale(request), rulings)
        shown["perhaps"] = await self._perhaps(request, profile)
        shown["related"] = await self._related(request, profile)
        response = self._render(request, "live.html", **shown)
        tag = f'"{sha256(response.body).hexdigest()[:24]}"' if isinstance(response.body, bytes) else ""
        if tag and request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={**_HEADERS, "ETag": tag})
        response.headers["ETag"] = tag
        return response

    async def _rulings(self, profile: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the rulings that a profile speaks of; without Redis the page shows their ids."""
        try:
            return await self._lookup.rulings(rulings_of(profile))
        except Refusal:
            return {}

    async def _perhaps(self, request: web.Request, profile: dict[str, Any]) -> list[tuple[str, str, str]]:
        """Return whom a near match says that this may be: customer, name, probability; nobody without Redis."""
        try:
            found = await self._queue.concerning([member["node"] for member in profile["members"]])
        except Refusal:
            return []
        return others(found, profile["customer"], self._locale(request))

    async def _related(self, request: web.Request, profile: dict[str, Any]) -> list[related.Relation]:
        """Return whom the customer is related to; who is not in the view, or was erased, is left out."""
        locale, lines = self._locale(request), []
        for relation in related.shown(profile):
            other = None
            if relation["customer"]:
                try:
                    other = await self._lookup.by_node(bytes.fromhex(relation["customer"]))
                except Refusal:
                    continue
            if relation["crowded"] or other is not None:
                lines.append(related.line(relation, name_of(other, locale) if other else "", locale))
        return lines

    def _render(self, request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
        locale = self._locale(request)
        key = self._key(request) if values.get("signed_in", True) else None
        rules = key is not None and key.may("rule")
        named = {"signed_in": True, "rules": rules, "focus": False, "locale": locale, "w": locale.word, **values}
        text = self._templates.get_template(template).render(named)
        response = web.Response(body=text.encode(), status=status, content_type="text/html", charset="utf-8")
        response.headers.update(_HEADERS)
        if request.query.get("lang") in LANGUAGES:
            response.set_cookie("desk_lang", locale.language, max_age=_YEAR_S, path="/desk", samesite="Strict")
        return response

    def _locale(self, request: web.Request) -> Locale:
        language = _language(request)
        zone = request.query.get("tz") or unquote(request.cookies.get("desk_zone", "")[:96])
        return Locale(language, zone_of(zone, language), time.time_ns() // 1_000_000)

    # For the pages beside these.
    signed_in, key, render, locale = _signed_in, _key, _render, _locale


def _why(refusal: Refusal) -> str:
    """Return the word that says why there is no page: erased for good, or the view is away for a moment."""
    return "erased" if refusal.status == 410 else "away"


def _language(request: web.Request) -> Language:
    """Return the language asked for: in the address, by an earlier choice, or by the browser."""
    accepted = (part.partition(";")[0].strip()[:2] for part in request.headers.get("Accept-Language", "").split(","))
    for wish in (request.query.get("lang"), request.cookies.get("desk_lang"), *accepted):
        for language in LANGUAGES:
            if wish == language:
                return language
    return "en"


def _check_origin(request: web.Request) -> None:
    """Refuse forms of other sites; browsers say where a POST comes from.

    Raises
    ------
    Refusal
        403 origin-not-allowed
    """
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        raise Refusal(403, "origin-not-allowed", "forms of other sites are not taken")
