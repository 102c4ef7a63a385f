"""Writes the topics table as Strimzi resources.

``python -m deploy.kubernetes.topics > deploy/kubernetes/base/topics.yaml``; a test holds the file against the table.
"""

import sys

import yaml

from schemas.admin import config_of
from schemas.topics import TOPICS, Topic, partitions_of

# The most workers that share the work; cannot be changed later without rebuilding into new topics.
PARTITIONS = 12

# Three copies of which two must be written: one broker may be lost or restarted at any time.
REPLICAS = 3
IN_SYNC = 2

_HEAD = "# Made from schemas/topics.py by `python -m deploy.kubernetes.topics`: change it there.\n"


def resource(topic: Topic) -> dict[str, object]:
    """Return a topic as a KafkaTopic."""
    config: dict[str, object] = {"min.insync.replicas": IN_SYNC}
    config |= {name: int(value) if value.lstrip("-").isdigit() else value for name, value in config_of(topic).items()}
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaTopic",
        # The name of the cluster; an overlay sets its own.
        "metadata": {"name": topic.name, "labels": {"strimzi.io/cluster": "kafka"}},
        "spec": {"partitions": partitions_of(topic, PARTITIONS), "replicas": REPLICAS, "config": config},
    }


def manifest() -> str:
    """Return the whole file."""
    return _HEAD + yaml.safe_dump_all((resource(topic) for topic in TOPICS.values()), sort_keys=False)


if __name__ == "__main__":
    sys.stdout.write(manifest())
