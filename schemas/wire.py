"""The codec: Avro with the guards that hostile bytes need. The only user of fastavro.

Two wire formats, told apart by their first byte: Confluent's (0x00, schema id) where a registry is configured,
else Avro's own single-object encoding (C3 01, CRC-64-AVRO fingerprint of the writer's schema). Readers take both.

Guards: only our own schemas are ever used to read, whatever a registry says (a hostile schema can make a decoder
recurse or allocate without end); a size cap before decoding; nothing may follow the record; and only the bytes that
our writer makes of a value are taken. The current version's compiled reader knows no others; what fastavro read of an
earlier version must encode to the same bytes again, since it takes a union index of -1 and other forms.

References
----------
Apache Avro 1.12 specification, "Single-object encoding"; Confluent, "Wire format".
"""

import json
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import fastavro
import fastavro.schema

from schemas import reader, writer

SCHEMAS_DIR = Path(__file__).parent / "avro"

# Largest record taken, bytes: the broker's own default limit is 1 MiB.
MAX_BYTES = 1_000_000

_SINGLE_OBJECT = b"\xc3\x01"
_SINGLE_OBJECT_HEAD = 10
_CONFLUENT = b"\x00"
_CONFLUENT_HEAD = 5

# Unknown schema ids remembered, so that a flood of them does not become a flood of requests to the registry.
_MAX_UNKNOWN = 10_000


class WireError(ValueError):
    """Bytes that are not a record of ours; ``code`` is stable, the message says what and where."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Registry(Protocol):
    """What the codec asks of a schema registry. A registry that cannot answer raises OSError, never LookupError."""

    def id_of(self, subject: str, schema: str) -> int:
        """Return the id under which a schema is registered for a subject; raise LookupError when it is not."""
        ...

    def schema_of(self, schema_id: int) -> str:
        """Return the schema with an id; raise LookupError when there is none."""
        ...


@cache
def load(name: str) -> Mapping[str, Any]:
    """Return the current version of a schema of ours as JSON."""
    schema: Mapping[str, Any] = json.loads((SCHEMAS_DIR / f"{name}.avsc").read_text())
    return schema


@cache
def history(name: str) -> tuple[Mapping[str, Any], ...]:
    """Return every released version of a schema, oldest first."""
    paths = sorted((SCHEMAS_DIR / "history").glob(f"{name}.*.avsc"), key=lambda path: int(path.suffixes[0][1:]))
    return tuple(json.loads(path.read_text()) for path in paths)


def names() -> tuple[str, ...]:
    """Return the names of all schemas."""
    return tuple(sorted(path.stem for path in SCHEMAS_DIR.glob("*.avsc")))


def fingerprint(schema: object) -> bytes:
    """Return the CRC-64-AVRO fingerprint of a schema's canonical form, 8 bytes, little-endian."""
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    return bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))


