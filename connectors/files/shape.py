"""Compiles a mapping into one function: rows of a group in, a signal and its key out. Pure but for the time passed in.

Every name is looked up once, here; a row costs only the calls that its values need.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from connectors.files.located import FileError
from connectors.files.mapping import Field, Rules, Time, Value, Who, fields_of
from schemas.identifiers import Hasher, IdentifierError
from schemas.identity_rules import IdentityRules
from schemas.views import Signal

Row = Any  # a list of cells (CSV, Parquet) or a dictionary (JSON Lines)
Getter = Callable[[Row], Any]
Columns = Callable[[str], Getter]

MAX_NUMBER = 40  # digits
MAX_TEXT = 8_000  # characters, as schemas/avro/signal.avsc says
# Files bring the same customers and times again and again; parsing a phone number costs 50 us, remembering it 0.1.
CACHE = 65_536
_DIGITS = str.maketrans("۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩٫", "01234567890123456789.")
_BOUNDS = {"int": 2**31, "long": 2**63}
_TRUE, _FALSE = frozenset({"true", "1", "yes", "y", "t"}), frozenset({"false", "0", "no", "n", "f"})
# A time before 1990 or more than a day ahead is a broken cell, not a customer's.
EARLIEST_MS = 631_152_000_000
AHEAD_MS = 86_400_000


class RowError(ValueError):
    """A row that cannot become a signal; ``code`` is stable, the message names the field."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Shaped(NamedTuple):
    """A signal and its key in Kafka."""

    signal: Signal
    key: bytes


def by_position(header: Sequence[str]) -> Columns:
    """Return getters for rows that are lists in the header's order."""
    places: dict[str, int] = {}
    for index, name in enumerate(header):
        if name in places:
            raise FileError(f"the column {name!r} stands twice in the header")
        places[name] = index

    def getter(column: str) -> Getter:
        if column not in places:
            raise FileError(f"the file has no column {column!r}; it has: {', '.join(header)}")
        place = places[column]
        return lambda row: row[place]

    return getter


def by_name(column: str) -> Getter:
    """Return the getter of a dotted path in rows that are dictionaries; what is not there is empty."""
    first, *rest = column.split(".")
    if not rest:
        return lambda row: row.get(first)

    def get(row: Row) -> Any:
        value = row.get(first)
        for part in rest:
            if not isinstance(value, dict):
                return None
            value = value.get(part)
        return value

    return get


