"""Customers and near matches over several partitions in memory: batches of any size, in any interleaving."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from schemas import topics
from schemas.identifiers import normalise
from schemas.identity_rules import IdentityRules
from streams.agents import near
from streams.agents.near import Near
from streams.core.state import Alias, Root
from streams.lane.job import Batch, Output, Record
from tests.property.cluster import HASHER, START_MS, WIRE, Cluster

CUSTOMERS, NEAR = "customers", "near"


def stated(number: int, names: Sequence[tuple[str, str]], traits: Mapping[str, str], *, source: str = "crm") -> bytes:
    """Return the bytes of a signal that states traits."""
    return WIRE.codec("signals.crm").encode(
        {
            "id": f"m{number}",
            "kind": "traits",
            "name": "identified",
            "channel": "crm",
            "source": source,
            "identifiers": [{"kind": kind, "value": value} for kind, value in names],
            "occurred_at_ms": START_MS + number,
            "received_at_ms": START_MS + number + 10,
            "traits": {"values": dict(traits)},
            "context": {},
        }
    )


class NearCluster(Cluster):
    """Two stages; with ``encoded`` every value goes through its bytes, as after a restart in every batch."""

    def __init__(self, partitions: int, rules: IdentityRules, *, encoded: bool = True) -> None:
        super().__init__(partitions, rules)
        assert rules.near is not None
        self.near = Near(WIRE, review=rules.near.review, partitions=partitions)
        self.jobs: dict[str, tuple[Any, Any]] = {
            CUSTOMERS: (self.agent, self.stage),
            NEAR: (self.near, near.stage(self.near)),
        }
        self.held: dict[tuple[str, int], dict[bytes, Any]] = {(s, p): {} for s in self.jobs for p in range(partitions)}
        self.waiting: dict[tuple[str, int], list[Record]] = {place: [] for place in self.held}
        self.encoded = encoded

    def write(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        """Append a record to a partition."""
        self.offset += 1
        stage = NEAR if topic == topics.CARDS else CUSTOMERS
        self.waiting[stage, partition].append(Record(topic, partition, self.offset, START_MS + 10**9, key, value))

    def state(self, number: int, name: tuple[str, str], traits: Mapping[str, str], **named: str) -> bytes:
        """Write a signal that states traits of one identifier; return its node."""
        more = [(kind, value) for kind, value in named.items() if kind != "source"]
        node = self.node(name)
        raw = stated(number, [name, *more], traits, source=named.get("source", "crm"))
        self.write("signals.crm", self.owner.partition_of(node), node, raw)
        return node

    def node(self, name: tuple[str, str]) -> bytes:
        """Return an identifier's node."""

        return HASHER.node(normalise(*name))

    def rule(self, raw: bytes, node: bytes) -> None:
        """Write a ruling."""
        self.write(topics.RULINGS, self.owner.partition_of(node), node, raw)

    def batch(self, stage: str, partition: int, size: int) -> None:
        """Run one batch of a stage's partition and commit it."""
        place = (stage, partition)
        records, self.waiting[place] = self.waiting[place][:size], self.waiting[place][size:]
        job, spec = self.jobs[stage]
        held = self.held[place]
        result: Any = job(held, Batch(partition, records, (), self.stream_ms[partition]))
        for key, value in result.changes.items():
            if value is None:
                held.pop(key, None)
            else:
                held[key] = spec.decode(spec.encode(value)) if self.encoded else value
        if stage == CUSTOMERS:
            self.stream_ms[partition] = max(self.stream_ms[partition], result.stream_ms or 0)
        self.outputs += [*result.outputs, *(spec.dead_letter(failure) for failure in result.failures)]
        for output in result.outputs:
            if output.topic in {topics.INBOX, topics.CARDS}:
                assert output.key is not None
                to = self.owner.partition_of(output.key) if output.partition is None else output.partition
                self.write(output.topic, to, output.key, output.value)

    def settle(self, rnd: random.Random, *, most: int = 20) -> None:
        """Run batches of random places and sizes until nothing waits."""
        for _ in range(200_000):
            places = [place for place, queue in self.waiting.items() if queue]
            if not places:
                return
            self.batch(*rnd.choice(places), rnd.randint(1, most))
        pytest.fail("the stages keep each other busy")

    def customers(self) -> list[Root]:
        """Return all customers."""
        return [
            record
            for (stage, _), held in self.held.items()
            for record in held.values()
            if stage == CUSTOMERS and isinstance(record, Root)
        ]

    def customer(self, node: bytes) -> Root:
        """Return the customer of a node."""
        record = self.held[CUSTOMERS, self.owner.partition_of(node)][node]
        while isinstance(record, Alias):
            record = self.held[CUSTOMERS, self.owner.partition_of(record.to)][record.to]
        assert isinstance(record, Root)
        return record

    def matches(self) -> dict[bytes, dict[str, Any]]:
        """Return the newest state of each pair, as a reader of the compacted topic ends with."""
        found: dict[bytes, dict[str, Any]] = {}
        for key, value in self.of(topics.MATCHES):
            assert key is not None
            assert value is not None
            found[key] = value
        return found

    def written(self, topic: str) -> list[Output]:
        """Return the records of a topic."""
        return [output for output in self.outputs if output.topic == topic]