class Codec:
    """Writes one type of record and reads every version of it.

    Parameters
    ----------
    name : of a schema in schemas/avro
    registry : with it the codec writes Confluent's format
    subject : under which the schema is registered

    Examples
    --------
    >>> codec = codec_of("tick")
    >>> codec.decode(codec.encode({"at_ms": 7}))
    {'at_ms': 7}
    """

    def __init__(self, name: str, registry: Registry | None = None, subject: str | None = None) -> None:
        self.name = name
        self.parsed: Any = fastavro.parse_schema(load(name))
        self._registry = registry
        self._versions: dict[bytes, Any] = {}
        for schema in history(name):
            self._versions[fingerprint(schema)] = fastavro.parse_schema(schema)
        own = fingerprint(load(name))
        self._versions[own] = self.parsed
        # Header bytes to the writer's schema.
        self._writers = {_SINGLE_OBJECT + mark: schema for mark, schema in self._versions.items()}
        self._unknown: set[bytes] = set()
        self.header = _SINGLE_OBJECT + own
        if registry is not None:
            number = registry.id_of(subject or f"{name}-value", json.dumps(load(name)))
            self.header = _CONFLUENT + number.to_bytes(4, "big")
            self._writers[self.header] = self.parsed
        # Compiled from the schema: the same bytes in a quarter of fastavro's time, and values in half of it.
        self.write: writer.Writer = writer.compiled(load(name), self.header)
        self._read: reader.Reader = reader.compiled(load(name))

    def encode(self, value: Mapping[str, Any]) -> bytes:
        """Return a record's bytes, framed."""
        return self.write(value)

    def decode(self, raw: bytes, *, strict: bool = True, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
        """Return the record that the bytes hold.

        Parameters
        ----------
        raw : a Kafka record's value
        strict : of an earlier version, encode again and compare; False only for what our own transactions wrote
        max_bytes : largest record taken

        Raises
        ------
        WireError
            too-large, bad-frame, unknown-schema, or bad-avro when the bytes are not what the schema says
        OSError
            when a schema id is new and the registry does not answer: not the record's fault
        """
        if len(raw) > max_bytes:
            raise WireError("too-large", f"{len(raw)} bytes; at most {max_bytes} are taken")
        version, head = self._writer_of(raw)
        if version is not self.parsed:
            return self._decode_earlier(raw, head, version, strict=strict)
        try:
            return self._read(raw, head)
        except reader.MalformedError as exc:
            raise WireError("bad-avro", f"not a {self.name} as any writer makes it: {exc}") from None

    def _decode_earlier(self, raw: bytes, head: int, version: Any, *, strict: bool) -> dict[str, Any]:
        """Return the record of an earlier version as the current one; rare, so fastavro's time is well spent."""
        stream = BytesIO(raw)
        stream.seek(head)
        try:
            value: dict[str, Any] = fastavro.schemaless_reader(stream, version, self.parsed)
        except Exception as exc:  # fastavro raises whatever its C code meets
            raise WireError("bad-avro", f"not a {self.name}: {type(exc).__name__}: {str(exc)[:200]}") from exc
        if stream.tell() != len(raw):
            raise WireError("bad-avro", f"{len(raw) - stream.tell()} bytes after the end of the {self.name}")
        if strict:
            again = BytesIO()
            stream.seek(head)
            fastavro.schemaless_writer(again, version, fastavro.schemaless_reader(stream, version, None))
            if again.getvalue() != raw[head:]:
                raise WireError("bad-avro", f"not a {self.name} as any writer makes it: encoding it again differs")
        return value

    def _writer_of(self, raw: bytes) -> tuple[Any, int]:
        if raw[:2] == _SINGLE_OBJECT:
            size = _SINGLE_OBJECT_HEAD
        elif raw[:1] == _CONFLUENT:
            size = _CONFLUENT_HEAD
        else:
            raise WireError("bad-frame", f"starts with {raw[:2].hex() or 'nothing'}: neither C3 01 nor 00")
        head = raw[:size]
        version = self._writers.get(head)
        if version is None:
            version = self._look_up(head)
        return version, size

    def _look_up(self, head: bytes) -> Any:
        """Ask the registry which of our versions an id means; any other schema is not read."""
        error = WireError("unknown-schema", f"no version of {self.name} has the header {head.hex()}")
        if self._registry is None or head[:1] != _CONFLUENT or len(head) != _CONFLUENT_HEAD or head in self._unknown:
            raise error
        try:
            version = self._version(self._registry.schema_of(int.from_bytes(head[1:], "big")))
        except LookupError:
            version = None
        if version is None:
            if len(self._unknown) < _MAX_UNKNOWN:
                self._unknown.add(head)
            raise error
        self._writers[head] = version
        return version

    def _version(self, schema: str) -> Any:
        """Return our version that a registry's schema is; None when it is none: foreign, not Avro, or hostile."""
        try:
            return self._versions.get(fingerprint(json.loads(schema)))
        except Exception:  # noqa: BLE001 - anybody's text: fastavro raises whatever it meets, RecursionError too
            return None


@cache
def codec_of(name: str, registry: Registry | None = None, subject: str | None = None) -> Codec:
    """Return the codec of a schema of ours; single-object encoding unless a registry is given."""
    return Codec(name, registry, subject)
