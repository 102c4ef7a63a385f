"""How long it takes from a signal's sending until its customer's profile is in Redis, beside a steady load."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Thread
from typing import Any

import redis
from confluent_kafka import Producer

from connectors.serve.keys import ViewKeys
from deploy.local.processes import ProcessSpec, free_port, running
from deploy.local.services import redis_running
from deploy.local.topology import sada, says_yes
from schemas.identifiers import Hasher
from tests.bench import people, rig
from tests.bench.crowd import ready_worker, signals
from tests.bench.people import FIRST, Person
from tests.bench.rig import Rig
from tests.bench.traffic import Sent, named

# Probes of the latency: enough for a p99.
PROBES = 500
PROBES_PER_S = 20.0
# The worker imports River once it has recovered, and works off what came meanwhile.
WARM_S = 60.0
LOOK_S = 0.002
# A profile that is not in Redis after so long is lost.
LOST_S = 30.0


def p99_ms(rigged: Rig, sample: list[Person], per_s: float) -> float:
    """Return the 99th percentile of the time from a signal's sending until its customer's profile is in Redis, ms."""
    hasher = rig.hasher()
    background = signals(int(per_s * (WARM_S + PROBES / PROBES_PER_S + 5)), 31, first=FIRST + PROBES * 2)
    with redis_running(rigged.folder) as url, _serve(rigged, url), ready_worker(rigged) as worker:
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

    It is there when what Redis holds of the customer is another than before: earlier profiles may lie there.
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
    held: dict[int, list[Any]] = {}
    waits: dict[int, float] = {}
    began = time.monotonic()
    while len(waits) < len(probes):
        now = time.monotonic()
        if len(sent_at) < len(probes) and now >= began + len(sent_at) / PROBES_PER_S:
            number = len(sent_at)
            topic, key, value, _ = probes[number][1]
            held[number] = view.mget(probes[number][0])
            producer.produce(rigged.prefix + topic, value, key)
            producer.flush(5)
            sent_at[number] = now
        open_ones = [number for number in sent_at if number not in waits]
        with view.pipeline(transaction=False) as pipe:
            for number in open_ones:
                pipe.mget(probes[number][0])
            there = [now != held[number] for number, now in zip(open_ones, pipe.execute(), strict=True)]
        now = time.monotonic()
        waits |= {number: (now - sent_at[number]) * 1e3 for number, yes in zip(open_ones, there, strict=True) if yes}
        if open_ones and now - sent_at[open_ones[0]] > LOST_S:
            raise RuntimeError(f"the profile of probe {open_ones[0]} was not in Redis after {LOST_S:.0f} s")
        time.sleep(LOOK_S)
    return list(waits.values())
