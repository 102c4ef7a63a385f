"""Creates the topics of the table: idempotent, changes one that exists only when told, says what does not fit."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType
from confluent_kafka.error import KafkaError

from schemas.topics import FIRST, TOPICS, Topic, full_name, partitions_of

_TIMEOUT_S = 30.0
_POLICY = "cleanup.policy"

# Segments of compacted topics roll after so long, so that the cleaner reaches what was overwritten and erased.
_COMPACTED_SEGMENT_MS = 6 * 3_600_000


class TopicsError(Exception):
    """Topics that cannot be created or do not fit the table; the message names each with what to do."""


class Difference(NamedTuple):
    """A topic's setting as it is, and as it should be."""

    topic: str
    setting: str
    has: str
    wants: str


@dataclass(frozen=True, slots=True)
class Report:
    """What ``create_topics`` found and did: names with prefix.

    ``differing``: settings of existing topics that are not as the table and the deployment say; where they were
    altered, as they were before.
    """

    created: tuple[str, ...]
    existing: tuple[str, ...]
    differing: tuple[Difference, ...] = ()


def config_of(topic: Topic, *, retention_ms: int | None = None) -> dict[str, str]:
    """Return a topic's configuration in the broker."""
    size = {"max.message.bytes": str(topic.max_bytes)}
    if topic.compacted:
        return {**size, _POLICY: "compact", **_cleaning(topic)}
    return {
        **size,
        _POLICY: "delete",
        "retention.ms": str(topic.retention_ms if retention_ms is None else retention_ms),
        # Only a whole segment is deleted: a record lies there at most so much longer. Kafka's own default is a week.
        "segment.ms": str(topic.segment_ms),
        # The time of arrival, not the client's: a signal dated last year must not be deleted at once.
        "message.timestamp.type": "CreateTime" if topic.keeps_time else "LogAppendTime",
    }


