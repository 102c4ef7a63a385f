"""`sada up`: Kafka, Redis, topics and every process of Sada on this machine, until it is told to stop.

The order is its safety: everything that can refuse (disk, ports, Java, a second `sada up`) refuses before the first
process starts, and whatever is started is stopped again on every way out. Only SIGKILL skips that, and then the
children are killed by the kernel (``tether``).
"""

import contextlib
import hashlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from deploy.local import jars, kafka, keys, preflight, redis, topology
from deploy.local.logs import rotate
from deploy.local.processes import ProcessSpec, StackError, run_to_end
from deploy.local.supervisor import HELD, Child, Patience, Supervisor, held_in
from streams.settings import Settings

# Where users look for it. Kafka's and Redis's own defaults are left to those that run there already.
GATEWAY_PORT, KAFKA_PORT, REDIS_PORT = 8400, 9192, 6479

# How often children are looked at, and how often logs and the disk are, in seconds.
LOOK_EVERY_S = 0.1
TIDY_EVERY_S = 10.0


class StopAskedError(Exception):
    """Ctrl-C or SIGTERM came while the stack was starting."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may choose, and what tests replace.

    Parameters
    ----------
    var : folder of all state
    gateway_port, kafka_port, redis_port : loopback ports; 0 takes a free one
    catalogue : file to publish when it is new or has changed
    steps, rows : the process table
    own_timeout_s : how long a user's own Kafka or Redis may take to answer
    free : bytes free on a folder's disk
    """

    var: Path = Path("var")
    gateway_port: int = GATEWAY_PORT
    kafka_port: int = KAFKA_PORT
    redis_port: int = REDIS_PORT
    catalogue: Path | None = None
    steps: Sequence[topology.Row] = topology.STEPS
    rows: Sequence[topology.Row] = topology.ROWS
    own_timeout_s: float = 15.0
    patience: Patience = field(default_factory=Patience)
    free: preflight.FreeBytes = preflight.free_bytes


class Process(msgspec.Struct, frozen=True):
    """One process in ``var/up.json``."""

    name: str
    pid: int
    state: str
    restarts: int


class UpFile(msgspec.Struct, frozen=True):
    """``var/up.json``: every address of a running stack, for scripts. It exists only while all of it is up."""

    kafka: str
    redis: str
    gateway: str
    desk: str
    metrics: list[str]
    write_key: str
    api_key: str
    supervisor: int
    pids: dict[str, int]
    processes: list[Process]


@dataclass(frozen=True, slots=True)
class Plan:
    """A stack that may start: all that is needed was found and every port was free."""

    brokers: Sequence[ProcessSpec]
    settings: dict[str, str]
    rows: Sequence[ProcessSpec]
    ports: dict[str, int]
    keys: keys.Keys


