"""Delivers one action: claim, send, settle, report. Knows nothing of Kafka's partitions.

What it guarantees, for an action id within the window of claims.py:

- nothing is sent without the claim, so two processes never send the same action at one time;
- a channel that knows repeats by their id (webhook-id, the inbox) gets every action at least once, and acts once;
- e-mail is sent at most once by default: when a crash or a silent relay leaves it open whether the message went, it
  is not sent again, and a dead letter with the code ``in-doubt`` says so. With ``in_doubt: resend`` it is sent again
  with the same Message-ID instead, at least once;
- every action ends in exactly one event: delivered, expired, bounced or failed; its outcome may be written twice
  under one id. That of a customer who was erased meanwhile ends in *erased*: it is neither sent nor reported, nor does
  a dead letter hold it.
"""

import asyncio
import contextlib
import itertools
import os
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from redis.exceptions import RedisError

from connectors.outbound import metrics
from connectors.outbound.channels import Pace
from connectors.outbound.claims import Claims, Settled
from connectors.outbound.delivery import Connector, Delivery
from connectors.outbound.errors import DeliveryError, InDoubtError, PermanentError, TransientError
from connectors.outbound.outcomes import WriteError, Writer, letter_of, of_action

T = TypeVar("T")

# Waits between tries: 1 s doubles up to 5 minutes, each shortened at random by up to a half, so that
# the actions that failed together do not come back together.
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 300.0
# While Redis or Kafka is away, it is asked again so often.
PEER_WAIT_S = 1.0

log = structlog.get_logger("deliver")


def wait_s(attempt: int, *, draw: float, retry_after_s: float = 0.0) -> float:
    """Return how long to wait after a failed try, seconds.

    Parameters
    ----------
    attempt : tries made, from 1
    draw : in [0, 1)
    retry_after_s : what the peer asked for; at most LONGEST_WAIT_S of it is obeyed
    """
    full = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(attempt - 1, 20))
    return max(full * (1 - draw / 2), min(retry_after_s, LONGEST_WAIT_S))


class RateLimit:
    """At most so many a second, evenly spaced."""

    def __init__(self, per_s: float | None) -> None:
        self._gap_s = 1.0 / per_s if per_s else 0.0
        self._free_at = 0.0

    async def wait(self) -> None:
        """Wait for the next place."""
        if not self._gap_s:
            return
        now = time.monotonic()
        place = max(self._free_at, now)
        self._free_at = place + self._gap_s
        if place > now:
            await asyncio.sleep(place - now)


