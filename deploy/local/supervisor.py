"""Keep the child processes of the local stack running: start in tiers, watch, restart with back-off, stop in reverse.

One thread and one loop: ``tick`` looks at every child once, and whoever runs the stack calls it. It must be the main
thread, since children are tied to the thread that starts them (``tether``).
"""

import enum
import os
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.logs import rotate
from deploy.local.processes import POLL_S, ProcessSpec, StackError, kill, spawn, stop, tail, terminate


@dataclass(frozen=True, slots=True)
class Patience:
    """How a dying child is treated; all in seconds but the counts.

    Parameters
    ----------
    first_delay_s, most_delay_s : the pause before a restart doubles from one to the other: a child that died of a
        passing cause is back at once, one that cannot run does not use a core
    loop_deaths, loop_window_s : so many deaths within so long are a crash loop: reported with the log's end
    loop_delay_s : the pause between restarts in a crash loop; the rest of the stack stays up
    start_deaths : deaths during the first start that end it: what never ran will not run by waiting
    probe_every_s, silent_probes : a child whose ``alive`` fails so many times in a row is killed and restarted.
        30 s are longer than the pauses of the chaos test, whose point is that a paused worker wakes up again
    """

    first_delay_s: float = 0.5
    most_delay_s: float = 10.0
    loop_deaths: int = 5
    loop_window_s: float = 60.0
    loop_delay_s: float = 30.0
    start_deaths: int = 3
    probe_every_s: float = 10.0
    silent_probes: int = 3


