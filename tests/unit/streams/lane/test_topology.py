"""Stages and assignments that do not fit are refused by name."""

import dataclasses
from typing import Any

import pytest

from streams.lane.errors import TopologyError
from streams.lane.examples.word_count import stage
from streams.lane.topology import check_stages, owned_partitions

A, B = stage("a-"), dataclasses.replace(stage("b-"), name="other")


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "no stage"),
        ([A, stage("b-")], "both have the name words"),
        ([A, dataclasses.replace(B, changelog=A.changelog)], "both have the topic a-words-changelog"),
        ([A, dataclasses.replace(B, sources=A.sources)], "both have the topic a-lines"),
        ([dataclasses.replace(A, sources=())], "has no source"),
        ([dataclasses.replace(A, max_batch=0)], "max_batch is 0"),
        ([dataclasses.replace(A, vault=A.changelog)], "words and words both have the topic a-words-changelog"),
    ],
)
def test_stages_in_each_others_way(stages: list[Any], message: str) -> None:
    with pytest.raises(TopologyError, match=message):
        check_stages(stages, seal_key=b"k" * 32)


@pytest.mark.parametrize("seal_key", [None, b"k" * 31])
def test_a_vault_needs_a_seal_key(seal_key: bytes | None) -> None:
    """A worker that is told to seal never writes in the open."""
    with pytest.raises(TopologyError, match=r"stage words seals its state, and LaneConfig\.seal_key has less than 32"):
        check_stages([dataclasses.replace(A, vault="vault")], seal_key=seal_key)


def test_stages_with_different_partition_counts_are_owned_together() -> None:
    assigned = [("a-lines", 0), ("a-words-changelog", 0), ("b-lines", 0), ("b-lines", 7)]
    assigned += [("b-words-changelog", 7), ("b-words-changelog", 0), ("unknown", 3)]
    assert owned_partitions([A, B], assigned) == {("words", 0), ("other", 0), ("other", 7)}


def test_partition_given_for_some_topics_only_is_refused() -> None:
    with pytest.raises(TopologyError, match=r"partitions \[0, 1\] of a-lines, but \[0\] of a-words-changelog"):
        owned_partitions([A], [("a-lines", 0), ("a-lines", 1), ("a-words-changelog", 0)])
