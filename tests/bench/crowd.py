"""Live signals on a worker that has recovered: what they cost, how fast people merge, and what one hot key does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from deploy.local.running import read_topic
from schemas import topics
from schemas.identifiers import Identifier
from schemas.wire import codec_of
from streams.agents.routing import Owner
from tests.bench import rig
from tests.bench.loop import watch
from tests.bench.people import FIRST
from tests.bench.rig import Rig, Worker, total
from tests.bench.traffic import Sent, named, traffic, write
from tests.peers.load import cpu_s

# Of one live drain; the share that warms up first.
PER_LIVE_CUSTOMER = 4
# A worker that only waits takes some 3 % of a core; one that works, half or more.
CALM_S, CALM_SHARE, CALM_WITHIN_S = 3.0, 0.15, 900.0


class Hot(NamedTuple):
    """What one key that makes half of a partition's traffic does to the others.

    Parameters
    ----------
    slowdown : signals per second of the others without it, over those with it, when the partition takes all it can; 2
        would be that each of its signals costs as much as any other
    cost_ratio : CPU of one of its signals over that of another's
    flagged : why its profile is suspicious
    """

    slowdown: float
    cost_ratio: float
    flagged: list[str]


class Live(NamedTuple):
    """What live signals cost: signals per second, and CPU microseconds of the worker for each."""

    per_s: float
    cpu_us: float


@contextmanager
def ready_worker(rigged: Rig, *, port: int | None = None) -> Iterator[Worker]:
    """Run a worker that has recovered; it ends as in a power cut."""
    worker = rigged.start_worker(port=port)
    try:
        worker.await_ready()
        yield worker
    finally:
        worker.kill()


def signals(count: int, seed: int, *, customers: int | None = None, first: int = FIRST) -> list[Sent]:
    """Return live signals of customers who are known."""
    return traffic(
        count // PER_LIVE_CUSTOMER if customers is None else customers,
        start_ms=int(time.time() * 1000) - 3_600_000,
        hasher=rig.hasher(),
        per_customer=PER_LIVE_CUSTOMER if customers is None else count // customers,
        waves=1,
        seed=seed,
        first=first,
    )


def done(worker: Worker) -> int:
    return int(total(worker.scrape(), "sada_signals_total"))


def drain(rigged: Rig, worker: Worker, sent: list[Sent]) -> Live:
    """Have a worker take in signals that lie in Kafka; a tenth warms it up.

    The first of them moves stream time on from where the prepared customers' lay, so that some 9 % of all customers
    have a timer that goes off: of a million that takes minutes, and is no part of what a signal costs.
    """
    warm = len(sent) // 10
    before = done(worker)  # before the first is written: a worker that has nothing else to do is quicker than we
    write(rigged.bootstrap, sent[:warm], prefix=rigged.prefix)
    watch([worker], before + warm)
    calm(worker)
    began_s, began_cpu = time.monotonic(), cpu_s(worker.pid)
    write(rigged.bootstrap, sent[warm:], prefix=rigged.prefix)
    watch([worker], before + len(sent))
    count = len(sent) - warm
    return Live(count / (time.monotonic() - began_s), (cpu_s(worker.pid) - began_cpu) / count * 1e6)


def calm(worker: Worker) -> None:
    """Wait until a worker has nothing left to do.

    Raises
    ------
    RuntimeError
        when that takes too long
    """
    until_s = time.monotonic() + CALM_WITHIN_S
    while True:
        before = cpu_s(worker.pid)
        time.sleep(CALM_S)
        if cpu_s(worker.pid) - before < CALM_SHARE * CALM_S:
            return
        if time.monotonic() > until_s:
            raise RuntimeError(f"worker {worker.pid} is still busy after {CALM_WITHIN_S:.0f} s")


def merges(rigged: Rig, worker: Worker, pairs: int) -> float:
    """Return merges per second: people known by two names each, then one signal that has both."""
    at_ms = int(time.time() * 1000) - 3_600_000
    first = FIRST + 8_000_000
    apart: list[Sent] = []
    both: list[Sent] = []
    for number in range(first, first + pairs):
        names = {"user_id": f"user-{number}", "device_id": f"device-{number}"}
        apart += [
            named(number, {kind: value}, name=f"{kind}-{number}", at_ms=at_ms + number % 60_000)
            for kind, value in names.items()
        ]
        both.append(named(number, names, name=f"both-{number}", at_ms=at_ms + 120_000 + number % 60_000))
    before = done(worker)
    write(rigged.bootstrap, apart, prefix=rigged.prefix)
    watch([worker], before + len(apart))

    def merged() -> float:
        return total(worker.scrape(), "sada_identity_events_total", event="merged")

    begun, began_s = merged(), time.monotonic()
    write(rigged.bootstrap, both, prefix=rigged.prefix)
    while merged() - begun < pairs:
        time.sleep(0.1)
        if time.monotonic() - began_s > 600:
            raise RuntimeError(f"{merged() - begun:.0f} of {pairs} merges after ten minutes")
    return pairs / (time.monotonic() - began_s)


def hot_key(rigged: Rig, worker: Worker, live: int) -> Hot:
    """Have a partition take in signals of many, then as many again beside as many of one."""
    owner = Owner(rigged.partitions)
    number, begin_ms = FIRST + 7_000_000, int(time.time() * 1000) - 3_600_000
    node = rig.hasher().node(Identifier("user_id", f"user-{number}"))
    half = live // 4
    hot = [
        named(number, {"user_id": f"user-{number}"}, name=f"hot-{at}", at_ms=begin_ms + at * 300_000 // half)
        for at in range(half)
    ]
    mine = owner.partition_of(node)
    drawn = signals(3 * rigged.partitions * half, 22)
    others = [signal for signal in drawn if owner.partition_of(signal.key) == mine][: 2 * half]
    even = drain(rigged, worker, others[:half])
    pairs = zip(others[half:], [signal._replace(key=node) for signal in hot], strict=False)
    both = drain(rigged, worker, [signal for pair in pairs for signal in pair])
    return Hot(even.per_s / (both.per_s / 2), 2 * both.cpu_us / even.cpu_us - 1, _suspicions(rigged, node))


def _suspicions(rigged: Rig, node: bytes) -> list[str]:
    """Return why the newest profile that has a member is suspicious."""
    found: list[str] = []
    codec = codec_of("profile")
    for _, value in read_topic(rigged.bootstrap, rigged.prefix + topics.PROFILES):
        profile: Any = {} if value is None else codec.decode(value)
        if any(member["node"] == node for member in profile.get("members", ())):
            found = profile["flags"]["suspicions"]
    return found
