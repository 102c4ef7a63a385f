"""A compiled Avro writer: from a schema, Python source that does nothing but append bytes.

Four to five times as fast as a writer that walks the schema for every record (a signal: 7.8 us against 36.7), and
byte for byte the same: a property test holds it to fastavro. It takes what our schemas use: records, arrays, maps,
enums, primitives, and unions of null with one other type.
"""

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

Writer = Callable[[Mapping[str, Any]], bytes]

_INDENT = "    "
# Numbers whose bytes are looked up: lengths, counts, and the low 14 bits of times.
_TABLE = 1 << 14
# High parts of large numbers remembered: of epoch milliseconds one lasts 8 s, so this is six days of history.
_HIGH_KEPT = 1 << 16
# Packers of whole arrays of floats remembered, by their length: feature sets are few.
_PACKED_KEPT = 64
_PACKED = {"float": "f", "double": "d"}
_LONG_MIN, _LONG_MAX = -(1 << 63), (1 << 63) - 1


class UnsupportedSchemaError(ValueError):
    """A schema that uses what the compiled writer does not know; the message says what."""


def _varint(z: int) -> bytes:
    out = bytearray()
    while z > 127:
        out.append(z & 127 | 128)
        z >>= 7
    out.append(z)
    return bytes(out)


_SMALL = tuple(_varint(z) for z in range(_TABLE))
_LOW = tuple(bytes((z & 127 | 128, z >> 7 | 128)) for z in range(_TABLE))
_high = lru_cache(_HIGH_KEPT)(_varint)


def _default(field: Mapping[str, Any]) -> object:
    """Return a field's default; that of bytes is written as text, a character a byte (Avro 1.12, Complex Types)."""
    default = field["default"]
    return default.encode("latin-1") if field["type"] == "bytes" else default


def _long(n: int) -> bytes:
    """Return a long, zigzag and variable-length."""
    z = n << 1 if n >= 0 else ~(n << 1)
    if z < _TABLE:
        return _SMALL[z]
    if not _LONG_MIN <= n <= _LONG_MAX:
        raise OverflowError(f"{n} does not fit a long")
    return _LOW[z & (_TABLE - 1)] + _high(z >> 14)


@lru_cache(_PACKED_KEPT)
def _packer(count: int, code: str) -> Callable[..., bytes]:
    return struct.Struct(f"<{count}{code}").pack


