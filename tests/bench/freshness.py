"""How long it takes from a signal's sending until its customer's profile is in Redis, beside a steady load.

The load is dated when it is sent: stream time goes as fast as the clock, and so do the timers of all who are known.
"""

import time
from bisect import bisect_right
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
from tests.bench.crowd import calm, ready_worker
from tests.bench.people import FIRST, Person
from tests.bench.rig import Rig, Worker
from tests.bench.traffic import Sent, named, steady, write

# Probes of the latency: enough for a p99.
PROBES = 500
PROBES_PER_S = 20.0
# Enough for the broker's compiler, serve, and the caches.
WARM_S = 30.0
# Until the load is made and the worker has imported River.
AHEAD_S = 60.0
LOOK_S = 0.002
# A profile that is not in Redis after so long is lost.
LOST_S = 30.0


def p99_ms(rigged: Rig, sample: list[Person], per_s: float) -> float:
    """Return the 99th percentile of the time from a signal's sending until its customer's profile is in Redis, ms."""
    hasher = rig.hasher()
    with redis_running(rigged.folder) as url, _serve(rigged, url), ready_worker(rigged) as worker:
        _come_to_now(rigged, worker)
        start_s = time.time() + AHEAD_S
        last_s = start_s + WARM_S + PROBES / PROBES_PER_S + 5
        background = steady(
            per_s, int(start_s * 1e3), int(last_s * 1e3), hasher=hasher, seed=31, first=FIRST + PROBES * 2
        )
        ended = Event()
        loaded = Thread(target=_load, args=(rigged, background, ended), daemon=True)
        loaded.start()
        try:
            time.sleep(max(0.0, start_s + WARM_S - time.time()))
            waits = _probe(rigged, url, sample, hasher)
        finally:
            ended.set()
            loaded.join(30)
        worker.scrape()
    return sorted(waits)[int(0.99 * len(waits))]


def _come_to_now(rigged: Rig, worker: Worker) -> None:
    """Bring stream time to the clock's, and wait until all have been served whose timers lay between."""
    now_ms = int(time.time() * 1000)
    write(rigged.bootstrap, [named(0, {"user_id": "nobody"}, name="now", at_ms=now_ms)], prefix=rigged.prefix)
    calm(worker)


@contextmanager
def _serve(rigged: Rig, url: str) -> Iterator[None]:
    port = free_port()
    env = {**rigged.environment(), "SADA_REDIS": url, "SADA_METRICS_PORT": str(port)}
    spec = ProcessSpec("serve", sada("serve"), ready=says_yes(port, "/readyz"), env=env, start_timeout_s=120.0)
    with ExitStack() as stack:
        stack.enter_context(running(spec, rigged.folder / "serve.log"))
        yield


def _load(rigged: Rig, sent: list[Sent], ended: Event) -> None:
    """Write each signal when it happens."""
    producer = Producer({"bootstrap.servers": rigged.bootstrap, "linger.ms": 5, "partitioner": "murmur2_random"})
    times, done = [signal.at_ms for signal in sent], 0
    while not ended.is_set() and done < len(sent):
        until = bisect_right(times, time.time() * 1000)
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
    began, began_ms = time.monotonic(), int(time.time() * 1000)
    probes: list[tuple[list[str], Sent]] = []
    for at, one in enumerate(made):
        number, at_ms = FIRST + at, began_ms + int(at / PROBES_PER_S * 1000)
        signal = named(number, {"user_id": f"user-{number}"}, name=f"probe-{number}", at_ms=at_ms)
        probes.append(([keys.profile(root) for root in one.roots], signal))
    sent_at: dict[int, float] = {}
    held: dict[int, list[Any]] = {}
    waits: dict[int, float] = {}
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
