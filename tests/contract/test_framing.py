"""With a schema registry, end to end: every public topic in Confluent's framing, every internal one in our own."""

import contextlib
import io
import json
import time
import uuid
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka import Producer

from schemas.registry import SchemaRegistry
from schemas.topics import DEAD_LETTERS, IDENTITIES, PROFILES, TICKS, signals
from schemas.wire import codec_of
from tests.peers.gateway import Door, gateway
from tests.peers.processes import done, environment, records, started

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SINGLE_OBJECT = b"\xc3\x01"


def _profile(door: Door, user: str) -> dict[str, Any]:
    """Ask the customer API until it knows the customer: Redis has the profile then."""
    deadline = time.monotonic() + 30
    while True:
        answer = door.get(f"/v1/customers/user_id/{user}", key="agent")
        if answer.status_code == 200:
            found: dict[str, Any] = answer.json()
            return found
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


def _by_its_id(registry: SchemaRegistry, raw: bytes) -> Any:
    """Read a value as any client of the registry does: by the schema that its id names, and by no code of ours."""
    assert raw[:1] == b"\x00", raw[:8].hex()
    schema = json.loads(registry.schema_of(int.from_bytes(raw[1:5], "big")))
    return fastavro.schemaless_reader(io.BytesIO(raw[5:]), schema, None)


@pytest.mark.timeout(240)
def test_the_loop_with_a_registry(
    kafka: str, redis_url: str, registry_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    """A signal through the gateway arrives as a profile; so does one framed without a registry; an unknown id does not.

    Each topic's bytes are what its row of the table says.
    """
    user, older = f"u-{uuid.uuid4().hex}", f"u-{uuid.uuid4().hex}"
    env = environment(kafka, redis_url, topic_prefix, tmp_path, SADA_SCHEMA_REGISTRY=registry_url)
    registry = SchemaRegistry(registry_url)
    assert "24 subjects registered" in done("topics", env)
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(gateway(kafka, redis_url, topic_prefix, tmp_path, SADA_SCHEMA_REGISTRY=registry_url))
        for command in ("worker", "serve"):
            stack.enter_context(started(command, env, tmp_path))
        assert (
            door.post("/v1/track", {"userId": user, "event": "Product Viewed", "messageId": "m-1"}).status_code == 200
        )
        foreign = _foreign(kafka, topic_prefix, older)
        assert _profile(door, user)
        assert _profile(door, older)

        def raw(topic: str, count: int = 1) -> list[bytes]:
            found = records(kafka, topic_prefix + topic, lambda seen: len(seen) >= count)
            return [record.value or b"" for record in found]

        [sent] = [value for value in raw(signals("web"), 3) if value not in foreign]
        assert _by_its_id(registry, sent)["id"] == "m-1"
        held = [_by_its_id(registry, value) for value in raw(PROFILES, 2)]
        assert {user, older} <= {member["value"] for profile in held for member in profile["members"]}
        assert all(_by_its_id(registry, value)["kind"] == "user_id" for value in raw(IDENTITIES, 2))
        assert {value[:2] for value in raw(TICKS)} == {SINGLE_OBJECT}
        letter = codec_of("dead_letter").decode(raw(DEAD_LETTERS)[0])
        assert (letter["code"], letter["value"]) == ("unknown-schema", foreign[0])


def _foreign(kafka: str, prefix: str, user: str) -> list[bytes]:
    """Write a record whose id no registry knows, and a good one as it was framed before the registry came."""
    now_ms = time.time_ns() // 1_000_000
    signal = {
        "id": uuid.uuid4().hex,
        "kind": "behaviour",
        "name": "product_viewed",
        "channel": "web",
        "source": "foreign",
        "identifiers": [{"kind": "user_id", "value": user}],
        "occurred_at_ms": now_ms,
        "received_at_ms": now_ms,
        "behaviour": {"item_id": "i-1"},
        "context": {},
    }
    producer = Producer({"bootstrap.servers": kafka})
    values = [b"\x00\xff\xff\xff\xffx", codec_of("signal").encode(signal)]
    for value in values:
        producer.produce(prefix + signals("web"), value, b"foreign")
    assert producer.flush(10) == 0
    return values
