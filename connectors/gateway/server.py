"""The gateway's life: what it opens, in which order, and how it ends."""

import asyncio
import importlib.metadata
import signal
from collections.abc import Awaitable, Callable

import redis.asyncio
import structlog
from aiohttp import web

from connectors.desk.pages import Desk
from connectors.desk.reviews import ReviewPages
from connectors.gateway.accept import Acceptance
from connectors.gateway.access import Access
from connectors.gateway.app import Doors, build
from connectors.gateway.collect import Collector
from connectors.gateway.customers import Customers, Lookup
from connectors.gateway.exports import Exports
from connectors.gateway.identity import Identity
from connectors.gateway.keys import Key, KeyRing, hash_of, path_of
from connectors.gateway.listening import Listening
from connectors.gateway.privacy import Privacy
from connectors.gateway.producer import SignalProducer
from connectors.gateway.reviews import Queue, Reviews
from connectors.gateway.stubs import Stubs
from connectors.gateway.webhooks import Webhooks, load_sources
from connectors.outbound.inbox_http import add_routes as add_inbox
from connectors.privacy.jobs import JobKeys
from connectors.serve.keys import ViewKeys
from schemas.generations import Table
from schemas.identifiers import Hasher
from streams import metrics
from streams.generations import Follower, current_table, settings_of
from streams.settings import Settings

_log = structlog.get_logger(__name__)

# How often readiness asks the broker, in seconds, and how long requests have to end at shutdown.
_ASK_EVERY_S = 2.0
_GRACE_S = 10.0

# Redis answers within so long, in seconds, or counts as away: a lookup is not worth more of a person's time.
_REDIS_TIMEOUT_S = 1.0

# Longest request line and header taken, bytes: an identifier of 10 kB gets an answer in JSON, not the parser's.
_MAX_LINE = 16_384


