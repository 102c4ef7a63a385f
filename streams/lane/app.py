"""Composition: stages become one Faust application, and a worker process runs it.

A worker process::

    from streams.lane.app import build, run
    from streams.lane.config import LaneConfig
    from streams.lane.metrics import PrometheusObserver

    config = LaneConfig(app="sada", bootstrap="127.0.0.1:9092", directory=Path("var/lane/worker-1"))
    app = build(config, [customers_stage, learners_stage], observer=PrometheusObserver(group="sada"))
    app.lane.health.ready()   # (bool, reason): all owned partitions recovered and open      -> /readyz
    app.lane.health.live()    # (bool, reason): no partition with work stands still          -> /livez
    sys.exit(run(app))        # until SIGTERM or SIGINT (0), or until something fails (not 0: start it again)

Stages of one application may have different partition counts; all sources and the changelog of one stage have the
same. All topics exist before the worker starts (the lane creates none). Workers with the same ``config.app`` share
the partitions. ``run(app, beside=[serve_metrics])`` runs coroutines beside the app in its event loop, from before the
lane starts until it stops; one that raises ends the process.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import uvloop

from streams.lane.config import LaneConfig
from streams.lane.errors import LaneError, PositionError, TopologyError
from streams.lane.faust_app import LaneApp
from streams.lane.job import Stage
from streams.lane.lane import Lane
from streams.lane.observer import NO_OBSERVER, Observer
from streams.lane.topology import check_topology

log = logging.getLogger(__name__)

Beside = Callable[[], Awaitable[None]]

# 70, EX_SOFTWARE: the worker failed and may be started again; 78, EX_CONFIG: an operator must act first.
EXIT_FAILED = 70
EXIT_MISCONFIGURED = 78
# 10 s: a clean stop waits for commits (p95 17 ms) and leaves the group; whatever takes longer hangs. A hard end loses
# nothing: what was not committed is aborted by the next owner.
STOP_WITHIN_S = 10.0
# 5 s when something failed: Faust may never come to an end then, and others wait for the partitions.
FAIL_WITHIN_S = 5.0


def build(config: LaneConfig, stages: Sequence[Stage[Any]], *, observer: Observer = NO_OBSERVER) -> LaneApp:
    """Build the Faust application of some stages: an agent and a table per stage, fed by the lane.

    Parameters
    ----------
    config : where Kafka is and how the lane behaves
    stages : at least one; names, changelogs and sources are not shared between stages
    observer : told of batches, aborts, recoveries and lag

    Raises
    ------
    TopologyError
        when two stages share a name, a changelog or a source, or a stage has no source
    """
    return LaneApp(config, Lane(config, stages, observer))


def run(app: LaneApp, *, beside: Sequence[Beside] = ()) -> int:
    """Run a worker until it is told to stop or fails; return the exit code of the process.

    Returns
    -------
    0 after SIGTERM or SIGINT; ``EXIT_MISCONFIGURED`` when topics are missing or do not fit;
    ``EXIT_FAILED`` after a fence, a fatal producer error or any other failure that is not a record's fault
    """
    try:
        check_topology(app.lane.config, list(app.lane.stages.values()))
    except LaneError as exc:
        log.critical("cannot start: %s", exc)
        return EXIT_MISCONFIGURED
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    with asyncio.Runner() as runner:
        return runner.run(_serve(app, beside))


async def _serve(app: LaneApp, beside: Sequence[Beside]) -> int:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    tasks = [asyncio.ensure_future(coroutine()) for coroutine in beside]
    app.lane.bind(loop)
    # Not awaited by itself: it ends only when all is recovered, and much may fail before that.
    starting = asyncio.ensure_future(app.start())
    failure = await _first_failure(app, told, starting, tasks)
    code = _exit_code(failure)
    _end_hard_after(STOP_WITHIN_S if code == 0 else FAIL_WITHIN_S, code)
    if failure is not None:
        log.critical("the worker ends: %s: %s", type(failure).__name__, failure, exc_info=failure)
    for task in (starting, *tasks):
        task.cancel()
    try:
        await app.stop()
        app.lane.close()
    except Exception:
        log.critical("the worker could not stop in order; nothing is lost by that", exc_info=True)
        return code or EXIT_FAILED
    return code


def _exit_code(failure: BaseException | None) -> int:
    if failure is None:
        return 0
    return EXIT_MISCONFIGURED if isinstance(failure, TopologyError | PositionError) else EXIT_FAILED


async def _first_failure(
    app: LaneApp,
    told: asyncio.Event,
    starting: "asyncio.Future[None]",
    tasks: Sequence["asyncio.Future[None]"],
) -> BaseException | None:
    """Wait until the worker is told to stop (None) or the lane, Faust or a coroutine beside them fails."""
    ends: tuple[Awaitable[object], ...] = (told.wait(), app.lane.failed.wait(), app.wait_crashed())
    waits: set[asyncio.Future[Any]] = {asyncio.ensure_future(end) for end in ends}
    running: set[asyncio.Future[Any]] = {starting, *waits, *tasks}
    try:
        while True:
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            if app.lane.failure is not None:
                return app.lane.failure
            if app.failure is not None:
                return app.failure
            for task in tasks:
                if task.done():
                    return task.exception() or LaneError("a coroutine beside the lane ended by itself")
            if told.is_set():
                return None
            if starting in running and starting.done():
                running.discard(starting)
                if (failure := starting.exception()) is not None:
                    return failure
    finally:
        for wait in waits:
            wait.cancel()


def _end_hard_after(seconds: float, code: int) -> None:
    """End the process, come what may, unless it ends by itself first: a worker never hangs."""

    def end() -> None:
        log.critical("the worker did not stop within %.0f s: ending hard", seconds)
        sys.stderr.flush()
        os._exit(code or EXIT_FAILED)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