class StopSignals:
    """Counts requests to stop: the first stops the stack in order, a second one at once."""

    def __init__(self) -> None:
        self.count = 0

    def check(self) -> None:
        """Raise `StopAskedError` when there was one."""
        if self.count:
            raise StopAskedError

    def hurry(self) -> bool:
        """Say whether there was more than one."""
        return self.count > 1

    @contextlib.contextmanager
    def caught(self) -> Iterator["StopSignals"]:
        """Take Ctrl-C, SIGTERM and the end of the terminal as requests while the block runs."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, _number: int, _frame: object) -> None:
        self.count += 1


def run(
    options: Options,
    say: Callable[[str], None],
    *,
    show: Callable[[Sequence[Child]], None] = lambda _: None,
    ready: Callable[[UpFile], None] = lambda _: None,
) -> None:
    """Run the stack until a signal asks for its end.

    Parameters
    ----------
    say : takes each thing that happened, as a sentence
    show : takes the children, about ten times a second
    ready : called once when all is up

    Raises
    ------
    StackError
        when it cannot start or go on; nothing is left running
    """
    with preflight.owned(options.var), topology.PortClaims() as claims:
        (options.var / "up.json").unlink(missing_ok=True)  # of one that was killed: nothing of it runs any more
        held = options.var / HELD
        shutil.rmtree(held, ignore_errors=True)  # what is held is held until the stack ends
        plan = prepare(options, claims)
        supervisor = Supervisor(options.var / "logs", say, patience=options.patience, held=held_in(held))
        with StopSignals().caught() as asked:
            try:
                _bring_up(options, plan, supervisor, asked, show)
                ready(_publish(options.var, plan, supervisor))
                _watch(options, plan, supervisor, asked, show)
            except StopAskedError:
                say("Stopping ...")
            finally:
                (options.var / "up.json").unlink(missing_ok=True)
                supervisor.stop(hurry=asked.hurry)


def prepare(options: Options, claims: topology.PortClaims) -> Plan:
    """Check all that can be checked, and prepare each process; ``claims`` keeps its ports from other stacks.

    Raises
    ------
    StackError
        naming what is missing or in the way
    """
    var = options.var.resolve()
    preflight.check_space(var, free=options.free)
    made = keys.load_or_make(var / "secrets.json")
    gateway_port = _port(claims, options.gateway_port, "the gateway", "--gateway-port or SADA_HTTP_PORT")
    brokers: list[ProcessSpec] = []
    redis_url = os.environ.get("SADA_REDIS")
    if not redis_url:
        port = _port(claims, options.redis_port, "Redis", "--redis-port, or SADA_REDIS for a Redis of your own")
        brokers.append(redis.server(var / "redis", port=port))
        redis_url = f"redis://127.0.0.1:{port}/0"
    bootstrap = os.environ.get("SADA_KAFKA")
    if not bootstrap:
        port = _port(claims, options.kafka_port, "Kafka", "--kafka-port, or SADA_KAFKA for a Kafka of your own")
        cache = jars.cache_folder(var / "cache")
        brokers.append(kafka.node(var / "kafka", port=port, controller_port=claims.any(), cache=cache))
        bootstrap = f"127.0.0.1:{port}"
    settings = {
        **topology.addresses(kafka=bootstrap, redis=redis_url, gateway_port=gateway_port, var=str(var)),
        **topology.secrets(made),
    }
    ports = topology.metrics_ports(options.rows, claims)
    return Plan(brokers, settings, topology.specs(options.rows, settings, ports), ports, made)


def _bring_up(
    options: Options,
    plan: Plan,
    supervisor: Supervisor,
    asked: StopSignals,
    show: Callable[[Sequence[Child]], None],
) -> None:
    def meanwhile() -> None:
        asked.check()
        show(supervisor.children)

    supervisor.start(plan.brokers, meanwhile=meanwhile)
    if os.environ.get("SADA_KAFKA"):
        kafka.await_answer(Settings().librdkafka(), timeout_s=options.own_timeout_s)
    if os.environ.get("SADA_REDIS"):
        redis.await_answer(plan.settings["SADA_REDIS"], timeout_s=options.own_timeout_s)
    for step in options.steps:
        _run_step(options, plan, step, meanwhile)
    if options.catalogue is not None:
        _publish_catalogue(options, plan, options.catalogue, meanwhile)
    supervisor.start(plan.rows, meanwhile=meanwhile)


def _run_step(options: Options, plan: Plan, step: topology.Row, meanwhile: Callable[[], None]) -> None:
    spec = ProcessSpec(step.name, step.args, ready=lambda: True, env=plan.settings)
    run_to_end(spec, options.var / "logs" / f"{step.name}.log", meanwhile=meanwhile)


def _publish_catalogue(options: Options, plan: Plan, file: Path, meanwhile: Callable[[], None]) -> None:
    """Publish a catalogue unless this very content was: what `sada catalogue publish` brought since is not undone."""
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise StackError(f"The catalogue {file} cannot be read: {error.strerror}.") from error
    mark = options.var / "catalogue.sha256"
    if mark.exists() and mark.read_text() == digest:
        return
    publish = topology.Row("catalogue", topology.sada("catalogue", "publish", str(file)))
    _run_step(options, plan, publish, meanwhile)
    mark.write_text(digest)


def _watch(
    options: Options,
    plan: Plan,
    supervisor: Supervisor,
    asked: StopSignals,
    show: Callable[[Sequence[Child]], None],
) -> None:
    tidy_at = time.monotonic() + TIDY_EVERY_S
    while True:
        asked.check()
        if supervisor.tick():
            _publish(options.var, plan, supervisor)
        show(supervisor.children)
        if time.monotonic() > tidy_at:
            tidy_at = time.monotonic() + TIDY_EVERY_S
            for child in supervisor.children:
                rotate(child.log)
            # Kafka that cannot write dies with a torn segment; stopping it now keeps what it has.
            preflight.check_space(options.var, needed=preflight.LEAST_BYTES, free=options.free)
        time.sleep(LOOK_EVERY_S)


def _publish(var: Path, plan: Plan, supervisor: Supervisor) -> UpFile:
    gateway = f"http://127.0.0.1:{plan.settings['SADA_HTTP_PORT']}"
    children = supervisor.children
    up = UpFile(
        kafka=plan.settings["SADA_KAFKA"],
        redis=plan.settings["SADA_REDIS"],
        gateway=gateway,
        desk=f"{gateway}/desk",
        metrics=[f"http://127.0.0.1:{port}/metrics" for port in plan.ports.values()],
        write_key=plan.keys.write_key,
        api_key=plan.keys.api_key,
        supervisor=os.getpid(),
        pids={child.spec.name: child.process.pid for child in children},
        processes=[
            Process(child.spec.name, child.process.pid, child.state.value, child.restarts) for child in children
        ],
    )
    keys.write_private(var / "up.json", msgspec.json.format(msgspec.json.encode(up)))
    return up


def _port(claims: topology.PortClaims, wanted: int, what: str, choose: str) -> int:
    if wanted == 0:
        return claims.any()
    preflight.check_port(wanted, what=what, choose=choose)
    return wanted
