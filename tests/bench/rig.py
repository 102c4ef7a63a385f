"""What the parts measure with: a broker of their own, workers that are started late, and a look at processes."""

import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from deploy.local.processes import ProcessSpec, await_ready, free_port, kill, running, spawn, stop
from deploy.local.running import ROOT
from deploy.local.services import kafka_running
from deploy.local.topology import LOCAL_PARTITIONS, sada, says_yes
from schemas.admin import create_topics
from schemas.identifiers import Hasher
from streams.agents.catalogue import publish
from streams.agents.catalogue_command import read_file
from streams.settings import Settings

CATALOGUE = ROOT / "deploy" / "local" / "catalogue.yaml"
# Secrets of a bench: whoever reads its topics reads made-up people.
NODE_KEY, SNAPSHOT_KEY, SEAL_KEY = "5a" * 32, "a5" * 32, "55" * 32
# A worker imports River and SciPy, then replays its state.
START_WITHIN_S = 300.0
PAGE = os.sysconf("SC_PAGE_SIZE")
# Memory has settled when it moves by less than a megabyte a second for eight seconds.
CALM_S, CALM_BYTES, SETTLES_WITHIN_S = 8, 1_000_000, 180.0

Spread = dict[str, float]


def spread(values: Sequence[float], digits: int = 0) -> Spread:
    """Return median, min and max of the runs."""
    rounded = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits) for name, value in rounded.items()}


def resident_bytes(pid: int) -> int:
    """Return the memory of a process that is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def settled_bytes(pid: int) -> int:
    """Return the resident memory of a process once it grows no more: a worker that is ready still imports River.

    Raises
    ------
    RuntimeError
        when it does not settle
    """
    last, calm, until_s = 0, 0, time.monotonic() + SETTLES_WITHIN_S
    while calm < CALM_S:
        time.sleep(1.0)
        now = resident_bytes(pid)
        calm = calm + 1 if abs(now - last) < CALM_BYTES else 0
        last = now
        if time.monotonic() > until_s:
            raise RuntimeError(f"the memory of process {pid} still moves after {SETTLES_WITHIN_S:.0f} s")
    return last


class Sample(NamedTuple):
    """One value of a metric, with its labels."""

    name: str
    labels: dict[str, str]
    value: float


@dataclass(slots=True)
class Worker:
    """A worker process, its metrics port, and when it was started by ``time.monotonic``."""

    process: Popen[bytes]
    spec: ProcessSpec
    log: Path
    port: int
    started_at: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def scrape(self) -> list[Sample]:
        """Return its metrics; empty before it serves them.

        Raises
        ------
        RuntimeError
            when it has ended
        """
        if self.process.poll() is not None:
            raise RuntimeError(f"a worker ended with {self.process.returncode}:\n{self.log.read_text()[-3_000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        except OSError:
            return []
        return [
            Sample(sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def await_ready(self) -> None:
        """Wait until it owns partitions and has recovered them."""
        await_ready(self.spec, self.process, self.log)

    def kill(self) -> None:
        """End it as a power cut would."""
        kill(self.process)


def total(samples: list[Sample], name: str, **labels: str) -> float:
    """Return the sum of a metric over all labels but the given ones."""
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


@dataclass(slots=True)
class Rig:
    """A broker, and under a prefix of its own all topics and the example catalogue."""

    bootstrap: str
    folder: Path
    prefix: str
    partitions: int = LOCAL_PARTITIONS
    settings: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Return the settings of its processes."""
        return {
            "SADA_KAFKA": self.bootstrap,
            "SADA_TOPIC_PREFIX": self.prefix,
            "SADA_PARTITIONS": str(self.partitions),
            "SADA_VAR": str(self.folder),
            "SADA_NODE_KEY": NODE_KEY,
            "SADA_SNAPSHOT_KEY": SNAPSHOT_KEY,
            "SADA_SEAL_KEY": SEAL_KEY,
            # Stream time moves with the signals: what is measured is the work on them, not on a clock.
            "SADA_TICK_S": "0",
            "PYTHONUNBUFFERED": "1",
            **self.settings,
        }

    def start_worker(self, number: int = 1, *, port: int | None = None) -> Worker:
        """Start a worker; it is not awaited. On the metrics port of one before it has that one's local store."""
        port = free_port() if port is None else port
        name = f"{self.prefix}worker-{number}"
        spec = ProcessSpec(
            name,
            sada("worker"),
            ready=says_yes(port, "/readyz"),
            env={**self.environment(), "SADA_METRICS_PORT": str(port)},
            start_timeout_s=START_WITHIN_S,
        )
        log = self.folder / f"{name}-{port}.log"
        return Worker(spawn(spec, log), spec, log, port)

    @contextmanager
    def gateway(self, redis: str, write_key: str) -> Iterator[tuple[int, int]]:
        """Run a gateway that is ready; give its port and its process id."""
        port, metrics_port = free_port(), free_port()
        env = {
            **self.environment(),
            "SADA_REDIS": redis,
            "SADA_INBOX_SECRET": NODE_KEY,
            "SADA_WRITE_KEY": write_key,
            "SADA_HTTP_PORT": str(port),
            "SADA_METRICS_PORT": str(metrics_port),
        }
        spec = ProcessSpec("gateway", sada("gateway"), ready=says_yes(metrics_port, "/readyz"), env=env)
        with running(spec, self.folder / "gateway.log") as process:
            yield port, process.pid

    @contextmanager
    def workers(self, count: int) -> Iterator[list[Worker]]:
        """Start so many workers, and stop them at the end."""
        with ExitStack() as stack:
            started = []
            for number in range(1, count + 1):
                worker = self.start_worker(number)
                stack.callback(stop, worker.process, 15.0)
                started.append(worker)
            yield started


@contextmanager
def broker() -> Iterator[tuple[str, Path]]:
    """Run a Kafka of the bench's own; give its address and a folder, both gone at the end."""
    with tempfile.TemporaryDirectory(prefix="sada-bench-") as name, kafka_running(Path(name)) as bootstrap:
        yield bootstrap, Path(name)


def fresh(bootstrap: str, folder: Path, prefix: str, *, partitions: int = LOCAL_PARTITIONS) -> Rig:
    """Return a rig on new topics, its catalogue published."""
    rig = Rig(bootstrap, folder, prefix, partitions)
    create_topics({"bootstrap.servers": bootstrap}, customers=rig.partitions, prefix=prefix)
    publish(Settings(kafka=bootstrap, topic_prefix=prefix), read_file(CATALOGUE))
    return rig


def hasher() -> Hasher:
    """Return the hasher of the rig's node key."""
    return Hasher(bytes.fromhex(NODE_KEY))