class _Compiler:
    """Turns a schema into source: one function per record."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, str] = {}
        self.constants: dict[str, object] = {"_long": _long, "_double": struct.Struct("<d").pack}
        self.constants |= {"_float": struct.Struct("<f").pack, "_packer": _packer}
        self._count = 0

    def record(self, schema: Mapping[str, Any], namespace: str) -> str:
        """Write a record's function and return its name."""
        function = f"write_{len(self.names)}"
        space = schema.get("namespace", namespace)
        self.names[f"{space}.{schema['name']}"] = self.names[schema["name"]] = function
        body: list[str] = [f"def {function}(r, a):"]
        for field in schema["fields"]:
            name = field["name"]
            variable = self._variable()
            if "default" in field:
                constant = self._variable("C")
                self.constants[constant] = _default(field)
                body.append(f"{_INDENT}{variable} = r.get({name!r}, {constant})")
            else:
                body.append(f"{_INDENT}{variable} = r[{name!r}]")
            body += self.value(field["type"], variable, _INDENT, space)
        if len(body) == 1:
            body.append(f"{_INDENT}pass")
        self.lines += body
        return function

    def value(self, schema: Any, v: str, indent: str, space: str) -> list[str]:
        """Return the lines that append a value."""
        if isinstance(schema, list):
            return self._union(schema, v, indent, space)
        kind = schema if isinstance(schema, str) else schema["type"]
        if isinstance(kind, (dict, list)):
            return self.value(kind, v, indent, space)
        if kind == "record":
            return [f"{indent}{self.record(schema, space)}({v}, a)"]
        if kind in {"array", "map"}:
            return self._many(schema, kind, v, indent, space)
        if kind == "enum":
            table = self._variable("C")
            self.constants[table] = {symbol: _long(index) for index, symbol in enumerate(schema["symbols"])}
            return [f"{indent}a({table}[{v}])"]
        if kind in self.names:
            return [f"{indent}{self.names[kind]}({v}, a)"]
        if kind in _PRIMITIVES:
            return [indent + line.format(v=v) for line in _PRIMITIVES[kind]]
        raise UnsupportedSchemaError(f"type {kind!r} is not known to the compiled writer")

    def _union(self, branches: list[Any], v: str, indent: str, space: str) -> list[str]:
        others = [branch for branch in branches if branch != "null"]
        if len(branches) != 2 or len(others) != 1:
            raise UnsupportedSchemaError("a union is of null and one other type")
        null = _long(branches.index("null"))
        other = _long(branches.index(others[0]))
        return [
            f"{indent}if {v} is None:",
            f"{indent}{_INDENT}a({null!r})",
            f"{indent}else:",
            f"{indent}{_INDENT}a({other!r})",
            *self.value(others[0], v, indent + _INDENT, space),
        ]

    def _many(self, schema: Mapping[str, Any], kind: str, v: str, indent: str, space: str) -> list[str]:
        element = self._variable()
        inner = indent + _INDENT * 2
        lines = [f"{indent}if {v}:", f"{indent}{_INDENT}a(_long(len({v})))"]
        if kind == "map":
            key = self._variable()
            lines.append(f"{indent}{_INDENT}for {key}, {element} in {v}.items():")
            lines += self.value("string", key, inner, space)
            lines += self.value(schema["values"], element, inner, space)
        elif isinstance(schema["items"], str) and schema["items"] in _PACKED:
            lines.append(f"{indent}{_INDENT}a(_packer(len({v}), {_PACKED[schema['items']]!r})(*{v}))")
        else:
            lines.append(f"{indent}{_INDENT}for {element} in {v}:")
            lines += self.value(schema["items"], element, inner, space)
        return [*lines, f"{indent}a(b'\\0')"]

    def _variable(self, prefix: str = "v") -> str:
        self._count += 1
        return f"{prefix}{self._count}"


_PRIMITIVES: Mapping[str, tuple[str, ...]] = {
    "string": ("{v} = {v}.encode()", "a(_long(len({v})))", "a({v})"),
    "bytes": ("a(_long(len({v})))", "a({v})"),
    "int": ("a(_long({v}))",),
    "long": ("a(_long({v}))",),
    "double": ("a(_double({v}))",),
    "float": ("a(_float({v}))",),
    "boolean": ("a(b'\\1' if {v} else b'\\0')",),
    "null": (),
}


def compiled(schema: Mapping[str, Any], header: bytes = b"") -> Writer:
    r"""Return the writer of a record's schema.

    Parameters
    ----------
    schema : as JSON gives it
    header : put before every record: the frame

    Raises
    ------
    UnsupportedSchemaError
        when the schema uses what the writer does not know

    Examples
    --------
    >>> write = compiled({"type": "record", "name": "T", "fields": [{"name": "a", "type": ["null", "long"]}]})
    >>> write({"a": 1}), write({"a": None})
    (b'\x02\x02', b'\x00')
    """
    compiler = _Compiler()
    root = compiler.record(schema, "")
    source = [
        *compiler.lines,
        "def write(r):",
        f"{_INDENT}parts = [{header!r}]",
        f"{_INDENT}{root}(r, parts.append)",
        f"{_INDENT}return b''.join(parts)",
    ]
    space: dict[str, Any] = dict(compiler.constants)
    exec(compile("\n".join(source), f"<writer of {schema['name']}>", "exec"), space)  # noqa: S102 - from our own schemas alone; names pass repr()
    writer: Writer = space["write"]
    return writer
