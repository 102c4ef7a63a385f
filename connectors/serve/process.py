"""The materialiser's process: what it opens, what its probes say, and how it ends."""

import signal
import threading
import time

import structlog

from connectors.privacy.exporter import Exporter
from connectors.privacy.jobs import JobKeys, Jobs
from connectors.serve.keys import ViewKeys
from connectors.serve.materialiser import Materialiser
from connectors.serve.metrics import REDIS_UP
from connectors.serve.store import client_of
from schemas.topics import FIRST
from streams import metrics
from streams.generations import Follower, Renewal, hosted
from streams.settings import Settings

_log = structlog.get_logger(__name__)

# A loop that has not turned for so long, in seconds, is stuck: a look lasts 0.1 s, Redis's time limit is 2 s.
STUCK_AFTER_S = 30.0


def main(settings: Settings) -> None:
    """Run a materialiser until SIGTERM or Ctrl-C.

    Raises
    ------
    SettingsError, OSError, ValueError
        when it cannot start: a missing setting, a taken port, an address that is none
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    generations = hosted(settings)
    renewal = Renewal(tuple(each.known.name for each in generations), ended.set)
    workers = [_materialiser(each.settings) for each in generations]
    worker = workers[0]

    def live() -> tuple[bool, str]:
        still = time.monotonic() - worker.turned_s
        return (True, "ok") if still < STUCK_AFTER_S else (False, f"no turn for {still:.0f} s")

    def ready() -> tuple[bool, str]:
        if not worker.assigned:
            return False, "no partitions yet"
        return (True, "ok") if worker.redis_up else (False, "redis is away")

    metrics.serve_in_thread(settings.metrics_port, live=live, ready=ready, host=settings.metrics_host)
    REDIS_UP.set(1)
    exporter = _exporter(settings, ended)
    with Follower(settings, renewal.on_table):
        others = [threading.Thread(target=_serve, args=(other, ended), daemon=True) for other in workers[1:]]
        for other in others:
            other.start()
        _serve(worker, ended)
        for other in others:
            other.join()
    if exporter is not None:
        exporter.join()
    renewal.renew()


def _serve(worker: Materialiser, ended: threading.Event) -> None:
    """Fill one generation's view; what ends it ends all, and the supervisor starts the process again."""
    try:
        while not ended.is_set():
            worker.turn()
        worker.close()
    finally:
        ended.set()


def _exporter(settings: Settings, ended: threading.Event) -> Exporter | None:
    """Start what has exports made; they need the node key, to know whom a signal names."""
    if settings.node_key is None:
        _log.warning("exports that the API is asked for wait in vain: SADA_NODE_KEY is not set")
        return None
    exporter = Exporter(Jobs(client_of(settings), JobKeys(settings.topic_prefix)), ended)
    exporter.start()
    return exporter


def _materialiser(settings: Settings) -> Materialiser:
    """Return what fills the view of a generation: each has a view and a group of its own."""
    own = "" if settings.generation == FIRST else f".{settings.generation}"
    return Materialiser(
        settings.librdkafka(),
        group=f"{settings.topic_prefix}{settings.app}.serve{own}",
        codecs=settings.codecs(),
        client=client_of(settings),
        keys=ViewKeys(settings.view_prefix, settings.topic_prefix),
    )
