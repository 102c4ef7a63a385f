"""The gateway's socket outlives the generations: the doors of the next are open before those of the last close."""

import asyncio
import socket
from collections.abc import Callable

from aiohttp import web

# Connections that wait to be accepted.
_BACKLOG = 1024


class Listening:
    """Serves an application on one socket, and another one in its place.

    Parameters
    ----------
    host, port : where; port 0 takes a free one
    runner : makes an application's runner
    """

    def __init__(self, host: str, port: int, runner: Callable[[web.Application], web.AppRunner]) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        self.port: int = self._socket.getsockname()[1]
        self._make = runner
        self._runner: web.AppRunner | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def serve(self, app: web.Application) -> None:
        """Serve an application from now on; who is being served by the last one is served to the end."""
        last, self._runner = self._runner, self._make(app)
        await self._runner.setup()
        # Both listen on one socket: no connection is refused, and none is lost.
        await web.SockSite(self._runner, self._socket.dup(), backlog=_BACKLOG).start()
        if last is not None:
            leaving = asyncio.create_task(last.cleanup())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Serve all to the end, and close the socket."""
        if self._runner is not None:
            await self._runner.cleanup()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        self._socket.close()
