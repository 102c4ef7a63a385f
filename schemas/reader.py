"""A compiled Avro reader: from a schema, one Python function that takes only what the compiled writer makes.

Avro lets one value be written in many ways (long varints, blocks of arrays, doubled keys of a map), and a lenient
reader takes still others. This one takes exactly one form of each value, the writer's, so nothing needs to be encoded
again and compared: a property test holds it to that check. Nested records are read in line, since a call costs as much
as a field. It takes what the writer takes, less recursion and items of no bytes: without these no record can cost more
than its bytes.

A text or a number cut short is not looked for at each field: the position is then past the end, the next byte read
raises IndexError, and the position is compared with the end at last. Which field it was, the number of the source line
that raised tells, so that good records pay nothing for it.
"""

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from schemas.writer import UnsupportedSchemaError

# The record that begins at a position of the bytes and ends where they end.
Reader = Callable[[bytes, int], dict[str, Any]]

_INDENT = "    "
# By a first byte: the size of a text or bytes with its length, 0 when the length is negative or longer than one byte.
_SIZE = tuple(1 + b // 2 if b < 128 and not b & 1 else 0 for b in range(256))
# By a first byte below 128: the number.
_ZIGZAG = tuple(b >> 1 ^ -(b & 1) for b in range(128))
# By the first two bytes of a longer number that is not negative: its lowest 13 bits.
_LOW = {bytes((z & 127 | 128, z >> 7 | 128)): z >> 1 for z in range(0, 1 << 14, 2)}
# Upper four bytes of six-byte numbers: of epoch milliseconds one lasts 8 s, so this is six days of history.
_HIGH_KEPT = 1 << 16
_high: dict[bytes, int] = {}
# Bits of the last byte of a ten-byte number that lie within 64.
_LAST_OF_TEN = 1
# Structures of arrays of floats remembered, by their length: feature sets are few.
_FLOATS_KEPT = 64


class MalformedError(ValueError):
    """Bytes that the writer of this schema does not make; the message says what and where."""


@lru_cache(_FLOATS_KEPT)
def _floats(count: int, code: str) -> struct.Struct:
    return struct.Struct(f"<{count}{code}")


def _unsigned(raw: bytes, p: int) -> tuple[int, int]:
    """Return the number at a position, not yet unzigzagged, and the position after it."""
    z = shift = 0
    while True:
        b = raw[p]
        p += 1
        z |= (b & 127) << shift
        if b < 128:
            break
        shift += 7
        if shift > 63:
            raise MalformedError("a number of more than ten bytes")
    if not b and shift:
        raise MalformedError("a number longer than it need be")
    if shift == 63 and b > _LAST_OF_TEN:
        raise MalformedError("a number of more than 64 bits")
    return z, p


def _long(raw: bytes, p: int) -> tuple[int, int]:
    """Return the number of two bytes or more at a position, and the position after it."""
    high = _high.get(raw[p + 2 : p + 6])
    if high is not None:
        low = _LOW.get(raw[p : p + 2])
        if low is not None:
            return high + low, p + 6
    z, e = _unsigned(raw, p)
    if e == p + 6:
        if len(_high) >= _HIGH_KEPT:
            _high.clear()
        _high[raw[p + 2 : e]] = z >> 14 << 13
    return z >> 1 ^ -(z & 1), e


def _length(raw: bytes, p: int) -> tuple[int, int]:
    """Return a length, a count or an index at a position, and the position after it."""
    z, second = raw[p], raw[p + 1] if p + 1 < len(raw) else 0
    if z > 127 and 0 < second < 128:  # two bytes: what is longer than 63, but not than 8191
        z, p = z - 128 + (second << 7), p + 2
    else:
        z, p = _unsigned(raw, p)
    if z & 1:
        raise MalformedError(f"a negative length or count, {-(z >> 1) - 1}")
    return z >> 1, p


def _text(raw: bytes, p: int) -> tuple[str, int]:
    n, p = _length(raw, p)
    return raw[p : p + n].decode(), p + n


def _bytes(raw: bytes, p: int) -> tuple[bytes, int]:
    n, p = _length(raw, p)
    return raw[p : p + n], p + n


def _same_float(raw: bytes, p: int, *values: float) -> None:
    """Refuse a signalling NaN: a float becomes a double and back without it."""
    if _floats(len(values), "f").pack(*values) != raw[p : p + 4 * len(values)]:
        raise MalformedError("a float that no writer makes")


def _explained(exc: Exception, raw: bytes, p: int, paths: tuple[str, ...]) -> MalformedError:
    line = exc.__traceback__.tb_lineno if exc.__traceback__ is not None else 0
    where = f"{paths[line]} at byte {p}"
    if isinstance(exc, UnicodeDecodeError):
        return MalformedError(f"{where}: not UTF-8, {exc.reason}")
    if isinstance(exc, MalformedError):
        return MalformedError(f"{where}: {exc}")
    return MalformedError(f"{where}: the bytes end at {len(raw)}")


_CONSTANTS: Mapping[str, object] = {
    "SIZE": _SIZE,
    "ZIGZAG": _ZIGZAG,
    "MalformedError": MalformedError,
    "FAULTS": (MalformedError, IndexError, UnicodeDecodeError, struct.error, OverflowError),
    "explained": _explained,
    "read_long": _long,
    "read_length": _length,
    "read_text": _text,
    "read_bytes": _bytes,
    "same_float": _same_float,
    "floats": _floats,
    "double": struct.Struct("<d").unpack_from,
    "float_": struct.Struct("<f").unpack_from,
}

# {v} is the variable that takes the value; ``p`` the position, moved only when the value is read.
_NUMBER = (
    "{v} = raw[p]",
    "if {v} < 128:",
    "    {v} = ZIGZAG[{v}]",
    "    p += 1",
    "else:",
    "    {v}, p = read_long(raw, p)",
)
_PRIMITIVES: Mapping[str, tuple[str, ...]] = {
    "string": (
        "e = p + SIZE[raw[p]]",
        "if e > p:",
        "    {v} = raw[p + 1:e].decode()",
        "    p = e",
        "else:",
        "    {v}, p = read_text(raw, p)",
    ),
    "bytes": (
        "e = p + SIZE[raw[p]]",
        "if e > p:",
        "    {v} = raw[p + 1:e]",
        "    p = e",
        "else:",
        "    {v}, p = read_bytes(raw, p)",
    ),
    "int": _NUMBER,
    "long": _NUMBER,
    "double": ("{v} = double(raw, p)[0]", "p += 8"),
    "float": ("{v} = float_(raw, p)[0]", "if {v} != {v}:", "    same_float(raw, p, {v})", "p += 4"),
    "boolean": (
        "{v} = raw[p]",
        "if {v} > 1:",
        "    raise MalformedError('neither true nor false')",
        "{v} = {v} == 1",
        "p += 1",
    ),
    "null": ("{v} = None",),
}
# Whole arrays of these are unpacked at once. A sum is not a number when an item is not (or infinities of both signs
# meet): only then are the items looked at.
_PACKED: Mapping[str, tuple[str, ...]] = {
    "double": ("{v} = list(floats({n}, 'd').unpack_from(raw, p))", "p += 8 * {n}"),
    "float": (
        "{v} = list(floats({n}, 'f').unpack_from(raw, p))",
        "s = sum({v})",
        "if s != s:",
        "    same_float(raw, p, *{v})",
        "p += 4 * {n}",
    ),
}
# Fewest bytes that a value takes; what is not named here takes one: a length, a count, an index.
_LEAST: Mapping[str, int] = {"null": 0, "float": 4, "double": 8}


class _Compiler:
    """Turns a schema into the lines of one function, and knows which field each line reads."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.paths: list[str] = [""]  # lines are counted from one
        self.names: dict[str, tuple[Mapping[str, Any], str]] = {}
        self._open: list[str] = []
        self._count = 0

    def add(self, depth: int, path: str, *lines: str) -> None:
        """Append lines that read a field."""
        self.lines += [_INDENT * depth + line for line in lines]
        self.paths += [path] * len(lines)

    def variable(self) -> str:
        """Return a name not used yet."""
        self._count += 1
        return f"v{self._count}"

    def record(self, schema: Mapping[str, Any], v: str, depth: int, path: str, space: str) -> int:
        """Add the lines that read a record; return the fewest bytes it takes."""
        space = schema.get("namespace", space)
        full = f"{space}.{schema['name']}"
        if full in self._open:
            raise UnsupportedSchemaError(f"{full} holds itself: not known to the compiled reader")
        self.names[full] = self.names[schema["name"]] = (schema, space)
        self._open.append(full)
        least, entries = 0, []
        for field in schema["fields"]:
            variable = self.variable()
            least += self.value(field["type"], variable, depth, f"{path}.{field['name']}", space)
            entries.append(f"{field['name']!r}: {variable}")
        self._open.pop()
        self.add(depth, path, f"{v} = {{{', '.join(entries)}}}")
        return least

    def value(self, schema: Any, v: str, depth: int, path: str, space: str) -> int:
        """Add the lines that read a value into a variable; return the fewest bytes it takes."""
        if isinstance(schema, list):
            return self._union(schema, v, depth, path, space)
        kind = schema if isinstance(schema, str) else schema["type"]
        if isinstance(kind, (dict, list)):
            return self.value(kind, v, depth, path, space)
        if kind == "record":
            return self.record(schema, v, depth, path, space)
        if kind in {"array", "map"}:
            return self._many(schema, v, depth, path, space)
        if kind == "enum":
            symbols = tuple(schema["symbols"])
            self.add(depth, path, f"{v}, e = read_length(raw, p)", f"if {v} >= {len(symbols)}:")
            self.add(depth + 1, path, f"raise MalformedError('no symbol %d' % {v})")
            self.add(depth, path, f"{v} = {symbols!r}[{v}]", "p = e")
            return 1
        if kind in self.names:
            named, its_space = self.names[kind]
            return self.record(named, v, depth, path, its_space)
        if kind in _PRIMITIVES:
            self.add(depth, path, *(line.format(v=v) for line in _PRIMITIVES[kind]))
            return _LEAST.get(kind, 1)
        raise UnsupportedSchemaError(f"type {kind!r} is not known to the compiled reader")

    def _union(self, branches: list[Any], v: str, depth: int, path: str, space: str) -> int:
        others = [branch for branch in branches if branch != "null"]
        if len(branches) != 2 or len(others) != 1:
            raise UnsupportedSchemaError("a union is of null and one other type")
        self.add(depth, path, f"{v} = raw[p]", f"if {v} == {2 * branches.index('null')}:")
        self.add(depth + 1, path, f"{v} = None", "p += 1")
        self.add(depth, path, f"elif {v} == {2 * branches.index(others[0])}:")
        self.add(depth + 1, path, "p += 1")
        self.value(others[0], v, depth + 1, path, space)
        self.add(depth, path, "else:")
        self.add(depth + 1, path, "raise MalformedError('neither null nor a value')")
        return 1

    def _many(self, schema: Mapping[str, Any], v: str, depth: int, path: str, space: str) -> int:
        """Add one block with its count and the empty block that ends it, or the empty block alone."""
        kind = schema["type"]
        items = schema["values"] if kind == "map" else schema["items"]
        n, element = self.variable(), self.variable()
        self.add(depth, path, f"{v} = {'{}' if kind == 'map' else '[]'}", "if raw[p]:")
        self.add(depth + 1, path, f"{n} = SIZE[raw[p]] - 1", "p += 1", f"if {n} < 0:")
        self.add(depth + 2, path, f"{n}, p = read_length(raw, p - 1)")
        checked = len(self.lines)  # the least size of an item is known when its lines are
        self.add(depth + 1, path, "", _INDENT + "raise MalformedError('%d items are said to come' % " + n + ")")
        if kind == "array" and isinstance(items, str) and items in _PACKED:
            self.add(depth + 1, path, *(line.format(v=v, n=n) for line in _PACKED[items]))
            least = _LEAST[items]
        else:
            self.add(depth + 1, path, f"for _ in range({n}):")
            if kind == "map":
                key = self.variable()
                self.value("string", key, depth + 2, f"{path}.(key)", space)
            least = self.value(items, element, depth + 2, f"{path}[]", space) + (kind == "map")
            self.add(depth + 2, path, f"{v}[{key}] = {element}" if kind == "map" else f"{v}.append({element})")
        if not least:
            raise UnsupportedSchemaError(f"{path}: items of no bytes: a count could be without bound")
        self.lines[checked] = f"{_INDENT * (depth + 1)}if {n} * {least} > len(raw) - p:"
        if kind == "map":
            self.add(depth + 1, path, f"if len({v}) != {n}:", _INDENT + "raise MalformedError('a key comes twice')")
        self.add(depth + 1, path, "if raw[p]:", _INDENT + "raise MalformedError('more than one block')")
        self.add(depth, path, "p += 1")
        return 1


def compiled(schema: Mapping[str, Any]) -> Reader:
    r"""Return the reader of a record's schema; it raises MalformedError alone.

    Parameters
    ----------
    schema : as JSON gives it

    Raises
    ------
    UnsupportedSchemaError
        when the schema uses what the reader does not know

    Examples
    --------
    >>> read = compiled({"type": "record", "name": "T", "fields": [{"name": "a", "type": ["null", "long"]}]})
    >>> read(b"\x02\x02", 0), read(b"\x00", 0)
    ({'a': 1}, {'a': None})
    >>> read(b"\x02", 0)
    Traceback (most recent call last):
    schemas.reader.MalformedError: T.a at byte 1: the bytes end at 1
    """
    name = schema["name"]
    compiler = _Compiler()
    compiler.add(0, name, "def read(raw, p):")
    compiler.add(1, name, "try:")
    compiler.record(schema, "v0", 2, name, "")
    compiler.add(2, name, "if p != len(raw):")
    compiler.add(
        3, name, "raise MalformedError('%d bytes after the end' % (len(raw) - p) if p < len(raw) else 'cut short')"
    )
    compiler.add(2, name, "return v0")
    compiler.add(1, name, "except FAULTS as exc:")
    compiler.add(2, name, "raise explained(exc, raw, p, PATHS) from None")
    space: dict[str, Any] = {**_CONSTANTS, "PATHS": tuple(compiler.paths)}
    exec(compile("\n".join(compiler.lines), f"<reader of {name}>", "exec"), space)  # noqa: S102 - from our own schemas alone; names pass repr()
    reader: Reader = space["read"]
    return reader