def _cleaning(topic: Topic) -> dict[str, str]:
    """Return when a compacted topic is cleaned.

    A segment that is still written to is never cleaned, so it ends with the lag at the latest; within the lag the
    cleaner comes when half of a log is dirty (Kafka's default), after it in any case.
    """
    if topic.max_lag_ms is None:
        return {"segment.ms": str(_COMPACTED_SEGMENT_MS)}
    return {
        "segment.ms": str(min(topic.max_lag_ms // 2, _COMPACTED_SEGMENT_MS)),
        "max.compaction.lag.ms": str(topic.max_lag_ms),
    }


def create_topics(
    connection: Mapping[str, str | int | float | bool],
    *,
    customers: int,
    prefix: str = "",
    replication: int = 1,
    kept_ms: Mapping[str, int] | None = None,
    generation: str = FIRST,
    alter: bool = False,
) -> Report:
    """Create what is missing of the topics table, and compare the settings of what is there.

    Parameters
    ----------
    connection : librdkafka's connection settings
    customers : partitions of the topics that the customers agent reads
    prefix : put before every name
    replication : replicas of each partition; three in production
    kept_ms : retention by ``Topic.kept``; what is not named is as the table says
    generation : whose topics; of one after the first only its own, the others it shares
    alter : bring the settings of existing topics in line; never partitions, replicas or the cleanup policy

    Raises
    ------
    TopicsError
        when a topic exists with another partition count or cleanup policy, or the broker refuses
    """
    admin = AdminClient(dict(connection))
    try:
        present = admin.list_topics(timeout=_TIMEOUT_S).topics
    except KafkaException as exc:
        raise TopicsError(
            f"no answer from Kafka at {connection['bootstrap.servers']}: {exc.args[0].str()}. "
            "Is it running, and are SADA_KAFKA and the SADA_KAFKA_* settings right?"
        ) from exc
    wanted = {
        full_name(t.name, prefix=prefix, generation=generation): (t, partitions_of(t, customers))
        for t in TOPICS.values()
        if generation == FIRST or t.generational
    }
    existing = [name for name in wanted if name in present]
    _check_partitions({name: wanted[name][1] for name in existing}, present)
    configs = {
        name: config_of(topic, retention_ms=(kept_ms or {}).get(topic.kept)) for name, (topic, _) in wanted.items()
    }
    differing = _compare(admin, {name: configs[name] for name in existing})
    if alter:
        _alter(admin, differing)
    missing = [name for name in wanted if name not in present]
    if missing:
        raced = _create(
            admin,
            [
                NewTopic(
                    name,
                    num_partitions=wanted[name][1],
                    replication_factor=replication,
                    config=configs[name],
                )
                for name in missing
            ],
        )
        present = _wait_visible(admin, missing)
        # Made by another process between our look and our call: theirs must fit as well.
        _check_partitions({name: wanted[name][1] for name in raced}, present)
        _compare(admin, {name: configs[name] for name in raced})
        missing = [name for name in missing if name not in raced]
        existing += raced
    return Report(tuple(missing), tuple(existing), tuple(differing))


def _check_partitions(wanted: Mapping[str, int], present: Mapping[str, object]) -> None:
    wrong = [
        f"{name} has {len(present[name].partitions)} partitions instead of {count}"  # type: ignore[attr-defined]  # librdkafka's TopicMetadata
        for name, count in wanted.items()
        if len(present[name].partitions) != count  # type: ignore[attr-defined]  # as above
    ]
    if wrong:
        raise TopicsError(
            "; ".join(wrong) + ". State lies by partition: set SADA_PARTITIONS to what exists, use another "
            "SADA_TOPIC_PREFIX, or rebuild into new topics."
        )


def _compare(admin: AdminClient, configs: Mapping[str, Mapping[str, str]]) -> list[Difference]:
    """Return which settings of topics are not as they should be.

    Raises
    ------
    TopicsError
        where it is the cleanup policy: nothing may be written there
    """
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in configs]
    if not resources:
        return []
    found: list[Difference] = []
    for resource, future in admin.describe_configs(resources, request_timeout=_TIMEOUT_S).items():
        has = future.result()
        for setting, wants in configs[resource.name].items():
            if has[setting].value != wants:
                found.append(Difference(resource.name, setting, has[setting].value, wants))
    wrong = [f"{d.topic} has cleanup.policy={d.has} instead of {d.wants}" for d in found if d.setting == _POLICY]
    if wrong:
        raise TopicsError(
            "; ".join(wrong) + ". A compacted topic with deletion loses state: alter it with kafka-configs."
        )
    return sorted(found)


def _alter(admin: AdminClient, differing: Sequence[Difference]) -> None:
    """Set what differs, and nothing else."""
    entries: dict[str, list[ConfigEntry]] = {}
    for each in differing:
        entry = ConfigEntry(each.setting, each.wants, incremental_operation=AlterConfigOpType.SET)
        entries.setdefault(each.topic, []).append(entry)
    if not entries:
        return
    resources = [ConfigResource(ResourceType.TOPIC, name, incremental_configs=each) for name, each in entries.items()]
    for resource, future in admin.incremental_alter_configs(resources, request_timeout=_TIMEOUT_S).items():
        try:
            future.result()
        except KafkaException as exc:
            raise TopicsError(f"the settings of {resource.name} were not altered: {exc.args[0].str()}") from exc


def _wait_visible(admin: AdminClient, names: Sequence[str]) -> Mapping[str, object]:
    """Wait until the brokers know of new topics: creation is answered before every broker has heard of it."""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        present: Mapping[str, object] = admin.list_topics(timeout=_TIMEOUT_S).topics
        unseen = [name for name in names if name not in present]
        if not unseen:
            return present
        if time.monotonic() > deadline:
            raise TopicsError(f"the broker created {', '.join(unseen)} but does not list them after {_TIMEOUT_S:.0f} s")
        time.sleep(0.05)


def _create(admin: AdminClient, topics: list[NewTopic]) -> list[str]:
    """Create topics; return those that had come to exist meanwhile."""
    failed = []
    raced = []
    for name, future in admin.create_topics(topics, operation_timeout=_TIMEOUT_S).items():
        try:
            future.result()
        except KafkaException as exc:
            if exc.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                raced.append(name)
            else:
                failed.append(f"{name}: {exc.args[0].str()}")
    if failed:
        raise TopicsError("cannot create " + "; ".join(failed))
    return raced
