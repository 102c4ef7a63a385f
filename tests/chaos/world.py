"""What the topics say, as the verifier compares it. It shares no code with the pipeline but what unseals state:
Avro by the published schemas, state as raw MessagePack."""

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import msgspec
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from deploy.local.running import read_topic
from streams.agents.words import state_words
from streams.lane.reading import last_values

SCHEMAS = Path(__file__).parents[2] / "schemas" / "avro"
_HEAD = 10  # C3 01 and eight bytes of fingerprint

# What must be there once, by its id.
ONCE = (
    ("decisions", "decision"),
    ("examples", "example"),
    *((f"actions.{channel}", "action") for channel in ("web", "app", "email", "sms", "call-centre", "pos")),
)


@dataclass(slots=True)
class Root:
    """A customer in the state: its members' names by node, and how many signals each facet has counted."""

    members: dict[bytes, tuple[str, str]]
    facets: dict[bytes, int]


@dataclass(slots=True)
class World:
    """What was found.

    Parameters
    ----------
    profiles : by customer
    identities : node to customer
    outcomes : by the customer's id that it names, how many signals of what became of actions
    outputs : by topic, how often each id was found
    roots, aliases, erased : the state; of who was erased, by which ruling
    redis : customer to number of signals
    """

    profiles: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    identities: dict[bytes, bytes] = field(default_factory=dict)
    merges: list[dict[str, Any]] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)
    outcomes: Counter[bytes] = field(default_factory=Counter)
    outputs: dict[str, Counter[str]] = field(default_factory=dict)
    roots: dict[bytes, Root] = field(default_factory=dict)
    aliases: dict[bytes, bytes] = field(default_factory=dict)
    erased: dict[bytes, str] = field(default_factory=dict)
    redis: dict[str, int] = field(default_factory=dict)

    def names(self) -> dict[bytes, tuple[str, str]]:
        """Return each node's identifier."""
        found = {node: name for root in self.roots.values() for node, name in root.members.items()}
        for profile in self.profiles.values():
            found |= {each["node"]: (each["kind"], each["value"]) for each in profile["members"]}
        return found


def read(kafka: str, *, seal_key: bytes) -> World:
    """Return what all topics say, ``read_committed``, up to their ends as they are now."""
    world = World()
    world.profiles = {key: record for key, record in _newest(kafka, "profiles", "profile") if record is not None}
    world.identities = {key: found["customer"] for key, found in _newest(kafka, "identities", "identity") if found}
    world.merges = list(_all(kafka, "merges", "merge"))
    world.letters = list(_all(kafka, "dead-letters", "dead_letter"))
    outcomes = {
        (signal["id"], bytes.fromhex(signal["identifiers"][0]["value"]))
        for signal in _all(kafka, "signals.outcome", "signal")
    }
    world.outcomes = Counter(customer for _, customer in outcomes)
    world.outputs = {topic: Counter(each["id"] for each in _all(kafka, topic, schema)) for topic, schema in ONCE}
    changelog, vault = read_topic(kafka, "customers-changelog"), read_topic(kafka, "customers-vault")
    take_state(world, last_values(changelog, vault, seal_key=seal_key, words=state_words()))
    return world


def merges(kafka: str) -> int:
    """Return how many customers have become one with others so far."""
    return sum(each["kind"] == "merged" for each in _all(kafka, "merges", "merge"))


def merges_end(kafka: str) -> int:
    """Return how much is in ``merges``: the sum of its end offsets.

    Raises
    ------
    KafkaException
        when the broker is silent
    """
    admin = AdminClient({"bootstrap.servers": kafka, "log_level": 2})
    partitions = admin.list_topics("merges", timeout=2.0).topics["merges"].partitions
    asked = admin.list_offsets({TopicPartition("merges", each): OffsetSpec.latest() for each in partitions})
    return sum(each.result(2.0).offset for each in asked.values())


def take_state(world: World, values: Mapping[bytes, bytes]) -> None:
    """Note roots, aliases and who was erased, of each key's newest value."""
    newest = {key: msgspec.msgpack.decode(value) for key, value in values.items()}
    # A root is r, node, created_at_ms, members, facets and more; an alias is a, to, since_ms; who was erased is e,
    # since_ms, ruling. A member begins with kind and value, a facet with node, first_ms, last_ms, before_ms, signals.
    world.roots = {
        key: Root(
            {node: (member[0], member[1]) for node, member in record[3].items()},
            {node: facet[4] for node, facet in record[4].items()},
        )
        for key, record in newest.items()
        if record[0] == "r"
    }
    world.aliases = {key: record[1] for key, record in newest.items() if record[0] == "a"}
    world.erased = {key: record[2] for key, record in newest.items() if record[0] == "e"}


@cache
def _schema(name: str) -> Any:
    return fastavro.parse_schema(json.loads((SCHEMAS / f"{name}.avsc").read_text()))


def _decoded(value: bytes, schema: str) -> dict[str, Any]:
    record = fastavro.schemaless_reader(io.BytesIO(value[_HEAD:]), _schema(schema), None)
    if not isinstance(record, dict):
        raise TypeError(f"a {schema} is no record: {type(record).__name__}")
    return record


def _all(kafka: str, topic: str, schema: str) -> Iterator[dict[str, Any]]:
    for _, value in read_topic(kafka, topic):
        if value is not None:
            yield _decoded(value, schema)


def _newest(kafka: str, topic: str, schema: str) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Yield the newest record of each key."""
    for key, value in dict(read_topic(kafka, topic)).items():
        if key is not None:
            yield key, None if value is None else _decoded(value, schema)
