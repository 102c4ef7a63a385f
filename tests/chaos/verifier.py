"""Holds the topics against the truth. It shares no code with the pipeline but what unseals state: Avro by the published
schemas, state as raw MessagePack, customers by a union-find of its own."""

import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import fastavro
import msgspec

from deploy.local.running import read_topic
from streams.agents.words import state_words
from streams.lane.reading import last_values
from tests.chaos.load import Truth

SCHEMAS = Path(__file__).parents[2] / "schemas" / "avro"
_HEAD = 10  # C3 01 and eight bytes of fingerprint


@dataclass(slots=True)
class Verdict:
    """What was found; all zero but ``signals`` is what exactly once means."""

    signals: int = 0
    lost: int = 0
    doubled: int = 0
    wrong_customers: int = 0
    wrong_money: int = 0
    duplicate_outputs: int = 0
    orphan_facets: int = 0
    dead_letters_missing: int = 0
    dead_letters_unexpected: int = 0
    redis_differences: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Say whether nothing is wrong."""
        return not any(value for name, value in asdict(self).items() if name not in ("signals", "notes"))


class Reader:
    """Reads whole topics, ``read_committed``, up to their ends as they are now."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    def raw(self, topic: str) -> Iterator[tuple[bytes | None, bytes | None]]:
        """Yield (key, value) of a topic, partition by partition, in order."""
        return read_topic(self._bootstrap, topic)

    def decoded(self, topic: str, schema: str) -> Iterator[tuple[bytes | None, dict[str, Any] | None]]:
        """Yield (key, record) of a topic."""
        parsed = fastavro.parse_schema(json.loads((SCHEMAS / f"{schema}.avsc").read_text()))
        for key, value in self.raw(topic):
            if value is None:
                yield key, None
            else:
                record = fastavro.schemaless_reader(io.BytesIO(value[_HEAD:]), parsed, None)
                yield key, record if isinstance(record, dict) else None


def verify(bootstrap: str, truth: Truth, redis_profiles: dict[str, Any] | None = None, *, seal_key: bytes) -> Verdict:
    """Return what is wrong with the topics, given what was accepted."""
    reader = Reader(bootstrap)
    verdict = Verdict(signals=truth.written)
    profiles = {
        key: record for key, record in _newest(reader.decoded("profiles", "profile")).items() if record is not None
    }
    _customers(profiles, truth, verdict)
    _outputs(reader, verdict)
    _state(reader, profiles, verdict, seal_key)
    _dead_letters(reader, truth, verdict)
    if redis_profiles is not None:
        told = {customer.hex(): record["history"]["signals"] for customer, record in profiles.items()}
        verdict.redis_differences = len(set(told.items()) ^ set(redis_profiles.items()))
    return verdict


def _newest(records: Iterator[tuple[bytes | None, dict[str, Any] | None]]) -> dict[bytes, dict[str, Any] | None]:
    return {key: record for key, record in records if key is not None}


def _customers(profiles: dict[bytes, dict[str, Any]], truth: Truth, verdict: Verdict) -> None:
    """Compare each customer's signals and money with the person's."""
    person_of: dict[bytes, set[int]] = defaultdict(set)
    for customer, profile in profiles.items():
        for member in profile["members"]:
            person_of[customer].add(int(member["value"].split("-")[1]))
    expected = Counter(truth.people.values())
    folded: Counter[int] = Counter()
    spent: Counter[int] = Counter()
    for customer, people in person_of.items():
        if len(people) != 1:
            verdict.wrong_customers += 1
            verdict.notes.append(f"customer {customer.hex()} holds {len(people)} people")
        for person in people:
            folded[person] += profiles[customer]["history"]["signals"]
            spent[person] += profiles[customer]["value"]["spent_minor"]
    for person, count in expected.items():
        verdict.lost += max(0, count - folded[person])
        verdict.doubled += max(0, folded[person] - count)
        verdict.wrong_money += spent[person] != truth.spent[person]
    verdict.doubled += sum(count for person, count in folded.items() if person not in expected)
    found = {
        frozenset(f"{member['kind']}:{member['value']}" for member in profile["members"])
        for profile in profiles.values()
    }
    verdict.wrong_customers += len(found ^ components(truth.links))


def components(links: set[tuple[str, ...]]) -> set[frozenset[str]]:
    """Return the connected components of names that were named together: union-find, offline."""
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for names in links:
        for name in names:
            parent[find(name)] = find(names[0])
    groups: dict[str, set[str]] = defaultdict(set)
    for name in list(parent):
        groups[find(name)].add(name)
    return {frozenset(group) for group in groups.values()}


def _outputs(reader: Reader, verdict: Verdict) -> None:
    """Count copies of what must be there once: decisions, actions, examples, by their ids."""
    topics = [("decisions", "decision", "id"), ("examples", "example", "id")]
    topics += [
        (f"actions.{channel}", "action", "id") for channel in ("web", "app", "email", "sms", "call-centre", "pos")
    ]
    for topic, schema, name in topics:
        seen = Counter(record[name] for _, record in reader.decoded(topic, schema) if record is not None)
        extra = sum(count - 1 for count in seen.values())
        verdict.duplicate_outputs += extra
        if extra:
            verdict.notes.append(f"{topic}: {extra} of {sum(seen.values())} are copies")


def _state(reader: Reader, profiles: dict[bytes, dict[str, Any]], verdict: Verdict, seal_key: bytes) -> None:
    """Read the changelog: every facet lies in one root, every alias leads to one, every root has its profile."""
    newest = {
        key: msgspec.msgpack.decode(value)
        for key, value in last_values(
            reader.raw("customers-changelog"),
            reader.raw("customers-vault"),
            seal_key=seal_key,
            words=state_words(),
        ).items()
    }
    # A root is r, node, created_at_ms, members, facets and more; an alias is a, to, since_ms.
    roots = {key: record for key, record in newest.items() if record[0] == "r"}
    aliases = {key: record[1] for key, record in newest.items() if record[0] == "a"}
    facets: Counter[bytes] = Counter()
    for root in roots.values():
        for node in root[4]:
            facets[node] += 1
            verdict.orphan_facets += node not in root[3]
    verdict.orphan_facets += sum(count - 1 for count in facets.values())
    for node in aliases:
        seen = set()
        at = node
        while at in aliases and at not in seen:
            seen.add(at)
            at = aliases[at]
        verdict.orphan_facets += at not in roots
    verdict.wrong_customers += len(set(roots) ^ set(profiles))


def _dead_letters(reader: Reader, truth: Truth, verdict: Verdict) -> None:
    """Every piece of garbage once, nothing else."""
    origins: Counter[tuple[str, int, int]] = Counter()
    for _, letter in reader.decoded("dead-letters", "dead_letter"):
        if letter is None:
            continue
        origins[letter["topic"], letter["partition"], letter["offset"]] += 1
        if not (letter["value"] or b"").startswith(b"garbage "):
            verdict.dead_letters_unexpected += 1
            verdict.notes.append(f"dead letter {letter['code']}: {letter['detail'][:120]}")
    verdict.duplicate_outputs += sum(count - 1 for count in origins.values())
    verdict.dead_letters_missing = max(0, truth.garbage - len(origins))
