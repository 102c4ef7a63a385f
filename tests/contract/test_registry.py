"""The Confluent wire format against a real schema registry, read by Confluent's own client."""

import json

import pytest

from schemas import wire
from schemas.registry import IncompatibleError, RegistryError, SchemaRegistry


def test_register_write_read(registry_url: str) -> None:
    """What we register and write, we read by asking the registry for its id."""
    registry = SchemaRegistry(registry_url)
    number = registry.register("contract-signals.web-value", json.dumps(wire.load("signal")))
    writer = wire.Codec("signal", registry, "contract-signals.web-value")
    assert writer.header == b"\x00" + number.to_bytes(4, "big")
    tick = json.dumps(wire.load("tick"))
    registry.register("contract-ticks-value", tick)
    raw = wire.Codec("tick", registry, "contract-ticks-value").encode({"at_ms": 7})
    reader = wire.Codec("tick", registry, "contract-ticks-value")
    reader._writers.pop(reader.header)
    assert reader.decode(raw) == {"at_ms": 7}


def test_an_incompatible_schema_is_refused(registry_url: str) -> None:
    """FULL_TRANSITIVE is set on the subject: a string that becomes an int is refused."""
    registry = SchemaRegistry(registry_url)
    schema = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "string"}]}
    registry.register("contract-r-value", json.dumps(schema))
    schema["fields"] = [{"name": "a", "type": "int"}]
    with pytest.raises(IncompatibleError):
        registry.register("contract-r-value", json.dumps(schema))


def test_what_is_not_there(registry_url: str) -> None:
    """An unknown subject or id is a LookupError; a registry that is away is an OSError that names it."""
    registry = SchemaRegistry(registry_url)
    with pytest.raises(LookupError):
        registry.schema_of(999_999)
    with pytest.raises(LookupError):
        registry.id_of("contract-nothing-value", json.dumps(wire.load("tick")))
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:1 does not answer"):
        SchemaRegistry("http://user:secret@127.0.0.1:1").schema_of(1)
