"""A million customers on one worker process and a real broker: memory, recovery, speed, latency, merges, a hot key.

The customers are prepared, not lived: see ``people``; the table says so too. Everything after that is real: the worker
recovers them from the changelog, takes live signals of them through the whole loop, and is killed and started again.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Thread
from typing import Any, NamedTuple

import redis
from confluent_kafka import Producer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from connectors.serve.keys import ViewKeys
from deploy.local.processes import ProcessSpec, free_port, running
from deploy.local.running import ROOT
from deploy.local.services import redis_running
from deploy.local.topology import sada, says_yes
from schemas.identifiers import Hasher
from streams.agents.routing import Owner
from tests.bench import people, rig
from tests.bench.loop import watch
from tests.bench.people import FIRST, Person
from tests.bench.rig import Rig, Worker, resident_bytes, total
from tests.bench.traffic import SPAN_MS, Sent, named, traffic, write
from tests.peers.load import cpu_s

REPORT = ROOT / "var" / "reports" / "scale.json"
# What growth is compared with.
FEW = 10_000
SIGNALS_PER_CUSTOMER = 30
# Of one live drain; the share that warms up first.
PER_LIVE_CUSTOMER = 4
# Probes of the latency: enough for a p99.
PROBES = 500
PROBES_PER_S = 20.0
WARM_S = 10.0
LOOK_S = 0.002
# A profile that is not in Redis after so long is lost.
LOST_S = 30.0

GOALS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "bytes_per_customer_memory": ("≤ 2,500", lambda v: v <= 2_500),
    "rss_gb_rocksdb": ("≤ 1.5", lambda v: v <= 1.5),
    "recovery_s_changelog": ("≤ 30", lambda v: v <= 30),
    "recovery_s_local": ("≤ 5", lambda v: v <= 5),
    "p99_ms_profile": ("≤ 150", lambda v: v <= 150),
    "cpu_ratio_1m_over_10k": ("≤ 1.25", lambda v: v <= 1.25),
}


class Live(NamedTuple):
    """What live signals cost: signals per second, and CPU microseconds of the worker for each."""

    per_s: float
    cpu_us: float


def measure(console: Console, *, customers: int, live: int) -> dict[str, Any]:
    """Prepare the customers, then measure; write ``var/reports/scale.json``.

    Parameters
    ----------
    customers : how many
    live : signals of each drain
    """
    hasher = rig.hasher()
    start_ms = int(time.time() * 1000) - SPAN_MS - 7_200_000
    few = min(FEW, customers // 10)
    with _progress(console) as progress, rig.broker() as (bootstrap, folder):
        task = progress.add_task(f"folding a sample of {people.SAMPLE:,}", total=None)
        sample = people.fold(
            traffic(
                min(people.SAMPLE, few),
                start_ms=start_ms,
                hasher=hasher,
                per_customer=SIGNALS_PER_CUSTOMER,
                waves=3,
                first=FIRST,
            )
        )
        progress.update(task, total=1, completed=1)
        small, large = (rig.fresh(bootstrap, folder, f"scale{count}.") for count in (few, customers))
        for rigged, count in ((small, few), (large, customers)):
            task = progress.add_task(f"writing {count:,} customers to the changelog", total=count)
            people.seed(
                rigged,
                sample,
                count,
                hasher=hasher,
                told=lambda n: progress.update(task, completed=n),  # noqa: B023 - called at once
            )
        found = _measure(progress, sample, small, large, sizes=(few, customers), live=live)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps(found, indent=1) + "\n")
    _show(console, found)
    return found


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield progress


def _measure(
    progress: Progress, sample: list[Person], small: Rig, large: Rig, *, sizes: tuple[int, int], live: int
) -> dict[str, Any]:
    few, many = sizes
    steps = progress.add_task("measuring", total=5)

    def step(what: str) -> None:
        progress.update(steps, description=what, advance=1)

    step(f"{few:,} customers in memory")
    with _worker(small) as worker:
        base = resident_bytes(worker.pid)
        alone = _drain(small, worker, _signals(live, 11))
    step(f"{many:,} customers in memory: recovery from the changelog, live signals, merges, a hot key")
    with _worker(large) as worker:
        recovery_s, keys = _recovered(worker)
        grown = resident_bytes(worker.pid) - base
        crowd = _drain(large, worker, _signals(live, 11))
        merges_per_s = _merges(large, worker, live // 4)
        hot = _hot(large, worker, live)
    step("until a profile is in Redis, at half of that load")
    p99_ms = _latency(large, sample, crowd.per_s / 2)
    step(f"{many:,} customers in RocksDB")
    large.settings["SADA_STORE"] = "rocksdb"
    with _worker(large) as worker:
        port = worker.port
        from_nothing_s, _ = _recovered(worker)
        disk = _drain(large, worker, _signals(live, 12))
    with _worker(large, port=port) as worker:
        local_s, _ = _recovered(worker)
        _drain(large, worker, _signals(live, 13))
        resident = resident_bytes(worker.pid)
    progress.update(steps, completed=5)
    return {
        "customers": many,
        "signals_per_s": round(crowd.per_s),
        "bytes_per_customer_memory": round(grown / (many - few)),
        "rss_gb_rocksdb": round(resident / 1e9, 2),
        "recovery_s_changelog": round(recovery_s, 1),
        "recovery_s_local": round(local_s, 1),
        "p99_ms_profile": round(p99_ms, 1),
        "cpu_ratio_1m_over_10k": round(crowd.cpu_us / alone.cpu_us, 2),
        "hot_key_slowdown": round(hot, 2),
        "merges_per_s": round(merges_per_s),
        "details": {
            "compared_with_customers": few,
            "keys_per_customer": round(keys / many, 2),
            "cpu_us_per_signal": {
                "few": round(alone.cpu_us, 1), "many": round(crowd.cpu_us, 1), "rocksdb": round(disk.cpu_us, 1),
            },
            "signals_per_s_rocksdb": round(disk.per_s),
            "recovery_s_rocksdb_from_nothing": round(from_nothing_s, 1),
        },
    }  # fmt: skip


@contextmanager
def _worker(rigged: Rig, *, port: int | None = None) -> Iterator[Worker]:
    """Run a worker that has recovered; it ends as in a power cut."""
    worker = rigged.start_worker(port=port)
    try:
        worker.await_ready()
        yield worker
    finally:
        worker.kill()


def _recovered(worker: Worker) -> tuple[float, float]:
    """Return how long recovery took, all partitions together, and how many keys it found."""
    samples = worker.scrape()
    took = [s.value for s in samples if s.name == "sada_lane_recovery_seconds" and s.labels["stage"] == "customers"]
    return max(took), total(samples, "sada_lane_recovered_keys", stage="customers")


def _signals(count: int, seed: int, *, customers: int | None = None, first: int = FIRST) -> list[Sent]:
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


def _done(worker: Worker) -> int:
    return int(total(worker.scrape(), "sada_signals_total"))


def _drain(rigged: Rig, worker: Worker, sent: list[Sent]) -> Live:
    """Have a worker take in signals that lie in Kafka; a tenth warms it up."""
    warm = len(sent) // 10
    write(rigged.bootstrap, sent[:warm], prefix=rigged.prefix)
    before = _done(worker)
    watch([worker], before + warm)
    began_s, began_cpu = time.monotonic(), cpu_s(worker.pid)
    write(rigged.bootstrap, sent[warm:], prefix=rigged.prefix)
    watch([worker], before + len(sent))
    count = len(sent) - warm
    return Live(count / (time.monotonic() - began_s), (cpu_s(worker.pid) - began_cpu) / count * 1e6)


def _merges(rigged: Rig, worker: Worker, pairs: int) -> float:
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
    before = _done(worker)
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


def _hot(rigged: Rig, worker: Worker, live: int) -> float:
    """Return how many times longer a partition takes for as many signals when half of them are one customer's."""
    owner = Owner(rigged.partitions)
    hot = _signals(live // 4, 21, customers=1, first=FIRST + 7_000_000)
    at = owner.partition_of(hot[0].key)
    hot = [signal for signal in hot if owner.partition_of(signal.key) == at]
    others = [s for s in _signals(3 * rigged.partitions * len(hot), 22) if owner.partition_of(s.key) == at]
    half = min(len(hot), len(others) // 3)
    even = _drain(rigged, worker, others[: 2 * half])
    mixed = [s for pair in zip(others[2 * half : 3 * half], hot[:half], strict=True) for s in pair]
    return even.per_s / _drain(rigged, worker, mixed).per_s


def _latency(rigged: Rig, sample: list[Person], per_s: float) -> float:
    """Return the 99th percentile of the time from a signal's sending until its customer's profile is in Redis, ms."""
    hasher = rig.hasher()
    background = _signals(int(per_s * (WARM_S + PROBES / PROBES_PER_S + 5)), 31, first=FIRST + PROBES * 2)
    with redis_running(rigged.folder) as url, _serve(rigged, url), _worker(rigged) as worker:
        ended = Event()
        loaded = Thread(target=_load, args=(rigged, background, per_s, ended), daemon=True)
        loaded.start()
        try:
            time.sleep(WARM_S)
            waits = _probe(rigged, url, sample, hasher)
        finally:
            ended.set()
            loaded.join(30)
        worker.scrape()
    return sorted(waits)[int(0.99 * len(waits))]


@contextmanager
def _serve(rigged: Rig, url: str) -> Iterator[None]:
    port = free_port()
    env = {**rigged.environment(), "SADA_REDIS": url, "SADA_METRICS_PORT": str(port)}
    spec = ProcessSpec("serve", sada("serve"), ready=says_yes(port, "/readyz"), env=env, start_timeout_s=120.0)
    with ExitStack() as stack:
        stack.enter_context(running(spec, rigged.folder / "serve.log"))
        yield


def _load(rigged: Rig, sent: list[Sent], per_s: float, ended: Event) -> None:
    """Write signals at a steady rate."""
    producer = Producer({"bootstrap.servers": rigged.bootstrap, "linger.ms": 5, "partitioner": "murmur2_random"})
    began, done = time.monotonic(), 0
    while not ended.is_set() and done < len(sent):
        until = min(len(sent), int((time.monotonic() - began) * per_s))
        for topic, key, value, _ in sent[done:until]:
            producer.produce(rigged.prefix + topic, value, key)
        producer.poll(0)
        done = until
        time.sleep(0.01)
    producer.flush(30)


def _probe(rigged: Rig, url: str, sample: list[Person], hasher: Hasher) -> list[float]:
    """Send one signal of each of some known customers on a fixed schedule; return how long each took, ms.

    Nothing of them is in Redis before: it holds only those whose profile was written since it began.
    """
    view, keys = redis.Redis.from_url(url), ViewKeys(rigged.prefix)
    producer = Producer({"bootstrap.servers": rigged.bootstrap, "linger.ms": 0, "partitioner": "murmur2_random"})
    made = people.customers(sample, PROBES, hasher)
    now_ms = int(time.time() * 1000)
    probes: list[tuple[list[str], Sent]] = []
    for number, one in enumerate(made, FIRST):
        signal = named(number, {"user_id": f"user-{number}"}, name=f"probe-{number}", at_ms=now_ms)
        probes.append(([keys.profile(root) for root in one.roots], signal))
    sent_at: dict[int, float] = {}
    waits: dict[int, float] = {}
    began = time.monotonic()
    while len(waits) < len(probes):
        now = time.monotonic()
        if len(sent_at) < len(probes) and now >= began + len(sent_at) / PROBES_PER_S:
            number = len(sent_at)
            topic, key, value, _ = probes[number][1]
            producer.produce(rigged.prefix + topic, value, key)
            producer.flush(5)
            sent_at[number] = now
        open_ones = [number for number in sent_at if number not in waits]
        with view.pipeline(transaction=False) as pipe:
            for number in open_ones:
                pipe.exists(*probes[number][0])
            there = pipe.execute()
        now = time.monotonic()
        waits |= {number: (now - sent_at[number]) * 1e3 for number, yes in zip(open_ones, there, strict=True) if yes}
        if open_ones and now - sent_at[open_ones[0]] > LOST_S:
            raise RuntimeError(f"the profile of probe {open_ones[0]} was not in Redis after {LOST_S:.0f} s")
        time.sleep(LOOK_S)
    return list(waits.values())


def _show(console: Console, found: dict[str, Any]) -> None:
    """Print what was measured beside the goals."""
    table = Table(
        title=f"scale: {found['customers']:,} customers, prepared: {people.SAMPLE:,} were folded signal by signal, "
        "the others are copies under numbers of their own"
    )
    for column in ("what", "goal", "measured", ""):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, value in found.items():
        if name == "details":
            continue
        goal, reached = GOALS.get(name, ("", None))
        verdict = "" if reached is None else "[green]reached[/]" if reached(value) else "[red]not reached[/]"
        table.add_row(name, goal, f"{value:,}", verdict)
    console.print(table)
    console.print(f"written to {REPORT}")
