"""Signed webhooks in: ``POST /v1/webhooks/{provider}/{source}``.

401 for whatever is not signed by a secret of ours, without saying why; 200 once the broker has the signals; a replay
is 200 with no second effect; what is signed but cannot be a signal is a dead letter and 200, for no retry helps.
"""

import base64
import binascii
import time
from pathlib import Path
from typing import Any

import msgspec
import redis.asyncio
import structlog
from aiohttp import web
from redis import RedisError

from connectors.gateway import body as bodies
from connectors.gateway.accept import Acceptance, Origin, Report
from connectors.gateway.access import Access
from connectors.gateway.keys import Key
from connectors.gateway.metrics import WEBHOOKS
from connectors.gateway.producer import UnavailableError
from connectors.gateway.refusal import unauthorised, unavailable
from connectors.inbound.fields import PayloadError
from connectors.inbound.providers import PROVIDERS, Provider, signal_id
from connectors.inbound.segment import Arrival
from connectors.inbound.signatures import Request, SignatureError, verify
from schemas.topics import CHANNELS
from streams.settings import Settings

_log = structlog.get_logger(__name__)

# How long the id of a webhook is remembered, in seconds: providers retry for up to three days (Shopify 48 h, Stripe
# three days). After that, or without Redis, the signal's own id still counts once within the customer's last ids.
REMEMBERED_S = 3 * 86_400


class WebhookFileError(Exception):
    """The file of webhook sources cannot be used; the message says where and why, never a secret."""


class WebhookSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One system that sends webhooks: ``secrets`` holds one, or two during a rotation."""

    provider: str
    source: str
    secrets: tuple[str, ...]
    channel: str | None = None
    region: str | None = None
    currency: str = "USD"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    sources: list[WebhookSource]


Sources = dict[tuple[str, str], WebhookSource]


def load(path: Path) -> Sources:
    """Read the file of sources.

    Raises
    ------
    WebhookFileError
        naming the file and the source
    """
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WebhookFileError(f"{path} cannot be used: {error}") from None
    found: Sources = {}
    for row in content.sources:
        wrong = _wrong(row, found)
        if wrong:
            raise WebhookFileError(f"{path}: source {row.provider}/{row.source}: {wrong}")
        found[row.provider, row.source] = row
    return found


def load_sources(settings: Settings) -> Sources:
    """Return all sources of the settings: those of the file, and the local stack's own.

    Raises
    ------
    WebhookFileError
        naming the file and the source
    """
    found = load(settings.webhooks) if settings.webhooks is not None else {}
    if settings.webhook_secret is not None:
        found.setdefault(
            ("standard", "local"), WebhookSource("standard", "local", (settings.webhook_secret.get_secret_value(),))
        )
    return found


def _wrong(row: WebhookSource, found: Sources) -> str | None:
    if row.provider not in PROVIDERS:
        return f"provider is not one of {', '.join(PROVIDERS)}"
    if (row.provider, row.source) in found:
        return "it is there twice"
    if row.channel is not None and row.channel not in CHANNELS:
        return f"channel is not one of {', '.join(CHANNELS)}"
    if not row.secrets or any(len(secret) < 16 for secret in row.secrets):
        return "secrets must hold at least one, of at least 16 characters each"
    if PROVIDERS[row.provider].scheme.secret == "whsec":  # noqa: S105 - how it is written
        try:
            for secret in row.secrets:
                base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            return "a secret is not base64 (whsec_…)"
    return None


class Webhooks:
    """The handler.

    Parameters
    ----------
    client : of Redis, which remembers ids; without its answer the signals' own ids do
    prefix : of its keys
    public_url : how the world reaches us; signed by providers that sign the address
    """

    def __init__(
        self,
        access: Access,
        acceptance: Acceptance,
        sources: Sources,
        *,
        client: "redis.asyncio.Redis",
        prefix: str,
        public_url: str | None,
    ) -> None:
        self._access = access
        self._acceptance = acceptance
        self._sources = sources
        self._redis = client
        self._prefix = prefix
        self._public_url = public_url

    def add_routes(self, app: web.Application) -> None:
        """Add the door, with and without a trailing slash."""
        for path in ("/v1/webhooks/{provider}/{source}", "/v1/webhooks/{provider}/{source}/"):
            app.router.add_post(path, self._take)

    async def _take(self, request: web.Request) -> web.Response:
        self._access.check_address(self._access.address(request))
        row = self._sources.get((request.match_info["provider"], request.match_info["source"]))
        if row is None:
            WEBHOOKS.labels("none", "unknown-source").inc()
            raise unauthorised("no such webhook, or its signature does not fit")
        provider = PROVIDERS[row.provider]
        named = f"{row.provider}/{row.source}"
        raw = await bodies.read(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        signed = Request(headers, raw, self._url(request))
        try:
            webhook_id = verify(provider.scheme, signed, row.secrets, time.time())
        except SignatureError as error:
            WEBHOOKS.labels(named, "unauthorised").inc()
            _log.warning("webhook refused", source=named, reason=str(error))
            raise unauthorised("no such webhook, or its signature does not fit") from None
        mark = f"{self._prefix}webhook:{signal_id(row.provider, row.source, webhook_id, 0)}"
        if await self._known(mark):
            WEBHOOKS.labels(named, "replayed").inc()
            return _thanks(provider)
        report = await self._accept(request, row, headers, raw, webhook_id)
        await self._remember(mark)
        WEBHOOKS.labels(named, "refused" if report.refused else "accepted").inc()
        return _thanks(provider)

    async def _accept(
        self, request: web.Request, row: WebhookSource, headers: dict[str, str], raw: bytes, webhook_id: str
    ) -> Report:
        provider = PROVIDERS[row.provider]
        name = f"{row.provider}/{row.source}"
        key = Key(
            name=name,
            hash="",
            role="write",
            channel=row.channel or provider.channel,
            region=row.region,
            currency=row.currency,
        )
        origin = Origin(request.path, key, Arrival(time.time_ns() // 1_000_000))
        try:
            try:
                items: list[Any] = [
                    {**item, provider.id_field: signal_id(row.provider, row.source, webhook_id, index)}
                    if isinstance(item, dict)
                    else item
                    for index, item in enumerate(provider.messages(headers, provider.body(raw)))
                ]
            except PayloadError as error:
                await self._acceptance.dead(raw, error.code, str(error), origin)
                return Report(0, [])
            return await self._acceptance.items(items, None, origin, measure=False, reader=provider.reader)
        except UnavailableError as error:
            raise unavailable(f"nothing is lost if you send again: {error}") from error

    def _url(self, request: web.Request) -> str:
        base = self._public_url or f"{request.scheme}://{request.host}"
        return base.rstrip("/") + request.path_qs

    async def _known(self, mark: str) -> bool:
        try:
            return bool(await self._redis.exists(mark))
        except RedisError:
            return False  # the signal's id is derived from the webhook's: it counts once all the same

    async def _remember(self, mark: str) -> None:
        try:
            await self._redis.set(mark, b"1", ex=REMEMBERED_S)
        except RedisError as error:
            _log.warning("webhook id not remembered", reason=type(error).__name__)


def _thanks(provider: Provider) -> web.Response:
    body, kind = provider.thanks
    return web.Response(body=body, content_type=kind)