class Courier:
    """Delivers the actions of one channel.

    Parameters
    ----------
    channel : its name
    connector : carries them
    pace : how fast and how long it tries
    claims : who delivers what
    writer : where outcomes and dead letters go
    wall_ms : wall time, epoch ms
    """

    def __init__(
        self,
        channel: str,
        connector: Connector,
        pace: Pace,
        *,
        claims: Claims,
        writer: Writer,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.channel = channel
        self._connector = connector
        self._pace = pace
        self._claims = claims
        self._writer = writer
        self._wall_ms = wall_ms
        self._slots = asyncio.Semaphore(pace.concurrency)
        self._rate = RateLimit(pace.rate_per_s)
        self._process = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._numbers = itertools.count()
        # Set at the shutdown: whoever pauses between tries wakes up and leaves.
        self.stopping = asyncio.Event()
        # True while Redis answers; readiness shows it.
        self.redis_up = True

    async def deliver(self, delivery: Delivery, still_ours: Callable[[], bool]) -> bool:
        """Bring an action to its end.

        Parameters
        ----------
        still_ours : whether the action's partition still belongs to this process; asked before every try

        Returns
        -------
        False when the partition went away before the action came to its end
        """
        owner = f"{self._process}-{next(self._numbers)}"
        started = time.monotonic()
        attempt = 0
        while still_ours():
            async with self._slots:
                await self._rate.wait()
                if not still_ours():  # waiting for the slot may have taken long
                    return False
                outcome = await self._try(delivery, owner)
            if outcome is None:
                return True
            attempt += 1
            pause_s = await self._after(delivery, owner, outcome, attempt, time.monotonic() - started)
            if pause_s is None:
                return True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self.stopping.wait()  # a shutdown does not wait for a pause of minutes
        return False

    async def _try(self, delivery: Delivery, owner: str) -> DeliveryError | float | None:
        """Try once. Return None at the end, an error, or for how many seconds another holder has it."""
        action = delivery.action
        claimed = await self._lasting(lambda: self._claims.claim(action["id"], owner, self._connector.lease_s))
        if claimed.verdict == "busy":
            return claimed.busy_ms / 1000
        if claimed.settled is not None:
            metrics.REPEATS.labels(self.channel).inc()
            if claimed.settled.event == "erased":
                return None
            await self._report(delivery, claimed.settled)
            return None
        if await self._lasting(lambda: self._claims.erased(action["customer"])):
            await self._drop(delivery)
            return None
        if claimed.verdict == "doubt" and self._connector.in_doubt == "drop":
            return InDoubtError("in-doubt", "a process died while sending it; it is not sent twice")
        if delivery.now_ms(self._wall_ms()) > action["expires_at_ms"]:
            await self._settle(delivery, "expired", None, report_first=False)
            return None
        try:
            with metrics.SEND_SECONDS.labels(self.channel).time():
                detail = await self._connector.send(delivery)
        except DeliveryError as exc:
            return exc
        except Exception as exc:  # a fault of ours must not stop the partition: nobody knows what was sent
            log.exception("connector failed", channel=self.channel, action_id=action["id"])
            return InDoubtError("internal", f"the connector failed: {type(exc).__name__}")
        await self._settle(delivery, "delivered", detail, report_first=False)
        return None

    async def _drop(self, delivery: Delivery) -> None:
        """End an action of a customer who was erased; nobody is told, and its id stays settled."""
        settled = Settled("erased", delivery.now_ms(self._wall_ms()), None)
        await self._lasting(lambda: self._claims.settle(delivery.action["id"], settled))
        metrics.DELIVERIES.labels(self.channel, settled.event).inc()

    async def _after(
        self, delivery: Delivery, owner: str, outcome: DeliveryError | float, attempt: int, spent_s: float
    ) -> float | None:
        """Return how long to wait before the next try, or None when there is none."""
        if isinstance(outcome, float):
            return min(outcome, 5.0) + 0.01  # the other may settle it sooner than its lease ends
        if isinstance(outcome, InDoubtError) and self._connector.in_doubt == "resend":
            outcome = TransientError(outcome.code, str(outcome))
        if isinstance(outcome, TransientError):
            metrics.RETRIES.labels(self.channel, outcome.code).inc()
            pause_s = wait_s(attempt, draw=random.random(), retry_after_s=outcome.retry_after_s)
            if spent_s + pause_s <= self._pace.give_up_s:
                await self._lasting(lambda: self._claims.release(delivery.action["id"], owner))
                left_ms = delivery.action["expires_at_ms"] - delivery.now_ms(self._wall_ms())
                return min(pause_s, max(0.0, left_ms / 1000) + 0.01)
            outcome = PermanentError(outcome.code, f"gave up after {attempt} tries in {spent_s:.0f} s: {outcome}")
        event = outcome.event if isinstance(outcome, PermanentError) else "failed"
        await self._refuse(delivery, outcome)
        await self._settle(delivery, event, f"{outcome.code}: {outcome}", report_first=True)
        return None

    async def _refuse(self, delivery: Delivery, error: DeliveryError) -> None:
        metrics.DEAD_LETTERS.labels(self.channel, error.code).inc()
        log.warning("not delivered", channel=self.channel, action_id=delivery.action["id"], code=error.code)
        letter = letter_of(
            code=error.code,
            detail=str(error),
            channel=self.channel,
            topic=delivery.topic,
            partition=delivery.partition,
            offset=delivery.offset,
            key=delivery.key,
            value=delivery.value,
            at_ms=delivery.recorded_at_ms,
        )
        await self._lasting(lambda: self._writer.dead_letter(letter))

    async def _settle(self, delivery: Delivery, event: str, detail: str | None, *, report_first: bool) -> None:
        """End an action.

        What was sent is settled before it is reported, so that it is never sent again; what was not sent is reported
        first, so that a crash between the two cannot hide it.
        """
        settled = Settled(event, delivery.now_ms(self._wall_ms()), detail)
        if report_first:
            await self._report(delivery, settled)
        await self._lasting(lambda: self._claims.settle(delivery.action["id"], settled))
        if not report_first:
            await self._report(delivery, settled)
        metrics.DELIVERIES.labels(self.channel, event).inc()

    async def _report(self, delivery: Delivery, settled: Settled) -> None:
        action = delivery.action
        signal = of_action(action, settled.event, at_ms=settled.at_ms, wall_ms=self._wall_ms(), detail=settled.detail)
        await self._lasting(lambda: self._writer.outcome(signal, action["customer"]))

    async def _lasting(self, call: Callable[[], Awaitable[T]]) -> T:
        """Do what must be done: while Redis or Kafka is away, wait and ask again."""
        while True:
            try:
                result = await call()
            except (RedisError, OSError) as exc:
                if self.redis_up:
                    log.warning("Redis is away; deliveries wait", channel=self.channel, error=type(exc).__name__)
                self.redis_up = False
                metrics.REDIS_WAITS.labels(self.channel).inc()
            except WriteError as exc:
                log.warning("Kafka did not acknowledge; trying again", channel=self.channel, error=str(exc))
            else:
                if not self.redis_up:
                    log.info("Redis is back", channel=self.channel)
                self.redis_up = True
                return result
            await asyncio.sleep(PEER_WAIT_S)