class Shaper:
    """Makes signals of rows.

    Parameters
    ----------
    rules : the mapping
    columns : finds a column's value in a row
    whole : all cells of a row, for the id where none is declared
    hasher : makes nodes
    identity : how identifiers are spelled, and which is the strongest

    Raises
    ------
    FileError
        when the mapping names a column that the file does not have
    """

    def __init__(
        self,
        rules: Rules,
        columns: Columns,
        whole: Callable[[Row], Sequence[Any]],
        *,
        hasher: Hasher,
        identity: IdentityRules,
    ) -> None:
        self._rules = rules
        self._source = rules.source or f"import.{rules.name}"
        self._seed = rules.name.encode() + b"\0"
        self._id = [columns(c) for c in rules.id or rules.group_by]
        self._whole = whole
        self._group = [columns(c) for c in rules.group_by]
        self._where = [(columns(c), frozenset(values)) for c, values in rules.where.items()]
        self._time = _timer(rules.time, columns)
        self._who = [_who(who, columns, identity) for who in rules.identifiers]
        self._strongest = identity.strongest
        self._node = lru_cache(CACHE)(hasher.node)
        known = fields_of(rules.kind) if rules.kind != "traits" else {}
        self._payload = [(n, _field(f"payload.{n}", known[n], v, columns)) for n, v in rules.payload.items()]
        text = Field("", "string", required=False)
        self._traits = [(n, _value(f"traits.{n}", text, v, columns)) for n, v in rules.traits.items()]
        self._context = [(n, _value(f"context.{n}", text, v, columns)) for n, v in rules.context.items()]
        # Identifiers left out because they could not be used, by reason; a row needs one that can.
        self.unused: dict[str, int] = {}

    def wanted(self, row: Row) -> bool:
        """Say whether a row passes ``where``."""
        return all(_plain(get(row)) in values for get, values in self._where)

    def group(self, row: Row) -> bytes | None:
        """Return what rows of one signal have in common, or None where every row is a signal."""
        return _digest(b"", [get(row) for get in self._group]) if self._group else None

    def shape(self, rows: Sequence[Row], received_at_ms: int) -> Shaped:
        """Return the signal of a group of rows, or of one.

        Raises
        ------
        RowError
            no-identifier, bad-time, bad-value or missing-value
        """
        first = rows[0]
        identifiers = []
        for who in self._who:
            try:
                found = who(first)
            except IdentifierError as exc:
                self.unused[exc.code] = self.unused.get(exc.code, 0) + 1
                continue
            if found is not None:
                identifiers.append(found)
        if not identifiers:
            raise RowError("no-identifier", "no identifier can be used")
        occurred_at_ms = self._time(first)
        if not EARLIEST_MS <= occurred_at_ms <= received_at_ms + AHEAD_MS:
            raise RowError("bad-time", f"{self._rules.time.column}: is before 1990 or in the future")
        signal: dict[str, Any] = {
            "id": self._id_of(rows),
            "kind": self._rules.kind,
            "name": self._rules.signal,
            "channel": self._rules.channel,
            "source": self._source,
            "identifiers": [{"kind": i.kind, "value": i.value, "original": i.original} for i in identifiers],
            "occurred_at_ms": occurred_at_ms,
            "original_at_ms": occurred_at_ms,
            "received_at_ms": received_at_ms,
            "context": {"extra": {}, **{name: make(rows) for name, make in self._context}},
        }
        if self._payload:
            signal[self._rules.kind] = {name: make(rows) for name, make in self._payload}
        if self._traits:
            stated = {name: make(rows) for name, make in self._traits}
            signal["traits"] = {"values": {name: text for name, text in stated.items() if text is not None}}
        return Shaped(signal, self._node(self._strongest(identifiers)))  # type: ignore[arg-type]  # checked against the schema

    def _id_of(self, rows: Sequence[Row]) -> str:
        if self._id:
            return "imp-" + _digest(self._seed, [get(rows[0]) for get in self._id]).hex()
        return "imp-" + _digest(self._seed, [cell for row in rows for cell in self._whole(row)]).hex()


def _digest(seed: bytes, cells: Sequence[Any]) -> bytes:
    """Return a digest in which no two lists of cells meet: each is written with its length."""
    parts = [_plain(cell).encode("utf-8", "surrogatepass") for cell in cells]
    return hashlib.blake2b(
        seed + b"".join(b"%d:%s" % (len(part), part) for part in parts), digest_size=16, usedforsecurity=False
    ).digest()


def _plain(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if cell is None:
        return ""
    if isinstance(cell, datetime | date):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))  # a column of whole numbers with gaps comes as floats from Parquet
    return str(cell)


_TRANSFORMS: Mapping[str, Callable[[str], str]] = {
    "strip": str.strip,
    "lower": str.lower,
    "upper": str.upper,
    "digits": lambda text: text.translate(_DIGITS),
}


def _text(get: Getter, transform: Sequence[str], mapped: Mapping[str, str] | None, prefix: str) -> Getter:
    """Return a getter of a cell as text, None when it is empty."""
    steps = [_TRANSFORMS[name] for name in transform]
    if not steps and mapped is None and not prefix:  # the usual case, and most of an import's time
        return lambda row: (cell if (cell := get(row)).__class__ is str else _plain(cell)).strip() or None

    def text(row: Row) -> str | None:
        found = _plain(get(row)).strip()
        for step in steps:
            found = step(found)
        if not found:
            return None
        if mapped is not None:
            found = mapped.get(found, found)
        return prefix + found

    return text


def _who(who: Who, columns: Columns, identity: IdentityRules) -> Getter:
    text = _text(columns(who.column), who.transform, None, who.prefix)

    @lru_cache(CACHE)
    def known(value: str) -> Any:
        return identity.normalise(who.kind, value)

    def find(row: Row) -> Any:
        value = text(row)
        return None if value is None else known(value)

    return find


