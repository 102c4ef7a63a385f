"""A deployment that is rebuilt: its command line, its topics, a shop that goes on, and who its customers must be."""

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Producer
from pydantic import SecretStr

from deploy.local.running import read_topic
from schemas.generations import Table
from schemas.identifiers import Hasher, Identifier
from schemas.topics import CHANNELS, DEAD_LETTERS, DECISIONS, FIRST, PROFILES, RULINGS, full_name, signals
from schemas.wire import codec_of
from streams.generations import current_table
from streams.settings import Settings
from tests.peers.gateway import NODE_KEY, Door
from tests.peers.processes import environment

PEOPLE = 120
HASHER = Hasher(bytes.fromhex(NODE_KEY))
_STRONGEST = ("customer_id", "loyalty_id", "email", "anonymous_id")
_SCHEMAS = {PROFILES: "profile", DECISIONS: "decision", DEAD_LETTERS: "dead_letter"}

# A signal as identity sees it: the node that it belongs to, and (kind, node) of all that it names.
Named = tuple[bytes, list[tuple[str, bytes]]]


def node_of(kind: str, value: str) -> bytes:
    return HASHER.node(Identifier(kind, value))


def wait(true: Any, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.2)


def wait_same(found: Callable[[], dict[frozenset[bytes], int]], due: Callable[[], dict[frozenset[bytes], int]]) -> None:
    """Wait until customers are who they must be, or say who are not."""
    deadline = time.monotonic() + 60
    while True:
        must, are = due(), found()
        if are == must:
            return
        if time.monotonic() > deadline:
            missing, more = (
                sorted((sorted(node.hex()[:6] for node in nodes), count) for nodes, count in one.items() - two.items())
                for one, two in ((must, are), (are, must))
            )
            raise AssertionError(f"must be, and are not: {missing}; are, and must not be: {more}")
        time.sleep(0.2)


