"""Time passes in the shop: a step of the truth, through real clients, at the pace that the pipeline keeps."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from deploy.demo.clients import Clients
from deploy.demo.doings import Look
from deploy.demo.gauges import Gauges
from deploy.demo.people import HOUR_MS
from deploy.demo.post import Post
from deploy.demo.shop import Shop
from deploy.local.processes import StackError
from deploy.local.running import Running, written_to

# One step of simulated time. Signals of different channels arrive in any order within it, so it bounds lateness; each
# costs the pipeline some transactions whatever is in it.
STEP_MS = 6 * HOUR_MS
# So many steps the shop may be ahead of the slowest partition: the pipeline's delay seen from the shop, and its
# lateness. When the machine is slow the run takes longer, not later.
LEAD_STEPS = 2
# How often the workers are asked how far they are, while the shop waits for them, seconds: a page of metrics costs its
# worker milliseconds, and meanwhile it has the lead's work to do.
LOOK_EVERY_S = 0.15
# How often all processes are asked for the view, seconds.
SHOW_EVERY_S = 1.0
# Nothing may stand still for so long, seconds: a killed worker is back within half of it on a busy machine.
PATIENCE_S = 150.0
# All is still when nothing was written for so long, seconds: longer than any poll or linger in the pipeline.
STILL_S = 1.5


@dataclass(slots=True)
class Moment:
    """Where the run is, for the view."""

    at_ms: int
    sent: int = 0
    started_s: float = field(default_factory=time.monotonic)


class Play:
    """The run of simulated time.

    Parameters
    ----------
    shop, clients, post, gauges : the truth, the ways in, the ways out, and what the processes say
    stack : all of it
    """

    def __init__(
        self,
        *,
        shop: Shop,
        clients: Clients,
        post: Post,
        gauges: Gauges,
        stack: Running,
    ) -> None:
        self._shop = shop
        self._clients = clients
        self._post = post
        self._gauges = gauges
        self._stack = stack
        self._gateway: str = stack.up["gateway"]
        # Visits of the last step, whose pages show what was decided meanwhile.
        self._looks: list[Look] = []

    async def run(self, start_ms: int, end_ms: int, show: Callable[[Moment], None]) -> None:
        """Let simulated time pass, then wait until all is still; ``show`` draws, a few times a second.

        Raises
        ------
        StackError
            when the stack ends, or stands still
        ClientError
            when a client could not hand over signals
        """
        moment = Moment(start_ms)
        # A shop's systems keep their connections; the gateway is on loopback.
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            watching = asyncio.create_task(self._watch(session, moment, show))
            try:
                while moment.at_ms < end_ms:
                    if watching.done():
                        watching.result()  # it ends by failing only
                    await self._step(session, moment, min(moment.at_ms + STEP_MS, end_ms))
                await self._settle(session)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            show(moment)

    async def _step(self, session: aiohttp.ClientSession, moment: Moment, until_ms: int) -> None:
        for message in self._post.fetch():
            self._shop.receive(message, moment.at_ms)
        step = self._shop.until(until_ms)
        for doing in step.doings:
            self._clients.send(doing)
        await asyncio.gather(
            self._clients.flush(),
            self._post.look(session, self._gateway, self._looks),
            self._post.unsubscribe(session, step.unsubscribes),
        )
        self._clients.tick(until_ms)
        self._looks = step.looks
        moment.at_ms, moment.sent = until_ms, self._clients.sent
        await self._pace(session, until_ms)

    async def _pace(self, session: aiohttp.ClientSession, at_ms: int) -> None:
        """Wait for the pipeline; the ticks say on every partition how far it is."""
        deadline = time.monotonic() + PATIENCE_S
        while self._gauges.reached_ms() < at_ms - LEAD_STEPS * STEP_MS:
            await self._gauges.refresh(session, workers_only=True)
            if self._gauges.reached_ms() >= at_ms - LEAD_STEPS * STEP_MS:
                return
            self._check(deadline, "the workers do not follow")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _settle(self, session: aiohttp.ClientSession) -> None:
        """Wait until nothing waits anywhere and nobody writes."""
        deadline = time.monotonic() + PATIENCE_S
        still_since, before = time.monotonic(), -1
        while time.monotonic() - still_since < STILL_S:
            await asyncio.sleep(0.2)
            await self._clients.flush()
            await self._gauges.refresh(session)
            ends = await asyncio.to_thread(written_to, self._stack.kafka)
            if ends != before or self._gauges.lag() or self._gauges.away:
                still_since, before = time.monotonic(), ends
            self._check(deadline, f"there is no end: {self._gauges.lag()} records wait")

    async def _watch(self, session: aiohttp.ClientSession, moment: Moment, show: Callable[[Moment], None]) -> None:
        while True:
            await self._gauges.refresh(session)
            show(moment)
            await asyncio.sleep(SHOW_EVERY_S)

    def _check(self, deadline: float, what: str) -> None:
        if self._stack.process.poll() is not None:
            raise StackError("The stack ended in the middle; its log is up.log in the demo's folder.")
        if time.monotonic() > deadline:
            raise StackError(f"After {PATIENCE_S:.0f} s {what}; see the logs in the demo's folder.")
