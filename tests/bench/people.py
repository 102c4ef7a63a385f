"""Customers by the million, without their signals: a few are folded by the real job, the others are their likenesses.

30 million signals take hours. So a sample is folded, signal by signal, and each further customer is a copy of one of
them under another number: identifiers, and with them nodes, partitions and pointers, are its own; what it did, and so
the size and shape of its records, is the sample's. They are written to the changelog in the lane's own form.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from confluent_kafka import Producer

from schemas.identifiers import Hasher, Identifier
from schemas.topics import CUSTOMERS_CHANGELOG, VAULT
from streams.agents.words import state_words
from streams.core import state
from streams.core.state import Root
from streams.lane.due import checked, headers_of
from streams.lane.forms import Forms
from streams.lane.vault import SealKey, Vault
from tests.bench import rig, stages
from tests.bench.rig import Rig
from tests.bench.traffic import Sent

# Numbers of seven digits, so that a copy's records are as long as the original's. The sample's begin with 100.
FIRST = 1_000_000
_NUMBER = re.compile(r"100\d{4}")
SAMPLE = 1_500


class Person(NamedTuple):
    """A folded customer: number, identifiers by node, records by node, and the nodes of its roots."""

    number: int
    identifiers: dict[bytes, Identifier]
    records: dict[bytes, bytes]
    roots: tuple[bytes, ...]
    ties: tuple[bytes, ...]


def fold(sent: list[Sent]) -> list[Person]:
    """Fold the signals of a sample of customers and return what lies in the table then."""
    kept: dict[bytes, Any] = {}
    stages.run(stages.job(), sent, kept=kept)
    owned: dict[int, list[Root]] = {}
    for record in kept.values():
        if isinstance(record, Root):
            found = _NUMBER.search(next(iter(record.members.values())).value)
            if found is not None:
                owned.setdefault(int(found[0]), []).append(record)
    people = []
    for number, roots in sorted(owned.items()):
        identifiers = {node: Identifier(m.kind, m.value) for root in roots for node, m in root.members.items()}
        records = {node: state.encode(kept[node]) for node in identifiers if node in kept}
        ties = tuple(key for root in roots for key in root.ties)
        people.append(Person(number, identifiers, records, tuple(root.node for root in roots), ties))
    return people


class Copy(NamedTuple):
    """Another customer like one of the sample: its records by node, and the nodes of its roots."""

    records: dict[bytes, bytes]
    roots: tuple[bytes, ...]


def copy(person: Person, number: int, hasher: Hasher) -> Copy:
    """Return a customer who did as this one did, under a number of the same length."""
    old, new = str(person.number), str(number)
    nodes = {
        node: hasher.node(Identifier(identifier.kind, identifier.value.replace(old, new)))
        for node, identifier in person.identifiers.items()
    }
    # Ties first: a tie's key is both nodes, the smaller first, and which is smaller may change.
    swaps = [(old.encode(), new.encode())]
    swaps += [(tie, b"".join(sorted((nodes[tie[:16]], nodes[tie[16:]])))) for tie in person.ties]
    swaps += nodes.items()
    records = {}
    for node, raw in person.records.items():
        for before, after in swaps:
            raw = raw.replace(before, after)  # noqa: PLW2901 - one after another
        records[nodes[node]] = raw
    return Copy(records, tuple(nodes[node] for node in person.roots))


def customers(people: list[Person], count: int, hasher: Hasher) -> Iterator[Copy]:
    """Return so many customers; their numbers begin with FIRST."""
    for at in range(count):
        yield copy(people[at % len(people)], FIRST + at, hasher)


class Row(NamedTuple):
    """A record of a customer and, if it is sealed, of the vault, as the lane writes them."""

    node: bytes
    value: bytes
    wrapped: bytes | None
    due_ms: int | None


def rows(people: list[Person], count: int, hasher: Hasher) -> Iterator[tuple[int, list[Row]]]:
    """Yield so many customers' records, in the lane's own form, with their numbers from 0."""
    forms, vault = Forms(state_words()), Vault(SealKey(bytes.fromhex(rig.SEAL_KEY)), "")
    known = {node: state.decode(raw) for person in people for node, raw in person.records.items()}
    personal = {node: state.is_personal(record) for node, record in known.items()}
    due = {node: state.due_ms(record) for node, record in known.items()}
    for at, made in enumerate(customers(people, count, hasher)):
        found = []
        like = people[at % len(people)].records
        for (node, raw), original in zip(made.records.items(), like, strict=True):
            if personal[original]:
                secret, wrapped = vault.make()
                found.append(Row(node, forms.sealed(node, raw, secret), wrapped, due[original]))
            else:
                found.append(Row(node, forms.plain(raw), None, due[original]))
        yield at, found


def seed(rigged: Rig, people: list[Person], count: int, *, hasher: Hasher, told: Callable[[int], object]) -> int:
    """Write the records of so many customers to changelog and vault; return how many the changelog has.

    Raises
    ------
    RuntimeError
        when the broker does not acknowledge them
    """
    producer = Producer(
        {
            "bootstrap.servers": rigged.bootstrap,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 200_000,
            "log_level": 3,
        }
    )
    changelog, vault, written = rigged.prefix + CUSTOMERS_CHANGELOG, rigged.prefix + VAULT, 0

    def produce(*record: Any, **more: Any) -> None:
        while True:
            try:
                producer.produce(*record, **more)
            except BufferError:
                producer.poll(0.05)
            else:
                return

    for at, found in rows(people, count, hasher):
        for node, value, wrapped, due_ms in found:
            if wrapped is not None:
                produce(vault, wrapped, node)
            produce(changelog, value, node, headers=list(headers_of(node, value, {node: checked(due_ms)})))
            written += 1
        if at % 1_000 == 0:
            producer.poll(0)
            told(at)
    left = producer.flush(300)
    if left:
        raise RuntimeError(f"{left} of {written} records were not acknowledged within 300 s")
    told(count)
    return written
