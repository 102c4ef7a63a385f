"""The codec: Avro with the guards that hostile bytes need. The only user of fastavro.

Two wire formats, told apart by their first byte: Confluent's (0x00, schema id) where a registry is configured,
else Avro's own single-object encoding (C3 01, CRC-64-AVRO fingerprint of the writer's schema). Readers take both.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import fastavro
import fastavro.schema

SCHEMAS_DIR = Path(__file__).parent / "avro"

# Largest record taken, bytes: the broker's own default limit is 1 MiB.
MAX_BYTES = 1_000_000

_SINGLE_OBJECT = b"\xc3\x01"
_CONFLUENT = b"\x00"


class WireError(ValueError):
    """Bytes that are not a record of ours; ``code`` is stable, the message says what and where."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Registry(Protocol):
    """What the codec asks of a schema registry."""

    def id_of(self, subject: str, schema: str) -> int:
        """Return the id under which a schema is registered for a subject."""
        ...

    def schema_of(self, schema_id: int) -> str:
        """Return the schema with an id; raise LookupError when there is none."""
        ...


@cache
def load(name: str) -> Mapping[str, Any]:
    """Return a schema of ours as JSON."""
    schema: Mapping[str, Any] = json.loads((SCHEMAS_DIR / f"{name}.avsc").read_text())
    return schema


def fingerprint(schema: object) -> bytes:
    """Return the CRC-64-AVRO fingerprint of a schema's canonical form, 8 bytes, little-endian."""
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    return bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))


@dataclass(frozen=True, slots=True)
class Codec:
    """Writes one type of record and reads every version of it.

    Examples
    --------
    >>> codec = codec_of("tick")
    >>> codec.decode(codec.encode({"at_ms": 7}))
    {'at_ms': 7}
    """

    name: str
    parsed: Any
    header: bytes
    # Header bytes to the writer's parsed schema, for every version known.
    writers: dict[bytes, Any] = field(default_factory=dict)
    registry: Registry | None = None

    def encode(self, value: Mapping[str, Any]) -> bytes:
        """Return a record's bytes, framed."""
        out = BytesIO()
        out.write(self.header)
        fastavro.schemaless_writer(out, self.parsed, value)
        return out.getvalue()

    def decode(self, raw: bytes) -> dict[str, Any]:
        """Return the record that the bytes hold.

        Raises
        ------
        WireError
            too-large, bad-frame, unknown-schema, or bad-avro when the bytes are not what the schema says
        """
        if len(raw) > MAX_BYTES:
            raise WireError("too-large", f"{len(raw)} bytes; at most {MAX_BYTES} are taken")
        if raw[:2] == _SINGLE_OBJECT:
            head = raw[:10]
        elif raw[:1] == _CONFLUENT:
            head = raw[:5]
        else:
            raise WireError("bad-frame", f"starts with {raw[:2].hex() or 'nothing'}: neither C3 01 nor 00")
        writer = self.writers.get(head)
        if writer is None:
            writer = self._ask_registry(head)
        stream = BytesIO(raw)
        stream.seek(len(head))
        try:
            value: dict[str, Any] = fastavro.schemaless_reader(
                stream, writer, self.parsed if writer is not self.parsed else None
            )
        except Exception as exc:  # fastavro raises whatever its C code meets
            raise WireError("bad-avro", f"not a {self.name}: {type(exc).__name__}: {exc}") from exc
        if stream.tell() != len(raw):
            raise WireError("bad-avro", f"{len(raw) - stream.tell()} bytes after the end of the {self.name}")
        return value

    def _ask_registry(self, head: bytes) -> Any:
        raise WireError("unknown-schema", f"no schema of {self.name} has the header {head.hex()}")


@cache
def codec_of(name: str) -> Codec:
    """Return the codec of a schema of ours, single-object encoding."""
    parsed = fastavro.parse_schema(load(name))
    header = _SINGLE_OBJECT + fingerprint(load(name))
    codec = Codec(name, parsed, header)
    codec.writers[header] = parsed
    return codec
