"""The customers agent over several partitions in memory: batches of any size, in any interleaving."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from models.scorers import ScorerSet
from schemas import topics
from schemas.codecs import Codecs
from schemas.identifiers import Hasher
from schemas.identity_rules import IdentityRules
from streams.agents.customers import Customers, stage
from streams.agents.naming import Namer
from streams.agents.outgoing import Wire
from streams.agents.routing import Owner
from streams.agents.tally import Tally
from streams.core import state
from streams.core.catalogue import Catalogue
from streams.core.customer import Brain
from streams.core.rules import NO_RULES, Rules
from streams.core.state import NodeRecord, Root
from streams.lane.job import Batch, Output, Record

START_MS = 1_700_000_000_000
HASHER = Hasher(b"k" * 32)
UNLIMITED = IdentityRules({})
WIRE = Wire(Codecs(lambda name: name))


def page_view(number: int, names: Sequence[tuple[str, str]], at_ms: int, *, source: str = "shop") -> bytes:
    """Return a signal's bytes."""
    return WIRE.codec("signals.web").encode(
        {
            "id": f"m{number}",
            "kind": "behaviour",
            "name": "product_viewed",
            "channel": "web",
            "source": source,
            "identifiers": [{"kind": kind, "value": value} for kind, value in names],
            "occurred_at_ms": at_ms,
            "received_at_ms": at_ms + 10,
            "behaviour": {"item_id": "i1"},
            "context": {},
        }
    )


def ruling(kind: str, node: bytes, other: bytes = b"", number: int = 0) -> bytes:
    """Return a ruling's bytes."""
    return WIRE.codec(topics.RULINGS).encode(
        {
            "id": f"r{number}",
            "kind": kind,
            "node": node,
            "other": other,
            "reason": "a shared tablet",
            "by": "operator",
            "at_ms": START_MS,
        }
    )


class Cluster:
    """Partitions in memory: each has its state and its queues; records travel as the lane's outputs say."""

    def __init__(
        self,
        partitions: int,
        rules: IdentityRules = UNLIMITED,
        *,
        declared: Rules = NO_RULES,
        catalogue: Catalogue | None = None,
    ) -> None:
        brain = Brain(ScorerSet(), catalogue, identity=rules, rules=declared)
        self.owner = Owner(partitions)
        self.agent = Customers(
            wire=WIRE, namer=Namer(HASHER, None), owner=self.owner, brain=lambda: brain, tally=Tally()
        )
        self.stage = stage(self.agent, max_batch=100)
        self.states: list[dict[bytes, bytes]] = [{} for _ in range(partitions)]
        self.queues: list[list[Record]] = [[] for _ in range(partitions)]
        self.stream_ms = [0] * partitions
        self.offset = 0
        self.outputs: list[Output] = []

    def write(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        """Append a record to a partition."""
        self.offset += 1
        self.queues[partition].append(Record(topic, partition, self.offset, START_MS + 10**9, key, value))

    def step(self, partition: int, size: int) -> None:
        """Run one batch of a partition and commit it."""
        records, self.queues[partition] = self.queues[partition][:size], self.queues[partition][size:]
        held = {key: self.stage.decode(raw) for key, raw in self.states[partition].items()}
        stream_ms = self.stream_ms[partition]
        due = [key for key, value in held.items() if (at := self.stage.due_ms(value)) and at <= stream_ms]
        result = self.agent(held, Batch(partition, records, due, stream_ms))
        for key, value in result.changes.items():
            assert value is not None
            assert key == state.PHASE_KEY or self.owner.partition_of(key) == partition
            self.states[partition][key] = self.stage.encode(value)
        self.stream_ms[partition] = max(stream_ms, result.stream_ms or 0)
        self.outputs += [*result.outputs, *(self.stage.dead_letter(failure) for failure in result.failures)]
        for output in result.outputs:
            if output.topic in (topics.INBOX, topics.RULINGS):
                assert output.key is not None
                self.write(output.topic, self.owner.partition_of(output.key), output.key, output.value)

    def run(self, rnd: random.Random) -> None:
        """Run batches of random partitions and sizes until nothing is queued."""
        for _ in range(100_000):
            waiting = [number for number, queue in enumerate(self.queues) if queue]
            if not waiting:
                return
            self.step(rnd.choice(waiting), rnd.randint(1, 20))
        pytest.fail("the partitions keep each other busy")

    def records(self) -> dict[bytes, NodeRecord]:
        """Return the records of all partitions."""
        return {key: state.decode(raw) for held in self.states for key, raw in held.items()}

    def roots(self) -> list[Root]:
        """Return all customers."""
        return [record for record in self.records().values() if isinstance(record, Root)]

    def of(self, topic: str) -> Iterator[tuple[bytes | None, dict[str, Any] | None]]:
        """Return what was written to a topic, decoded."""
        for output in self.outputs:
            if output.topic == topic:
                yield output.key, None if output.value is None else WIRE.codec(topic).decode(output.value)
