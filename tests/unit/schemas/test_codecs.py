"""Which topics a schema registry frames, and which it never touches."""

import pytest

from schemas.codecs import Codecs
from schemas.registry import RegistryError
from schemas.topics import (
    CARDS,
    CATALOGUE,
    DEAD_LETTERS,
    EXAMPLES,
    GENERATIONS,
    INBOX,
    MODELS,
    PROFILES,
    REPLAY,
    TICKS,
    TOPICS,
    signals,
)
from schemas.wire import codec_of
from streams.settings import Settings

INTERNAL = {INBOX, TICKS, REPLAY, GENERATIONS, CARDS, EXAMPLES, MODELS, CATALOGUE, DEAD_LETTERS}


class Numbers:
    """A registry that numbers subjects as they come, and holds none that it is told to lack."""

    def __init__(self, lacks: str = "") -> None:
        self.lacks = lacks
        self.subjects: list[str] = []

    def id_of(self, subject: str, schema: str) -> int:
        if subject == self.lacks:
            raise LookupError(subject)
        self.subjects.append(subject)
        return len(self.subjects)

    def schema_of(self, schema_id: int) -> str:
        raise LookupError(schema_id)


def test_public_topics_are_framed_by_the_registry_and_internal_ones_never() -> None:
    """Each public topic under its own subject, asked for once."""
    registry = Numbers()
    codecs = Codecs(lambda name: f"t-{name}", registry)
    framed = {name for name, topic in TOPICS.items() if topic.schema and codecs.of(name).header[:1] == b"\x00"}
    assert framed == {name for name, topic in TOPICS.items() if topic.schema} - INTERNAL
    assert sorted(registry.subjects) == sorted(f"t-{name}-value" for name in framed)
    assert codecs.of(PROFILES) is codecs.of(PROFILES)
    assert len(registry.subjects) == len(framed)


def test_without_a_registry_all_is_single_object() -> None:
    """And an empty address is none."""
    for codecs in (Codecs(str), Settings(schema_registry="").codecs()):
        assert {codecs.of(name).header[:2] for name, topic in TOPICS.items() if topic.schema} == {b"\xc3\x01"}


def test_readers_of_a_public_topic_take_both() -> None:
    """Records of before the registry came are still read."""
    identity = {"customer": bytes(16), "kind": "email", "updated_at_ms": 1}
    codec = Codecs(str, Numbers()).of("identities")
    assert codec.decode(codec_of("identity").encode(identity)) == codec.decode(codec.encode(identity)) == identity


def test_a_schema_that_is_not_registered() -> None:
    """The message says which and what to do."""
    codecs = Codecs(str, Numbers(lacks="signals.web-value"))
    with pytest.raises(RegistryError, match=r"no signal as we write it under signals\.web-value: run `sada topics`"):
        codecs.of(signals("web"))
