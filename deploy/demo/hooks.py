"""The shop's other systems: SMS gateway, call centre and tills, each taking signed webhooks (Standard Webhooks)."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

# Channels behind webhooks.
CHANNELS: tuple[str, ...] = ("sms", "call-centre", "pos")


class Hooks:
    """What came in, and how much was refused.

    Parameters
    ----------
    secret : ``whsec_…``, with which Sada signs
    deliver : takes the ``data`` of each verified action once
    """

    def __init__(self, secret: str, deliver: Callable[[Mapping[str, Any]], None]) -> None:
        self._verifier = Webhook(secret)
        self._deliver = deliver
        self._seen: set[str] = set()
        self.refused = 0
        self.repeats = 0

    async def take(self, request: web.Request) -> web.Response:
        """Take a webhook: verify it, drop repeats by its id."""
        body = await request.text()
        try:
            found = self._verifier.verify(body, dict(request.headers))
        except WebhookVerificationError as exc:
            self.refused += 1
            return web.Response(status=401, text=str(exc))
        name = request.headers["webhook-id"]
        if name in self._seen:
            self.repeats += 1
        else:
            self._seen.add(name)
            self._deliver(found["data"])
        return web.Response(status=204)


@contextlib.asynccontextmanager
async def hook_server(hooks: Hooks) -> AsyncIterator[int]:
    """Run the receivers while the block runs; give their port."""
    app = web.Application()
    app.router.add_post("/{channel}", hooks.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