class State(enum.StrEnum):
    """Where a child is in its life."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "restarts soon"
    LOOPING = "keeps dying"
    STOPPING = "stops"
    STOPPED = "stopped"


# Folder of a stack in which a file of a child's name holds that child.
HELD = "held"

# Where a child may be for ever.
_SETTLED = frozenset({State.READY, State.STOPPED})
# Where it waits for a start; ``restart_at`` says when that may be.
_DOWN = frozenset({State.WAITING, State.LOOPING, State.STOPPED})


@dataclass(slots=True)
class Child:
    """A process of the stack and what happened to it. ``restart_at``: while it stops, when it is killed."""

    spec: ProcessSpec
    log: Path
    process: subprocess.Popen[bytes]
    started_at: float
    state: State = State.STARTING
    restarts: int = 0
    restart_at: float = 0.0
    probe_at: float = 0.0
    silent: int = 0
    deaths: deque[float] = field(default_factory=deque)


class Supervisor:
    """The children, in the order in which they were started.

    Parameters
    ----------
    logs : folder of the children's logs
    say : takes each thing that happened, as a sentence for a person
    patience : how deaths are treated
    clock : monotonic seconds
    held : says whether a child is not wanted now, by its name: it is stopped in good order, and started again when it
        is wanted again
    """

    def __init__(
        self,
        logs: Path,
        say: Callable[[str], None],
        *,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
        held: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._logs = logs
        self._say = say
        self._patience = patience or Patience()
        self._clock = clock
        self._held = held
        self._tiers: list[list[Child]] = []
        self._coming_up = False

    @property
    def children(self) -> tuple[Child, ...]:
        """All children, in the order in which they were started."""
        return tuple(child for tier in self._tiers for child in tier)

    def start(
        self, specs: Iterable[ProcessSpec], *, meanwhile: Callable[[], None] = lambda: None, pause_s: float = POLL_S
    ) -> None:
        """Start processes together and wait until all are ready, or held; ``meanwhile`` is called then and may raise.

        Raises
        ------
        StackError
            when one dies repeatedly or is not ready in time; those started stay for ``stop``
        """
        tier: list[Child] = []
        self._tiers.append(tier)
        self._coming_up = True
        for spec in specs:
            log = self._logs / f"{spec.name}.log"
            rotate(log)
            tier.append(Child(spec, log, spawn(spec, log), self._clock()))
        while any(child.state not in _SETTLED for child in tier):
            meanwhile()
            self.tick()
            time.sleep(pause_s)
        self._coming_up = False

    def tick(self) -> bool:
        """Look at every child once; say whether a state or a pid changed."""
        before = [(child.state, child.process.pid) for child in self.children]
        for child in self.children:
            self._look_at(child, self._clock())
        return before != [(child.state, child.process.pid) for child in self.children]

    def stop(self, *, hurry: Callable[[], bool] = lambda: False) -> None:
        """Stop all children, the last tier first, each tier together; ``hurry`` cuts the grace time short."""
        for tier in reversed(self._tiers):
            for child in tier:
                terminate(child.process)
            for child in tier:
                self._await_end(child, hurry)
        self._tiers.clear()

    def _await_end(self, child: Child, hurry: Callable[[], bool]) -> None:
        deadline = self._clock() + child.spec.stop_grace_s
        while child.process.poll() is None and self._clock() < deadline and not hurry():
            time.sleep(POLL_S)
        if child.process.poll() is None and not hurry():
            self._say(f"{child.spec.name} did not end within {child.spec.stop_grace_s:.0f} s and was killed")
        kill(child.process)
        child.state = State.STOPPED

    def _look_at(self, child: Child, now: float) -> None:
        held = self._held(child.spec.name)
        if child.state is State.STOPPING or (held and child.state is not State.STOPPED):
            self._hold(child, now)
            return
        if child.state in _DOWN:
            if not held and now >= child.restart_at:
                self._restart(child, now)
            return
        code = child.process.poll()
        if code is not None:
            self._died(child, now, f"ended with {_exit(code)}", hopeless=code == os.EX_CONFIG)
        elif child.state is State.STARTING:
            self._look_at_starting(child, now)
        elif child.spec.alive is not None and now >= child.probe_at:
            self._probe(child, child.spec.alive, now)

    def _look_at_starting(self, child: Child, now: float) -> None:
        if child.spec.ready():
            child.state = State.READY
            child.probe_at = now + self._patience.probe_every_s
            self._say(f"{child.spec.name} is ready (pid {child.process.pid}, {now - child.started_at:.1f} s)")
        elif now - child.started_at > child.spec.start_timeout_s:
            stop(child.process, grace_s=0)
            self._died(child, now, f"was not ready after {child.spec.start_timeout_s:.0f} s")

    def _probe(self, child: Child, alive: Callable[[], bool], now: float) -> None:
        child.probe_at = now + self._patience.probe_every_s
        child.silent = 0 if alive() else child.silent + 1
        if child.silent >= self._patience.silent_probes:
            stop(child.process, grace_s=0)
            self._died(
                child, now, f"made no progress in {child.silent} looks, one each {self._patience.probe_every_s:.0f} s"
            )

    def _hold(self, child: Child, now: float) -> None:
        """Stop a child that is not wanted now; this is no death."""
        if child.process.poll() is not None or (child.state is State.STOPPING and now >= child.restart_at):
            code = kill(child.process)  # and what it may have started itself
            child.state, child.restart_at = State.STOPPED, now
            self._say(f"{child.spec.name} ended with {_exit(code)}; it is held and not started again")
        elif child.state is not State.STOPPING:
            terminate(child.process)
            child.state, child.restart_at = State.STOPPING, now + child.spec.stop_grace_s

    def _restart(self, child: Child, now: float) -> None:
        child.process = spawn(child.spec, child.log)
        child.state, child.started_at, child.silent = State.STARTING, now, 0
        child.restarts += 1

    def _died(self, child: Child, now: float, how: str, *, hopeless: bool = False) -> None:
        """Decide what follows a death; a hopeless one (EX_CONFIG) needs a person, so it is not tried at once again."""
        kill(child.process)  # what it may have started itself
        patience, deaths = self._patience, child.deaths
        deaths.append(now)
        while deaths[0] < now - patience.loop_window_s:
            deaths.popleft()
        if self._coming_up and (hopeless or child.restarts + 1 >= patience.start_deaths):
            raise StackError(
                f"{child.spec.name} {how}, {_times(child.restarts + 1)}; its log {child.log} ends:\n{tail(child.log)}"
            )
        if hopeless or len(deaths) >= patience.loop_deaths:
            child.state, delay = State.LOOPING, patience.loop_delay_s
            self._say(
                f"{child.spec.name} {how}, {len(deaths)} times within {patience.loop_window_s:.0f} s. It is tried "
                f"again every {delay:.0f} s; everything else goes on. Its log {child.log} ends:\n{tail(child.log)}"
            )
        else:
            child.state = State.WAITING
            delay = min(patience.most_delay_s, patience.first_delay_s * 2 ** (len(deaths) - 1))
            self._say(f"{child.spec.name} {how}; it is started again in {delay:.1f} s (log: {child.log})")
        child.restart_at = now + delay


def held_in(folder: Path) -> Callable[[str], bool]:
    """Return the question whether a child is held: while there is a file of its name in a folder."""
    return lambda name: (folder / name).exists()


def _exit(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times in a row"