class Gateway:
    """A running gateway.

    Parameters
    ----------
    settings : all of them; ``node_key`` is needed
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.port = 0
        self.metrics_port = 0
        self._connected = False

    async def run(self, stop: asyncio.Event, started: asyncio.Event | None = None) -> str | None:
        """Serve until told to stop; return why it could not go on, or None.

        Raises
        ------
        SettingsError, KeyFileError, OSError
            when it cannot start: a missing secret, a bad key file, a taken port
        """
        settings = self.settings
        ring = KeyRing(path_of(settings), _own_keys(settings))
        access = Access(ring, settings.trusted_proxies)
        producer = SignalProducer(settings.librdkafka())
        client = _redis(settings)
        table = await asyncio.to_thread(current_table, settings)
        listening = Listening(settings.http_host, settings.http_port, _runner)

        async def open_doors(table: Table) -> None:
            live = settings_of(settings, table.of(table.live))
            await listening.serve(_application(live, access, producer, client))
            _log.info("doors are those of a generation", generation=table.live)

        await open_doors(table)
        watching = asyncio.create_task(self._watch(producer, stop))
        following = asyncio.create_task(_follow(settings, table, open_doors))
        following.add_done_callback(lambda _: stop.set())
        try:
            probes = await self._listen(listening, producer)
            if started is not None:
                started.set()
            await stop.wait()
            await probes.stop()
        finally:
            for task in (watching, following):
                task.cancel()
            await asyncio.gather(watching, following, return_exceptions=True)
            await listening.close()
            await client.aclose()
            left = await asyncio.to_thread(producer.close)
            if left:
                _log.warning("records not acknowledged at the end", count=left)
        return producer.fatal

    async def _listen(self, listening: Listening, producer: SignalProducer) -> metrics.MetricsServer:
        settings = self.settings
        self.port = listening.port
        probes = await metrics.serve(
            settings.metrics_port,
            live=lambda: _alive(producer),
            ready=lambda: self._ready(producer),
            host=settings.metrics_host,
        )
        self.metrics_port = probes.port
        _log.info("gateway listens", host=settings.http_host, port=self.port, metrics_port=probes.port)
        return probes

    async def _watch(self, producer: SignalProducer, stop: asyncio.Event) -> None:
        """Ask the broker now and then; end the process when the producer is lost, its supervisor starts it again."""
        while producer.fatal is None:
            self._connected = await asyncio.to_thread(producer.connected)
            await asyncio.sleep(_ASK_EVERY_S)
        stop.set()

    def _ready(self, producer: SignalProducer) -> tuple[bool, str]:
        if producer.fatal:
            return False, producer.fatal
        return (True, "ok") if self._connected else (False, "the broker does not answer")


async def _follow(settings: Settings, table: Table, open_doors: Callable[[Table], Awaitable[None]]) -> None:
    """Open the doors of whichever generation is live."""
    loop = asyncio.get_running_loop()
    tables: asyncio.Queue[Table] = asyncio.Queue()

    def hand_over(newer: Table) -> None:
        loop.call_soon_threadsafe(tables.put_nowait, newer)

    with Follower(settings, hand_over):
        while True:
            newer = await tables.get()
            if newer.live != table.live:
                await open_doors(newer)
                table = newer


def _alive(producer: SignalProducer) -> tuple[bool, str]:
    return (False, producer.fatal) if producer.fatal else (True, "ok")


def _runner(app: web.Application) -> web.AppRunner:
    # Bodies are decompressed by us, within bounds (body.py).
    return web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        shutdown_timeout=_GRACE_S,
        max_line_size=_MAX_LINE,
        max_field_size=_MAX_LINE,
    )


def _redis(settings: Settings) -> "redis.asyncio.Redis":
    return redis.asyncio.Redis.from_url(
        settings.redis.get_secret_value(), socket_timeout=_REDIS_TIMEOUT_S, socket_connect_timeout=_REDIS_TIMEOUT_S
    )


def _application(
    settings: Settings, access: Access, producer: SignalProducer, client: "redis.asyncio.Redis"
) -> web.Application:
    hasher = Hasher(settings.secret("node_key"))
    codecs = settings.codecs()
    rules = settings.identity_rules()
    acceptance = Acceptance(producer, hasher, codecs=codecs, rules=rules)
    lookup = Lookup(client, ViewKeys(settings.view_prefix, settings.topic_prefix), hasher, rules)
    sources = load_sources(settings)
    webhooks = Webhooks(
        access, acceptance, sources, client=client, prefix=settings.topic_prefix, public_url=settings.public_url
    )
    version = importlib.metadata.version("sada")
    secure = (settings.public_url or "").startswith("https://")
    queue = Queue(client, ViewKeys(settings.topic_prefix), lookup, producer, codecs)
    desk = Desk(access, lookup, queue, secret=settings.secret("node_key"), secure=secure)
    doors: list[Doors] = [Collector(access, acceptance), Stubs(access, version), webhooks, Customers(access, lookup)]
    doors += [
        Identity(access, lookup, producer, codecs),
        Privacy(access, lookup, producer, codecs, settings.kept_ms()),
        Exports(access, lookup, client, JobKeys(settings.topic_prefix), settings.secret("node_key")),
        Reviews(access, queue),
        ReviewPages(desk, queue),
        desk,
    ]
    app = build(access, doors)
    if settings.inbox_secret is None:
        _log.info("no inbox and no links in messages: SADA_INBOX_SECRET is not set")
    else:
        add_inbox(app, settings=settings, redis=client)
    return app


def _own_keys(settings: Settings) -> tuple[Key, ...]:
    """Return the keys that the environment gives: those of `sada up`, for this machine."""
    made = []
    if settings.write_key is not None:
        made.append(
            Key(name="local", hash=hash_of(settings.write_key.get_secret_value()), role="write", region=settings.region)
        )
    if settings.api_key is not None:
        made.append(Key(name="local-agent", hash=hash_of(settings.api_key.get_secret_value()), role="agent"))
    return tuple(made)


async def main(settings: Settings) -> str | None:
    """Run a gateway until SIGTERM or Ctrl-C."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return await Gateway(settings).run(stop)
