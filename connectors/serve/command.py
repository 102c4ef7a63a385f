"""``sada serve``."""

import typer

# A loop that has not turned for so long, in seconds, is stuck: a look lasts 0.1 s, Redis's time limit is 2 s.
STUCK_AFTER_S = 30.0

# Redis answers within so long, in seconds, or counts as away.
REDIS_TIMEOUT_S = 2.0


def serve() -> None:
    """Keep the view of every customer in Redis: what the customer API and the 360 page show.

    Any number may run; they share the partitions. Redis says where to read on: empty it, and it is filled again.
    """
    import signal  # noqa: PLC0415 - `sada --help` must not wait for any of these
    import threading  # noqa: PLC0415
    import time  # noqa: PLC0415

    import redis  # noqa: PLC0415

    from connectors.serve.keys import ViewKeys  # noqa: PLC0415
    from connectors.serve.materialiser import Materialiser  # noqa: PLC0415
    from connectors.serve.metrics import REDIS_UP  # noqa: PLC0415
    from streams import logs, metrics  # noqa: PLC0415
    from streams.settings import Settings, SettingsError  # noqa: PLC0415

    logs.configure("serve")
    settings = Settings()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        client = redis.Redis.from_url(
            settings.redis.get_secret_value(),
            socket_timeout=REDIS_TIMEOUT_S,
            socket_connect_timeout=REDIS_TIMEOUT_S,
        )
        worker = Materialiser(
            settings.librdkafka(),
            group=f"{settings.topic_prefix}{settings.app}.serve",
            topic=settings.topic,
            client=client,
            keys=ViewKeys(settings.topic_prefix),
        )

        def live() -> tuple[bool, str]:
            still = time.monotonic() - worker.turned_s
            return (True, "ok") if still < STUCK_AFTER_S else (False, f"no turn for {still:.0f} s")

        def ready() -> tuple[bool, str]:
            if not worker.assigned:
                return False, "no partitions yet"
            return (True, "ok") if worker.redis_up else (False, "redis is away")

        metrics.serve_in_thread(settings.metrics_port, live=live, ready=ready, host=settings.metrics_host)
    except (SettingsError, OSError, ValueError) as error:
        typer.echo(f"serve: {error}", err=True)
        raise typer.Exit(1) from None
    REDIS_UP.set(1)
    while not ended.is_set():
        worker.turn()
    worker.close()