def _timer(time: Time, columns: Columns) -> Callable[[Row], int]:
    get = columns(time.column)
    zone = ZoneInfo(time.zone)

    def moment(cell: Any) -> datetime:
        if isinstance(cell, datetime):
            return cell
        text = _plain(cell).strip().translate(_DIGITS)
        return datetime.fromisoformat(text) if time.format == "iso" else datetime.strptime(text, time.format)  # noqa: DTZ007 - the zone follows

    @lru_cache(CACHE)
    def parse(cell: Any) -> int:
        if time.format == "epoch_s":
            return int(Decimal(_plain(cell)) * 1000)
        if time.format == "epoch_ms":
            return int(Decimal(_plain(cell)))
        found = moment(cell)
        return int((found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC).timestamp() * 1000)

    def at_ms(row: Row) -> int:
        try:
            return parse(get(row))
        except (ValueError, TypeError, ArithmeticError, OverflowError):
            raise RowError("bad-time", f"{time.column}: is not a time of the form {time.format}") from None

    return at_ms


def _field(name: str, field: Field, value: Value | str, columns: Columns) -> Callable[[Sequence[Row]], Any]:
    if isinstance(value, str) or value.lines is None:
        return _value(name, field, value, columns)
    makers = [(n, _value(f"{name}.{n}", field.inner[n], v, columns)) for n, v in value.lines.items()]
    return lambda rows: [{n: make((row,)) for n, make in makers} for row in rows]


def _value(name: str, field: Field, value: Value | str, columns: Columns) -> Callable[[Sequence[Row]], Any]:
    """Return what makes a field's value of the rows of a group."""
    spec = Value(column=value) if isinstance(value, str) else value
    one = _cell(name, field, spec, columns)
    if spec.sum:
        return lambda rows: sum(one(row) or 0 for row in rows)
    if spec.const is not None:
        fixed = one(None)
        return lambda _: fixed
    return lambda rows: one(rows[0])


def _cell(name: str, field: Field, spec: Value, columns: Columns) -> Getter:
    convert = _converter(name, field.type, spec.minor)
    default = convert(_plain(spec.default)) if spec.default is not None else None
    if spec.const is not None:
        fixed = convert(_plain(spec.const))
        return lambda _: fixed
    text = _text(columns(spec.column or ""), spec.transform, spec.map, spec.prefix)
    factor = _cell(name, Field("", "long", required=True), Value(column=spec.times), columns) if spec.times else None

    def make(row: Row) -> Any:
        found = text(row)
        result = default if found is None else convert(found)
        if result is None:
            if field.required:
                raise RowError("missing-value", f"{name}: column {spec.column} is empty")
            return None
        return result if factor is None else result * factor(row)

    return make


def _number(text: str) -> Decimal:
    plain = text.translate(_DIGITS).replace(" ", "").replace("\u00a0", "").replace("٬", "")
    if len(plain) > MAX_NUMBER:  # parsing a number of a million digits takes minutes
        raise InvalidOperation
    found = Decimal(plain)
    if not found.is_finite() or found.adjusted() > MAX_NUMBER:
        raise InvalidOperation
    return found


def _whole(text: str, bound: int, minor: int) -> int:
    scaled = _number(text).scaleb(minor)
    found = int(scaled)
    if found != scaled or abs(found) >= bound:
        raise InvalidOperation
    return found


def _flag(text: str) -> bool:
    lowered = text.lower()
    if lowered not in _TRUE | _FALSE:
        raise ValueError(lowered)
    return lowered in _TRUE


def _converter(name: str, kind: str, minor: int | None) -> Callable[[str], Any]:
    """Return what turns text into a value of an Avro type."""
    if kind == "string":
        return lambda text: text[:MAX_TEXT]
    convert: Callable[[str], Any] = {
        "int": lambda text: _whole(text, _BOUNDS["int"], minor or 0),
        "long": lambda text: _whole(text, _BOUNDS["long"], minor or 0),
        "double": lambda text: float(_number(text)),
        "boolean": _flag,
    }[kind]

    @lru_cache(CACHE)
    def checked(text: str) -> Any:
        try:
            return convert(text)
        except (ValueError, ArithmeticError):
            raise RowError("bad-value", f"{name}: is not a {_WORDS[kind]}") from None

    return checked


_WORDS = {"int": "whole number", "long": "whole number", "double": "number", "boolean": "yes or no"}
