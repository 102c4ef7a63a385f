"""Checks that stages and topics fit together, before anything is started and at every assignment."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from streams.lane.config import LaneConfig
from streams.lane.errors import TopologyError
from streams.lane.job import Stage

# 30 s: a broker that is just starting answers within 3 s; beyond it the address is probably wrong.
ANSWER_S = 30.0
# Of the key that wraps the secrets of a vault.
SEAL_KEY_BYTES = 32


def _topics_of(stage: Stage[Any]) -> tuple[str, ...]:
    """Return the topics of a stage that hold a partition's state or lead to it: all have as many partitions."""
    return (*stage.sources, *_state_of(stage))


def _state_of(stage: Stage[Any]) -> tuple[str, ...]:
    return (stage.changelog,) if stage.vault is None else (stage.changelog, stage.vault)


def check_stages(stages: Sequence[Stage[Any]], *, seal_key: bytes | None = None) -> None:
    """Check that stages do not get in each other's way.

    Raises
    ------
    TopologyError
        naming the stages, when they share a name or a topic, one has no source, or a vault and nothing to seal with
    """
    if not stages:
        raise TopologyError("there is no stage to run")
    owners: dict[str, str] = {}
    for stage in stages:
        if not stage.sources:
            raise TopologyError(f"stage {stage.name} has no source topic")
        if stage.max_batch < 1:
            raise TopologyError(f"stage {stage.name}: max_batch is {stage.max_batch}, at least 1 is needed")
        if stage.vault is not None and (seal_key is None or len(seal_key) < SEAL_KEY_BYTES):
            raise TopologyError(
                f"stage {stage.name} seals its state, and LaneConfig.seal_key has less than {SEAL_KEY_BYTES} bytes. "
                "Give the deployment one, and keep it."
            )
        for use in (f"name {stage.name}", *(f"topic {topic}" for topic in _topics_of(stage))):
            if use in owners:
                raise TopologyError(f"stages {owners[use]} and {stage.name} both have the {use}")
            owners[use] = stage.name


def check_topology(config: LaneConfig, stages: Sequence[Stage[Any]]) -> None:
    """Check on the broker that every topic exists, that partition counts agree, and that changelogs are compacted.

    Raises
    ------
    TopologyError
        naming topic and stage, and what to do
    """
    admin = AdminClient(config.librdkafka())
    counts = _partition_counts(admin, config)
    for stage in stages:
        for topic in _topics_of(stage):
            if topic not in counts:
                raise TopologyError(
                    f"stage {stage.name}: topic {topic} does not exist on {config.bootstrap}. "
                    "Create the topics first; the lane creates none."
                )
        _same_counts(stage, {topic: counts[topic] for topic in _topics_of(stage)})
    _compacted(admin, stages)


def _partition_counts(admin: AdminClient, config: LaneConfig) -> dict[str, int]:
    deadline = time.monotonic() + ANSWER_S
    while True:
        try:
            found = admin.list_topics(timeout=5)
        except KafkaException as exc:
            if time.monotonic() > deadline:
                raise TopologyError(f"no answer from Kafka at {config.bootstrap}: {exc.args[0].str()}") from exc
        else:
            return {name: len(topic.partitions) for name, topic in found.topics.items() if topic.error is None}


def _same_counts(stage: Stage[Any], counts: dict[str, int]) -> None:
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{topic} has {count}" for topic, count in counts.items())
        raise TopologyError(
            f"stage {stage.name}: its topics must have the same number of partitions, but {listed}. "
            "Records of one key would meet different states. Create the odd ones anew."
        )


def _compacted(admin: AdminClient, stages: Iterable[Stage[Any]]) -> None:
    asked = [ConfigResource(ResourceType.TOPIC, topic) for stage in stages for topic in _state_of(stage)]
    for resource, answer in admin.describe_configs(asked, request_timeout=ANSWER_S).items():
        try:
            policy = answer.result()["cleanup.policy"].value
        except KafkaException as exc:
            raise TopologyError(
                f"the settings of changelog {resource.name} cannot be read: {exc.args[0].str()}"
            ) from exc
        if policy != "compact":
            raise TopologyError(
                f"changelog {resource.name} has cleanup.policy={policy}: state would be lost with its retention. "
                f"Set it: kafka-configs --alter --topic {resource.name} --add-config cleanup.policy=compact"
            )


def owned_partitions(stages: Iterable[Stage[Any]], assigned: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    """Return (stage name, partition number) of all that an assignment gives to this worker.

    Raises
    ------
    TopologyError
        when a partition number of a stage was given for some of its topics only: two workers would share one state
    """
    numbers: dict[str, set[int]] = {}
    for topic, number in assigned:
        numbers.setdefault(topic, set()).add(number)
    owned: set[tuple[str, int]] = set()
    for stage in stages:
        per_topic = {topic: numbers.get(topic, set()) for topic in (*stage.sources, stage.changelog)}
        first = per_topic[stage.changelog]
        for topic, found in per_topic.items():
            if found != first:
                raise TopologyError(
                    f"stage {stage.name}: this worker was given partitions {sorted(found)} of {topic}, but "
                    f"{sorted(first)} of {stage.changelog}. Do all topics exist, with the same number of partitions, "
                    "and do all workers run the same stages?"
                )
        owned |= {(stage.name, number) for number in first}
    return owned


def topic_id(config: LaneConfig, topic: str) -> str:
    """Return the id that a topic got when it was created: a topic of the same name made anew has another."""
    admin = AdminClient(config.librdkafka())
    asked = admin.describe_topics(TopicCollection([topic]), request_timeout=ANSWER_S)
    return str(asked[topic].result().topic_id)