class System:
    """One deployment under a prefix."""

    def __init__(self, kafka: str, redis_url: str, prefix: str, folder: Path, partitions: int) -> None:
        self.kafka, self.prefix, self.folder = kafka, prefix, folder
        more = {"SADA_PARTITIONS": str(partitions), "SADA_TICK_S": "0.2", "SADA_INBOX_SECRET": NODE_KEY}
        self.env = environment(kafka, redis_url, prefix, folder, **more)
        secret = SecretStr(NODE_KEY)
        self.settings = Settings(kafka=kafka, topic_prefix=prefix, partitions=partitions, node_key=secret)

    def start(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start `sada rebuild`; what it says is in ``said(name)``."""
        with (self.folder / f"{name}.log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "streams.cli", "rebuild", *arguments],
                env={**os.environ, **self.env},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def ended(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        """Wait until a command has ended well."""
        assert process.wait(150) == 0, self.said(name)

    def of(self, name: str, generation: str = FIRST) -> Iterator[tuple[bytes | None, dict[str, Any] | None]]:
        """Yield what lies in a topic, decoded."""
        codec = codec_of("signal" if name.startswith("signals.") else _SCHEMAS.get(name, "action"))
        for key, value in read_topic(self.kafka, full_name(name, prefix=self.prefix, generation=generation)):
            yield key, None if value is None else codec.decode(value)

    def profiles(self, generation: str) -> list[dict[str, Any]]:
        """Return the profiles that stand."""
        last = {key or b"": profile for key, profile in self.of(PROFILES, generation)}
        return [profile for profile in last.values() if profile is not None]

    def counted(self, generation: str) -> int:
        """Return how many signals are in golden records."""
        return sum(profile["history"]["signals"] for profile in self.profiles(generation))

    def customers(self, generation: str) -> dict[frozenset[bytes], int]:
        """Return the customers, each as its identifiers, with their signals; those that no signal ever came to not."""
        found = {frozenset(m["node"] for m in p["members"]): p["history"]["signals"] for p in self.profiles(generation)}
        return {nodes: count for nodes, count in found.items() if count}

    def taken_in(self, generation: str) -> list[dict[str, Any]]:
        """Return all signals that lie in a generation's topics, outcomes of letters among them."""
        return [said for channel in CHANNELS for _, said in self.of(signals(channel), generation) if said]

    def rule(self, kind: str, node: bytes, other: bytes = b"") -> None:
        """Write an operator's ruling."""
        said = {"id": f"{kind}-{node.hex()}", "kind": kind, "node": node, "other": other, "reason": "a test"}
        producer = Producer({"bootstrap.servers": self.kafka, "partitioner": "murmur2_random"})
        value = codec_of("ruling").encode({**said, "by": "operator", "at_ms": time.time_ns() // 1_000_000})
        producer.produce(full_name(RULINGS, prefix=self.prefix, generation=FIRST), value, node)
        assert producer.flush(20) == 0

    def table(self) -> Table:
        """Return which generations there are."""
        return current_table(self.settings)


class Shop:
    """Posts what its customers do to the gateway until it is stopped; keeps what was accepted.

    Every second person shares an address with the next one. One signal in four is an order, which is thanked for, or of
    some people fills a cart, which an order would empty; one in eleven takes a consent back.
    """

    def __init__(self, door: Door) -> None:
        self.door, self.rnd, self.sent = door, random.Random(7), 0
        self.accepted: set[str] = set()
        self.refused: list[int] = []
        self.carts: set[str] = set()
        self.quiet: frozenset[int] = frozenset()  # people who buy nothing any more
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _who(self) -> tuple[int, dict[str, str]]:
        person = self.rnd.randrange(PEOPLE)
        who = {"anonymous_id": f"a{person}-{self.rnd.randrange(2)}"}
        if self.rnd.random() < 0.5:
            who["loyalty_id"] = f"l{person}"
        if self.rnd.random() < 0.4:
            who["email"] = f"p{person // 2}@shop.example"
        return person, who

    def _signal(self) -> dict[str, Any]:
        number, (person, who) = self.sent, self._who()
        self.sent += 1
        said: dict[str, Any] = {"kind": "behaviour", "name": "product_viewed", "behaviour": {"item_id": "i1"}}
        if number % 4 == 0 and person not in self.quiet:
            if person // 2 % 4 == 3:
                said |= {"name": "product_added", "behaviour": {"item_id": "tea", "quantity": 1}}
                self.carts.add(f"s{number}")
            else:
                paid = {"type": "order", "order_id": f"o{number}", "amount_minor": 2_000, "currency": "EUR"}
                said = {"kind": "transaction", "name": "order_completed", "transaction": paid}
        elif number % 11 == 5:
            consent = {"purpose": "marketing", "channel": "sms", "granted": False, "proof": "call"}
            said = {"kind": "consent", "name": "consent_withdrawn", "consent": consent}
        named = [{"kind": kind, "value": value} for kind, value in who.items()]
        return {"id": f"s{number}", "channel": "web", "identifiers": named, **said}

    def post(self, count: int) -> None:
        body = [self._signal() for _ in range(count)]
        answer = self.door.post("/v1/webhook", body)
        if answer.status_code == 200:
            self.accepted |= {each["id"] for each in body}
        else:
            self.refused.append(answer.status_code)

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            self.post(12)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def named(said: Mapping[str, Any]) -> Named:
    """Return what identity sees of a signal as it lies in its topic."""
    whole = {i["kind"]: i["value"] for i in said["identifiers"]}
    nodes = [(k, bytes.fromhex(v) if k == "customer_id" else node_of(k, v)) for k, v in whole.items()]
    return next(node for kind in _STRONGEST for k, node in nodes if k == kind), nodes


def expected(
    told: Sequence[Named],
    *,
    without: Collection[str] = (),
    alone: bytes = b"",
    merged: Sequence[bytes] = (),
    erased: Collection[bytes] = (),
) -> dict[frozenset[bytes], int]:
    """Return who the customers are, with their signals, by a union-find of its own.

    Parameters
    ----------
    without : kinds that tie nobody
    alone : a node that was split off
    merged : nodes that an operator made one
    erased : nodes of customers who were erased; signals that belong to them count nowhere
    """
    parent: dict[bytes, bytes] = {}
    count: Counter[bytes] = Counter()

    def find(node: bytes) -> bytes:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    for own, nodes in told:
        if own in erased:
            continue
        find(own)
        count[own] += 1
        own_kind = next(kind for kind, node in nodes if node == own)
        for kind, other in nodes:
            if {kind, own_kind}.isdisjoint(without) and alone not in {other, own} and other not in erased:
                parent[find(other)] = find(own)
    for node in merged[1:]:
        parent[find(node)] = find(merged[0])
    groups: dict[bytes, set[bytes]] = defaultdict(set)
    for node in list(parent):
        groups[find(node)].add(node)
    found = {frozenset(group): sum(count[node] for node in group) for group in groups.values()}
    return {group: number for group, number in found.items() if number}
