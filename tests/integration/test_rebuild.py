"""A rebuild under load: other rules, another number of partitions, live traffic, a killed copier, rulings that hold."""

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from deploy.local.running import read_topic
from schemas.admin import create_topics
from schemas.generations import Table
from schemas.identifiers import Hasher, Identifier
from schemas.topics import DECISIONS, FIRST, PROFILES, RULINGS, actions, full_name, signals
from schemas.wire import codec_of
from streams.agents.catalogue import publish
from streams.agents.catalogue_command import read_file
from streams.generations import current_table
from streams.settings import Settings
from tests.bench.rig import CATALOGUE
from tests.peers.gateway import NODE_KEY
from tests.peers.processes import environment, started

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

BEFORE, AFTER = 3, 4
PEOPLE = 120
HASHER = Hasher(bytes.fromhex(NODE_KEY))
# What is new: an e-mail address ties nobody any more.
RULES = "version: 1\nkinds:\n  email:\n    link: false\n"


def node_of(kind: str, value: str) -> bytes:
    return HASHER.node(Identifier(kind, value))


def signal(number: int, who: dict[str, str], at_ms: int) -> dict[str, Any]:
    head = {"id": f"s{number}", "channel": "web", "source": "shop", "context": {"extra": {}}}
    names = [{"kind": kind, "value": value} for kind, value in who.items()]
    times = {"occurred_at_ms": at_ms, "original_at_ms": at_ms, "received_at_ms": at_ms}
    if number % 7 == 3:
        said: dict[str, Any] = {
            "kind": "behaviour",
            "name": "product_added",
            "behaviour": {"item_id": "tea", "quantity": 1},
        }
    elif number % 11 == 5:
        consent = {"purpose": "marketing", "channel": "sms", "granted": False, "proof": "call"}
        said = {"kind": "consent", "name": "consent_withdrawn", "consent": consent}
    else:
        said = {"kind": "behaviour", "name": "product_viewed", "behaviour": {"item_id": f"i{number % 5}"}}
    return {**head, **said, "identifiers": names, **times}


def who_is(number: int, rnd: random.Random) -> dict[str, str]:
    """Return whom a signal names: every third person shares an address with the next one."""
    person = rnd.randrange(PEOPLE)
    who = {"anonymous_id": f"a{person}-{rnd.randrange(2)}"}
    if rnd.random() < 0.5:
        who["loyalty_id"] = f"l{person}"
    if rnd.random() < 0.3:
        who["email"] = f"p{person // 2}@example.com"
    return who


class Traffic:
    """Writes signals until it is stopped, to the topics that it knows; each accepted one is counted by id."""

    def __init__(self, kafka: str, prefix: str) -> None:
        self.producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random", "linger.ms": 5})
        self.topic = prefix + signals("web")
        self.rnd = random.Random(7)
        self.sent = 0
        self.stop = threading.Event()
        self.encode = codec_of("signal").encode

    def write(self, count: int) -> None:
        now_ms = time.time_ns() // 1_000_000
        for _ in range(count):
            who = who_is(self.sent, self.rnd)
            strongest = next((k for k in ("loyalty_id", "email", "anonymous_id") if k in who), "anonymous_id")
            value = self.encode(signal(self.sent, who, now_ms))
            self.producer.produce(self.topic, value, node_of(strongest, who[strongest]))
            self.sent += 1
        assert self.producer.flush(20) == 0

    def run(self) -> None:
        while not self.stop.wait(0.1):
            self.write(20)


