"""The demo's reader of topics, and what reads below it."""

import socket
from collections.abc import Iterator

import pytest
from confluent_kafka import TopicPartition

from deploy.demo import reader
from deploy.demo.reader import Reader
from deploy.local import running
from deploy.local.processes import StackError
from schemas.codecs import Codecs
from schemas.topics import TICKS, signals
from schemas.views import Signal
from schemas.wire import codec_of

SIGNAL: Signal = {
    "id": "1", "kind": "behaviour", "name": "x", "channel": "web", "source": "shop",
    "identifiers": [{"kind": "user_id", "value": "u-1"}],
    "occurred_at_ms": 1, "received_at_ms": 2, "context": {"extra": {}},
}  # fmt: skip


class OneSchema:
    """A registry that holds the schema of signals under one id."""

    def id_of(self, subject: str, schema: str) -> int:
        assert subject == "signals.web-value"
        return 7

    def schema_of(self, schema_id: int) -> str:
        raise AssertionError(f"our own schema has an id we know, not {schema_id}")


def holding(monkeypatch: pytest.MonkeyPatch, *records: tuple[bytes | None, bytes | None]) -> None:
    def read_topic(kafka: str, topic: str) -> Iterator[tuple[bytes | None, bytes | None]]:
        return iter(records)

    monkeypatch.setattr(reader, "read_topic", read_topic)


def test_with_a_registry_both_framings_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    codecs, topic = Codecs(str, OneSchema()), signals("web")
    framed = codecs.of(topic).encode(SIGNAL)
    assert framed[:5] == b"\0\0\0\0\7"
    holding(monkeypatch, (b"k", framed), (b"k", codec_of("signal").encode(SIGNAL)))
    assert [value["id"] for value in Reader("", codecs).values(topic)] == ["1", "1"]


def test_the_newest_value_of_each_key_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (codec_of("tick").encode({"at_ms": at_ms}) for at_ms in (1, 2))
    holding(monkeypatch, (b"a", one), (b"b", one), (b"a", two), (b"b", None), (None, one))
    assert Reader("", Codecs(str)).newest(TICKS) == {b"a": {"at_ms": 2}}


def test_a_stopped_reader_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    holding(monkeypatch, (b"a", None))
    stopped = Reader("", Codecs(str))
    stopped.stop()
    with pytest.raises(StackError, match="ticks was not read to its end"):
        list(stopped.records(TICKS))


def test_a_silent_broker_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SILENCE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        kafka = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(StackError, match=r"nothing from Kafka .* \[\('ticks', 0\)\]"):
            list(running.read(kafka, [TopicPartition(TICKS, 0, 0)]))
