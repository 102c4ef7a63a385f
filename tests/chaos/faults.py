"""Faults against a running stack: kill -9, pauses past the session timeout, restarts of the broker and of Redis, and
workers that come and go."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from confluent_kafka import KafkaException

from deploy.local.processes import StackError
from deploy.local.running import Running
from deploy.local.supervisor import State
from tests.chaos.placement import owners, recovered
from tests.chaos.world import merges, merges_end

# The workers' session timeout is 10 s: after a pause of 13 s another worker owns their partitions.
PAUSE_S = 13.0
# Between two faults, and once more of it at random; the supervisor has begun to restart what died.
GAP_S = 2.0
# Before the next fault so many records more are in ``merges``, so that each hits people who merge; a machine that is
# too busy for that within so many seconds is not waited for.
MERGING, MERGING_WITHIN_S = 60, 15.0
# A worker imports for a minute on a busy machine, and its partitions come to it after one more rebalance.
MOVED_WITHIN_S = 180.0

FIRST, *OTHERS = WORKERS = ("worker-1", "worker-2", "worker-3")


@dataclass(slots=True)
class Wanted:
    """What is to be done. ``rescales``: from one worker to three and back."""

    kills: int
    pauses: int
    rescales: int
    restarts: bool


@dataclass(slots=True)
class Done:
    """What was done.

    Parameters
    ----------
    rebalances : changes of the number of workers
    merges : of customers, before the last fault was over
    missed : rebalances that did not move partitions to where they had to be
    """

    kills: int = 0
    pauses: int = 0
    broker_restarts: int = 0
    redis_restarts: int = 0
    rebalances: int = 0
    merges: int = 0
    missed: list[str] = field(default_factory=list)


def plan(wanted: Wanted, rnd: random.Random) -> list[str]:
    """Return the steps in order: faults in a shuffled order; half of them while there are three workers.

    Each way back from three workers to one kills one of them, and counts as a kill.
    """
    few = ["kill"] * max(0, wanted.kills - wanted.rescales) + ["pause"] * wanted.pauses
    few += ["broker", "redis"] if wanted.restarts else []
    rnd.shuffle(few)
    if not wanted.rescales:
        return few
    # A pause has its point where another worker can take over.
    few.sort(key=lambda what: what == "pause")
    middle = max(1, len(few) // 2)
    alone, together = few[: len(few) - middle], few[len(few) - middle :]
    steps: list[str] = []
    for number in range(wanted.rescales):
        steps += [*alone[number :: wanted.rescales], "up", *together[number :: wanted.rescales], "down"]
    return steps


class Attack:
    """A thread that does the steps, and says what it did.

    Parameters
    ----------
    stack : started with three workers
    say : takes each thing done
    """

    def __init__(self, stack: Running, wanted: Wanted, *, seed: int, say: Callable[[str], None]) -> None:
        self.done = Done()
        self._stack, self._wanted, self._say = stack, wanted, say
        self._end = 0  # of ``merges`` at the last fault
        self._rnd = random.Random(seed)
        self._workers = list(WORKERS)
        self._failed: list[str] = []
        self._thread = threading.Thread(target=self._run, name="faults")

    def start(self) -> None:
        """Begin; with rescales, with one worker that has all partitions."""
        if self._wanted.rescales:
            for name in OTHERS:
                self._stack.hold(name)
            self._settle([FIRST])
        self._thread.start()

    @property
    def going_on(self) -> bool:
        """Say whether it is not over."""
        return self._thread.is_alive()

    def finish(self) -> Done:
        """Wait for the end, and for all workers that died; return what was done.

        Raises
        ------
        StackError
            when something did not come back
        """
        self._thread.join()
        if self._failed:
            raise StackError("; ".join(self._failed))
        for name in (*self._workers, "serve", "redis", "kafka"):
            self._stack.await_state(name, State.READY)
        return self.done

    def _run(self) -> None:
        steps = plan(self._wanted, self._rnd)
        try:
            for number, what in enumerate(steps, 1):
                time.sleep(GAP_S * (1 + self._rnd.random()))
                self._await_merges()
                told = self._scale(what) if what in ("up", "down") else self._hit(what)
                self._say(f"{number}/{len(steps)}: {told}")
            self.done.merges = merges(self._stack.kafka)
        except Exception as error:  # noqa: BLE001 - told by finish, to whoever asks for the result
            self._failed.append(repr(error))

    def _await_merges(self) -> None:
        """Wait until people have merged since the last fault, for a while."""
        deadline = time.monotonic() + MERGING_WITHIN_S
        while time.monotonic() < deadline:
            with contextlib.suppress(KafkaException):  # the broker may be what was hit
                now = merges_end(self._stack.kafka)
                if now >= self._end + MERGING:
                    self._end = now
                    return
            time.sleep(0.5)

    def _hit(self, what: str) -> str:
        name = {"broker": "kafka", "redis": "redis"}.get(what) or self._rnd.choice(self._workers)
        pid = self._stack.await_state(name, State.READY).pid
        if what == "pause":
            os.kill(pid, signal.SIGSTOP)
            time.sleep(PAUSE_S)
            with contextlib.suppress(ProcessLookupError):  # a supervisor may have given it up
                os.kill(pid, signal.SIGCONT)
            self.done.pauses += 1
        else:
            os.kill(pid, signal.SIGKILL)
            self.done.kills += what == "kill"
            self.done.broker_restarts += what == "broker"
            self.done.redis_restarts += what == "redis"
        return f"{what} {name} (pid {pid})"

    def _scale(self, what: str) -> str:
        """Let two workers come, or let one of them end in good order while the other is killed."""
        began = time.monotonic()
        if what == "up":
            for name in OTHERS:
                self._stack.release(name)
            told = self._settle(list(WORKERS))
        else:
            killed, ended = self._rnd.sample(OTHERS, 2)
            self._stack.hold(ended)
            os.kill(self._stack.await_state(killed, State.READY).pid, signal.SIGKILL)
            self._stack.hold(killed)
            self.done.kills += 1
            told = f"{killed} killed, {ended} ended: {self._settle([FIRST])}"
        self.done.rebalances += 1
        return f"{told} after {time.monotonic() - began:.0f} s"

    def _settle(self, workers: list[str]) -> str:
        """Wait until these workers, and no others, have the partitions; say who has which."""
        self._workers = workers
        deadline = time.monotonic() + MOVED_WITHIN_S
        while True:
            now = owners(recovered(self._stack.var / "logs"))
            if set(now.values()) == set(workers):
                return ", ".join(f"{name} has {[p for p in sorted(now) if now[p] == name]}" for name in workers)
            if time.monotonic() > deadline:
                self.done.missed.append(f"not all of {workers} had partitions in {MOVED_WITHIN_S:.0f} s: {now}")
                return self.done.missed[-1]
            time.sleep(0.5)
