"""The delivery process: one consumer per channel, all in one event loop, until a signal says stop."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from connectors.outbound.channels import load
from connectors.outbound.claims import Claims, window_ms
from connectors.outbound.consumer import ChannelConsumer
from connectors.outbound.courier import Courier
from connectors.outbound.outcomes import Writer
from connectors.outbound.registry import Surroundings, connector
from streams import metrics
from streams.generations import Follower, Renewal, live_settings
from streams.settings import Settings, SettingsError

log = structlog.get_logger("deliver")


def open_redis(settings: Settings) -> "Redis":
    """Return a connection pool; whoever uses it waits and asks again by itself."""
    return Redis.from_url(
        settings.redis.get_secret_value(),
        decode_responses=False,
        socket_timeout=5.0,
        socket_connect_timeout=5.0,
        retry=Retry(NoBackoff(), 0),
    )


async def run(
    settings: Settings,
    wanted: Sequence[str] | None,
    config: Path | None = None,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[int], None] = lambda _: None,
) -> None:
    """Deliver until SIGINT or SIGTERM.

    Parameters
    ----------
    wanted : channels; None takes all that are configured
    config : the channels file; None takes that of the settings
    stop : set it to end, beside the signals
    started : told the port of the metrics

    Raises
    ------
    SettingsError, FileError
        when a channel cannot work as configured
    """
    channels = load(config or settings.channels)
    names = tuple(wanted) if wanted is not None else tuple(channels)
    unknown = [name for name in names if name not in channels]
    if unknown:
        raise SettingsError(
            f"{', '.join(unknown)}: not configured. Add it to the channels file (--config or SADA_CHANNELS)."
        )
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    settings = await asyncio.to_thread(live_settings, settings)
    renewal = Renewal((), lambda: _end(loop, stop), live=settings.generation)
    redis = open_redis(settings)
    around = Surroundings(settings, redis)
    connectors = {name: connector(name, channels[name], around) for name in names}
    writer = Writer(settings)
    claims = Claims(redis, settings.topic_prefix, window_ms=window_ms(settings.kept_ms()["actions"]))
    couriers = {name: Courier(name, connectors[name], channels[name], claims=claims, writer=writer) for name in names}
    consumers = [ChannelConsumer(settings, name, couriers[name], writer) for name in names]
    server = await metrics.serve(
        settings.metrics_port, ready=lambda: _ready(consumers, list(couriers.values())), host=settings.metrics_host
    )
    started(server.port)
    log.info("delivering", channels=list(names), metrics_port=server.port)
    try:
        with Follower(settings, renewal.on_table):
            await _until_stopped(consumers, stop)
    finally:
        for each in connectors.values():
            await each.close()
        await writer.close()
        await redis.aclose()
        await server.stop()
        log.info("stopped")
    renewal.renew()


def _end(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    loop.call_soon_threadsafe(stop.set)


async def _until_stopped(consumers: Sequence[ChannelConsumer], stop: asyncio.Event) -> None:
    """Run the consumers; the end of one, by a fault, ends all, and the supervisor starts the process again."""

    async def guarded(consumer: ChannelConsumer) -> None:
        try:
            await consumer.run(stop)
        finally:
            stop.set()

    results = await asyncio.gather(*(guarded(c) for c in consumers), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _ready(consumers: Sequence[ChannelConsumer], couriers: Sequence[Courier]) -> tuple[bool, str]:
    waiting = [c.channel for c in consumers if not c.assigned]
    if waiting:
        return False, f"no partitions yet: {', '.join(waiting)}"
    if not all(c.redis_up for c in couriers):
        return False, "Redis is away: deliveries wait"
    return True, "ok"