class System:
    """Topics, a worker, and the command line, under one prefix."""

    def __init__(self, kafka: str, redis_url: str, prefix: str, folder: Path) -> None:
        self.kafka, self.prefix, self.folder = kafka, prefix, folder
        more = {"SADA_PARTITIONS": str(BEFORE), "SADA_TICK_S": "0.2"}
        self.env = environment(kafka, redis_url, prefix, folder, **more)
        self.settings = Settings(kafka=kafka, topic_prefix=prefix, partitions=BEFORE)
        self.rules = folder / "identity.yaml"
        self.rules.write_text(RULES)

    def rebuild(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start `sada rebuild` with the new rules and partitions."""
        command = [sys.executable, "-m", "streams.cli", "rebuild", *arguments]
        with (self.folder / f"rebuild{arguments[0]}.log").open("w") as log:
            return subprocess.Popen(
                [*command, "--partitions", str(AFTER), "--identity", str(self.rules)],
                env={**os.environ, **self.env},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def of(self, name: str, generation: str = FIRST) -> Iterator[tuple[bytes | None, dict[str, Any] | None]]:
        """Yield what lies in a topic, decoded."""
        codec = codec_of({PROFILES: "profile", DECISIONS: "decision"}.get(name, "action"))
        for key, value in read_topic(self.kafka, full_name(name, prefix=self.prefix, generation=generation)):
            yield key, None if value is None else codec.decode(value)

    def profiles(self, generation: str) -> dict[bytes, dict[str, Any]]:
        """Return the profiles that stand."""
        last = {key or b"": profile for key, profile in self.of(PROFILES, generation)}
        return {key: profile for key, profile in last.items() if profile is not None}

    def counted(self, generation: str) -> int:
        """Return how many signals are in golden records."""
        return sum(profile["history"]["signals"] for profile in self.profiles(generation).values())

    def rule(self, kind: str, node: bytes, other: bytes = b"") -> None:
        """Write an operator's ruling."""
        said = {"id": kind, "kind": kind, "node": node, "other": other, "reason": "a test", "by": "operator"}
        producer = Producer({"bootstrap.servers": self.kafka, "partitioner": "murmur2_random"})
        value = codec_of("ruling").encode({**said, "at_ms": time.time_ns() // 1_000_000})
        producer.produce(self.prefix + RULINGS, value, node)
        assert producer.flush(20) == 0

    def table(self) -> Table:
        """Return which generations there are."""
        return current_table(self.settings)


def wait(true: Any, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.2)


def expected(sent: int) -> dict[frozenset[bytes], int]:
    """Return the customers under the new rules with how many signals each has, by a union-find of its own."""
    parent: dict[bytes, bytes] = {}
    count: Counter[bytes] = Counter()
    alone = node_of("anonymous_id", "a3-0")

    def find(node: bytes) -> bytes:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    rnd = random.Random(7)
    for number in range(sent):
        who = who_is(number, rnd)
        own = next(kind for kind in ("loyalty_id", "email", "anonymous_id") if kind in who)
        node = node_of(own, who[own])
        find(node)
        count[node] += 1
        for kind, value in who.items():
            other = node_of(kind, value)
            if kind != own and "email" not in {kind, own} and alone not in {node, other}:
                parent[find(other)] = find(node)
    parent[find(node_of("loyalty_id", "l10"))] = find(node_of("loyalty_id", "l77"))
    groups: dict[bytes, set[bytes]] = {}
    for node in list(parent):
        groups.setdefault(find(node), set()).add(node)
    return {frozenset(group): sum(count[node] for node in group) for group in groups.values()}


def test_a_rebuild_under_load(kafka: str, redis_url: str, topic_prefix: str, tmp_path: Path) -> None:
    """Every signal is in one golden record of the new generation, rulings hold, and each is decided upon once."""
    system = System(kafka, redis_url, topic_prefix, tmp_path)
    create_topics({"bootstrap.servers": kafka}, customers=BEFORE, prefix=topic_prefix)
    publish(system.settings, read_file(CATALOGUE))
    traffic = Traffic(kafka, topic_prefix)
    traffic.write(2_500)
    with started(system.env, tmp_path, "worker"):
        wait(lambda: system.counted(FIRST) == traffic.sent)
        system.rule("split", node_of("anonymous_id", "a3-0"))
        system.rule("merge", node_of("loyalty_id", "l10"), node_of("loyalty_id", "l77"))
        time.sleep(2)
        running = threading.Thread(target=traffic.run)
        running.start()
        try:
            killed = system.rebuild("--build-only")
            wait(lambda: "g2" in system.table().names())
            wait(lambda: sum(1 for _ in read_topic(kafka, f"{topic_prefix}g2.replay")) > 1_000, 100)
            killed.kill()
            killed.wait()
            done = system.rebuild("--yes")
            wait(lambda: done.poll() is not None or system.table().live == "g2", 120)
            time.sleep(1)
        finally:
            traffic.stop.set()
            running.join()
        done.wait(60)
        output = (tmp_path / "rebuild--yes.log").read_text()
        assert done.returncode == 0, output
        wait(lambda: system.counted("g2") >= traffic.sent)
        time.sleep(1)
        check(system, traffic)


def check(system: System, traffic: Traffic) -> None:
    profiles = system.profiles("g2").values()
    found = {frozenset(m["node"] for m in p["members"]): p["history"]["signals"] for p in profiles}
    assert sum(found.values()) == traffic.sent
    # A ruling's node that only links named, and whose links are refused, has a record of its own.
    assert {nodes: n for nodes, n in found.items() if n} == {n: c for n, c in expected(traffic.sent).items() if c}
    decided = Counter((d["signal_id"], d["trigger"]) for _, d in system.of(DECISIONS) if d is not None)
    assert not [each for each, count in decided.items() if count > 1]
    carts = {f"s{number}" for number in range(traffic.sent) if number % 7 == 3}
    assert carts - {signal_id for signal_id, trigger in decided if trigger == "cart-changed"} == set()
    sent = Counter(a["id"] for channel in ("web", "app", "email") for _, a in system.of(actions(channel)) if a)
    assert not [each for each, count in sent.items() if count > 1]
