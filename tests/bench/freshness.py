"""How long it takes from a signal's sending until its customer's profile is in Redis, beside a steady load.

Load and probes are of one time, which passes as it does when signals are drained: as many timers go off per signal.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from threading import Event, Thread
from typing import Any, NamedTuple, Self, cast

import redis
from confluent_kafka import Producer

from connectors.serve.keys import ViewKeys
from deploy.local.processes import ProcessSpec, free_port, running
from deploy.local.services import redis_running
from deploy.local.topology import sada, says_yes
from tests.bench import people, rig
from tests.bench.crowd import calm, done, ready_worker, signals
from tests.bench.people import FIRST, Copy, Person
from tests.bench.rig import Rig
from tests.bench.traffic import Sent, named, write
from tests.peers.load import cpu_s

# Probes of the latency: enough for a p99.
PROBES = 500
PROBES_PER_S = 20.0
# Enough for the caches, and for what the first signals bring with them: River is imported by then.
WARM_S = 30.0
LASTS_S = WARM_S + PROBES / PROBES_PER_S + 5
# What looking costs is taken from what is looked at: there are two cores.
LOOK_S = 0.004
# A profile that is not in Redis after so long is lost.
LOST_S = 30.0


class Fresh(NamedTuple):
    """What was seen beside one load.

    Parameters
    ----------
    p99_ms : the 99th percentile of the time from a signal's sending until its customer's profile is in Redis
    cpu_us : CPU of the worker for each signal, microseconds
    """

    p99_ms: float
    cpu_us: float


def fresh(rigged: Rig, sample: list[Person], rates: Sequence[float]) -> list[Fresh]:
    """Return how fresh Redis is beside each of some loads.

    Parameters
    ----------
    sample : whose likenesses are known
    rates : signals per second of the load, one after another
    """
    everybody = list(enumerate(people.customers(sample, PROBES * len(rates), rig.hasher()), FIRST))
    counts = [int(per_s * LASTS_S) for per_s in rates]
    sent = iter(signals(sum(counts), 31, first=FIRST + len(everybody)))
    loads = [Load(rigged, list(islice(sent, count)), per_s) for count, per_s in zip(counts, rates, strict=True)]
    found = []
    with redis_running(rigged.folder) as url, _serve(rigged, url), ready_worker(rigged) as worker:
        # Whose timers lay between the last signal of before and the first of now are served first.
        write(rigged.bootstrap, [_of_nobody(loads[0].now_ms)], prefix=rigged.prefix)
        for number, load in enumerate(loads):
            calm(worker)
            with load:
                time.sleep(WARM_S)
                before, used_s = done(worker), cpu_s(worker.pid)
                waits = _probe(rigged, url, everybody[number * PROBES :][:PROBES], load)
                cpu_us = (cpu_s(worker.pid) - used_s) / (done(worker) - before) * 1e6
            found.append(Fresh(sorted(waits)[int(0.99 * len(waits))], cpu_us))
    return found


def _of_nobody(at_ms: int) -> Sent:
    return named(0, {"user_id": f"nobody-{at_ms}"}, name=f"nobody-{at_ms}", at_ms=at_ms)


@contextmanager
def _serve(rigged: Rig, url: str) -> Iterator[None]:
    port = free_port()
    env = {**rigged.environment(), "SADA_REDIS": url, "SADA_METRICS_PORT": str(port)}
    spec = ProcessSpec("serve", sada("serve"), ready=says_yes(port, "/readyz"), env=env, start_timeout_s=120.0)
    with ExitStack() as stack:
        stack.enter_context(running(spec, rigged.folder / "serve.log"))
        yield


class Load:
    """Signals that are written at a steady rate until it is left."""

    def __init__(self, rigged: Rig, sent: list[Sent], per_s: float) -> None:
        self._rigged, self._sent, self._per_s = rigged, sent, per_s
        self._done = 0
        self._ended = Event()
        self._thread = Thread(target=self._run, daemon=True)

    @property
    def now_ms(self) -> int:
        """Stream time: that of the next signal."""
        return self._sent[min(self._done, len(self._sent) - 1)].at_ms

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _run(self) -> None:
        config = {"bootstrap.servers": self._rigged.bootstrap, "linger.ms": 5, "partitioner": "murmur2_random"}
        producer = Producer(config)
        sent, began = self._sent, time.monotonic()
        while not self._ended.is_set() and self._done < len(sent):
            until = min(len(sent), int((time.monotonic() - began) * self._per_s))
            for topic, key, value, _ in sent[self._done : until]:
                producer.produce(self._rigged.prefix + topic, value, key)
            producer.poll(0)
            self._done = until
            time.sleep(0.01)
        producer.flush(30)


def _probe(rigged: Rig, url: str, made: list[tuple[int, Copy]], load: Load) -> list[float]:
    """Send one signal of each of some known customers on a fixed schedule; return how long each took, ms.

    It is there when what Redis holds of the customer is another than before: earlier profiles may lie there.
    """
    view, keys = redis.Redis.from_url(url), ViewKeys(rigged.prefix)
    producer = Producer({"bootstrap.servers": rigged.bootstrap, "linger.ms": 0, "partitioner": "murmur2_random"})
    places = [[keys.profile(root) for root in one.roots] for _, one in made]
    sent_at: dict[int, float] = {}
    held: dict[int, list[Any]] = {}
    waits: dict[int, float] = {}
    began = time.monotonic()
    while len(waits) < len(made):
        now = time.monotonic()
        if len(sent_at) < len(made) and now >= began + len(sent_at) / PROBES_PER_S:
            number = len(sent_at)
            who = made[number][0]
            held[number] = view.mget(places[number])
            topic, key, value, _ = named(who, {"user_id": f"user-{who}"}, name=f"probe-{who}", at_ms=load.now_ms)
            now = time.monotonic()
            producer.produce(rigged.prefix + topic, value, key)
            producer.flush(5)
            sent_at[number] = now
        open_ones = [number for number in sent_at if number not in waits]
        if open_ones:
            values = iter(cast("list[bytes]", view.mget([key for number in open_ones for key in places[number]])))
            there = [list(islice(values, len(held[number]))) != held[number] for number in open_ones]
            now = time.monotonic()
            waits |= {
                number: (now - sent_at[number]) * 1e3 for number, yes in zip(open_ones, there, strict=True) if yes
            }
        if open_ones and now - sent_at[open_ones[0]] > LOST_S:
            raise RuntimeError(f"the profile of probe {open_ones[0]} was not in Redis after {LOST_S:.0f} s")
        time.sleep(LOOK_S)
    return list(waits.values())
