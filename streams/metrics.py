"""``/metrics``, ``/livez`` and ``/readyz`` of every process, on a port of its own, on loopback unless told otherwise.

Liveness says whether the process makes progress; it checks no dependency, or a broken Redis would restart
everything that could have waited for it. Readiness says whether work can reach it.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

# True or false, and the reason in a few words.
Probe = Callable[[], tuple[bool, str]]


def always() -> tuple[bool, str]:
    """Say that all is well: for a process whose only liveness is that it answers."""
    return True, "ok"


@dataclass(slots=True)
class MetricsServer:
    """The running server; ``port`` is the one it listens on."""

    runner: web.AppRunner
    port: int

    async def stop(self) -> None:
        """Close the port."""
        await self.runner.cleanup()


async def serve(port: int, *, live: Probe = always, ready: Probe = always, host: str = "127.0.0.1") -> MetricsServer:
    """Start the server in the running event loop.

    Parameters
    ----------
    port : 0 takes a free one
    live, ready : what the probes answer: 200 or 503, with the reason as text

    Raises
    ------
    OSError
        when the port is taken
    """

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def answer(probe: Probe) -> Callable[[web.Request], object]:
        async def handle(_: web.Request) -> web.Response:
            ok, reason = probe()
            return web.Response(text=reason + "\n", status=200 if ok else 503)

        return handle

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    for path, probe in (("/livez", live), ("/readyz", ready), ("/healthz", ready)):
        app.router.add_get(path, answer(probe))  # type: ignore[arg-type]  # aiohttp's Handler is wider than it says
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    sockets = site._server.sockets  # type: ignore[union-attr]  # noqa: SLF001 - aiohttp has no public way to a chosen port
    return MetricsServer(runner, sockets[0].getsockname()[1])


def serve_in_thread(port: int, *, live: Probe = always, ready: Probe = always, host: str = "127.0.0.1") -> int:
    """Start the server on an event loop of its own and return its port: for processes without asyncio.

    The probes are called from that thread. It ends with the process.
    """
    started: list[int] = []
    failed: list[BaseException] = []
    up = threading.Event()

    def run() -> None:
        loop = asyncio.new_event_loop()
        try:
            started.append(loop.run_until_complete(serve(port, live=live, ready=ready, host=host)).port)
        except OSError as exc:
            failed.append(exc)
            up.set()
            return
        up.set()
        loop.run_forever()

    threading.Thread(target=run, name="metrics", daemon=True).start()
    up.wait()
    if failed:
        raise failed[0]
    return started[0]


def wall_ms() -> int:
    """Return the wall clock, epoch ms. Shells ask it and pass it in; the core never does."""
    return time.time_ns() // 1_000_000
