"""The mapping of `sada import`: which columns of a file become which parts of a signal. YAML or JSON.

A whole one, for order lines of which several rows make one order:

.. code-block:: yaml

    name: shop-orders                 # part of every signal's id: another name, other signals
    channel: pos                      # default: file
    kind: transaction
    signal: order_completed
    csv: {delimiter: ";", encoding: [utf-8, cp1256]}     # tried in turn for every line
    where: {status: [paid, shipped]}  # other rows are skipped
    group_by: [order_no]              # consecutive rows with one order_no are one signal
    id: [order_no]                    # default: all columns of the row
    time: {column: created, format: "%Y-%m-%d %H:%M", zone: Asia/Tehran}   # or iso, epoch_s, epoch_ms
    identifiers:
      - {kind: crm_id, column: customer}
      - {kind: phone, column: mobile}
    payload:
      type: {const: order}
      order_id: order_no              # a plain name is a column
      currency: {column: cur, map: {TL: TRY}, default: EUR}
      amount_minor: {column: price, minor: 2, times: qty, sum: true}
      items:
        lines:
          item_id: sku
          quantity: qty
          price_minor: {column: price, minor: 2}
    traits: {city: {column: city, transform: [strip, upper]}}
    context: {time_zone: {const: Asia/Tehran}}
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from connectors.files.located import FieldPath, FileError, Located, convert, read
from schemas.identifiers import KINDS
from schemas.topics import CHANNELS
from schemas.views import SIGNAL_KINDS
from schemas.wire import load as load_schema

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,39}$")]
Format = Literal["csv", "jsonl", "parquet"]
Transform = Literal["strip", "lower", "upper", "digits"]
Constant = str | int | float | bool

_SUFFIXES: Mapping[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base: an unknown field is a typing mistake, and refused."""


class Value(_Strict, frozen=True, kw_only=True):
    """Where a value comes from and what is done with it, in this order.

    Parameters
    ----------
    column : of the row (of a group's first row); in JSON Lines a path with dots
    const : instead of a column
    transform : strip, lower, upper, digits (Persian and Arabic digits become ASCII)
    map : replaces whole values; others stay
    prefix : put before
    default : when the cell is empty
    minor : a decimal amount of money becomes minor units with so many digits
    times : a column of whole numbers to multiply with
    sum : over the rows of the group
    lines : a list with one entry per row of the group; stands alone
    """

    column: str | None = None
    const: Constant | None = None
    transform: tuple[Transform, ...] = ()
    map: dict[str, str] | None = None
    prefix: str = ""
    default: Constant | None = None
    minor: Annotated[int, Meta(ge=0, le=6)] | None = None
    times: str | None = None
    sum: bool = False
    lines: "dict[str, Value | str] | None" = None


class Time(_Strict, frozen=True, kw_only=True):
    """When it happened; ``zone`` holds for times without an offset of their own."""

    column: str
    format: str = "iso"
    zone: str = "UTC"


class Who(_Strict, frozen=True, kw_only=True):
    """An identifier; rows where it is empty simply do not have it."""

    kind: str
    column: str
    prefix: str = ""
    transform: tuple[Transform, ...] = ()


class Csv(_Strict, frozen=True, kw_only=True):
    """How a CSV file is written; names of columns when it has no header."""

    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Meta(min_length=1, max_length=1)] = '"'
    encoding: tuple[str, ...] = ("utf-8",)
    columns: tuple[str, ...] | None = None


class Rules(_Strict, frozen=True, kw_only=True):
    """A mapping file."""

    name: Name
    kind: str
    signal: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,99}$")]
    time: Time
    identifiers: Annotated[tuple[Who, ...], Meta(min_length=1, max_length=16)]
    payload: dict[str, Value | str] = {}
    format: Format | None = None
    csv: Csv = Csv()
    channel: str = "file"
    source: str | None = None
    id: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    where: dict[str, tuple[str, ...]] = {}
    traits: dict[str, Value | str] = {}
    context: dict[str, Value | str] = {}

    def format_of(self, file: Path) -> Format:
        """Return the file's format, by the mapping or by the file's name.

        Raises
        ------
        FileError
            when neither tells
        """
        found = self.format or _SUFFIXES.get(file.suffix.lower())
        if found is None:
            raise FileError(
                f"{file}: its name does not tell the format; say format: csv, jsonl or parquet in the mapping"
            )
        return found


class Field(msgspec.Struct, frozen=True):
    """A field of a signal's record, from its Avro schema: type string, int, long, double, boolean, array or map."""

    name: str
    type: str
    required: bool
    inner: Mapping[str, "Field"] = {}


def fields_of(record: str) -> dict[str, Field]:
    """Return the fields of a part of the signal: a kind's payload, or context."""
    return _fields(_find(load_schema("signal"), record))


def _find(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    field = next(f for f in schema["fields"] if f["name"] == name)
    kind = field["type"]
    return next(k for k in kind if k != "null") if isinstance(kind, list) else kind


def _fields(record: Mapping[str, Any]) -> dict[str, Field]:
    found = {}
    for field in record["fields"]:
        kind = field["type"]
        if isinstance(kind, list):
            kind = next(k for k in kind if k != "null")
        inner: dict[str, Field] = {}
        if isinstance(kind, dict):
            if kind["type"] == "array":
                inner = _fields(kind["items"])
            kind = kind["type"]
        found[field["name"]] = Field(field["name"], kind, "default" not in field, inner)
    return found


def load(path: Path, kinds: Sequence[str] = KINDS) -> Rules:
    """Read and check a mapping.

    Parameters
    ----------
    kinds : of identifiers that there are, as identity.yaml declares them

    Raises
    ------
    FileError
        with every fault: file, line, field, what
    """
    located = read(path)
    rules = convert(located, Rules)
    faults = [*_check_head(located, rules, kinds), *_check_payload(located, rules)]
    if faults:
        raise FileError("\n".join(faults))
    return rules


def _check_head(located: Located, rules: Rules, kinds: Sequence[str]) -> list[str]:
    faults = []
    if rules.kind not in SIGNAL_KINDS:
        faults.append(located.fault(("kind",), f"must be one of {', '.join(SIGNAL_KINDS)}"))
    if rules.channel not in CHANNELS or rules.channel == "outcome":
        names = ", ".join(c for c in CHANNELS if c != "outcome")
        faults.append(located.fault(("channel",), f"must be one of {names}"))
    for index, who in enumerate(rules.identifiers):
        if who.kind not in kinds:
            faults.append(located.fault(("identifiers", index, "kind"), f"must be one of {', '.join(kinds)}"))
    try:
        ZoneInfo(rules.time.zone)
    except (ZoneInfoNotFoundError, ValueError):
        faults.append(located.fault(("time", "zone"), f"{rules.time.zone!r} is not an IANA time zone"))
    if rules.time.format not in ("iso", "epoch_s", "epoch_ms") and "%" not in rules.time.format:
        faults.append(located.fault(("time", "format"), "must be iso, epoch_s, epoch_ms or a pattern with %"))
    for index, encoding in enumerate(rules.csv.encoding):
        if not _reads_by_line(encoding):
            faults.append(
                located.fault(("csv", "encoding", index), f"{encoding!r} is not known here, or not one read by lines")
            )
    return faults


def _reads_by_line(encoding: str) -> bool:
    """Say whether a line break is the one byte 0A in an encoding: not so in UTF-16 and UTF-32."""
    try:
        return "a\n".encode(encoding) == b"a\n"
    except LookupError:
        return False


def _check_payload(located: Located, rules: Rules) -> list[str]:
    if rules.kind not in SIGNAL_KINDS:
        return []
    faults = []
    if rules.kind != "traits":
        faults += _check_fields(located, ("payload",), rules.payload, fields_of(rules.kind), rules)
    elif not rules.traits or rules.payload:
        faults.append(located.fault(("traits",), "kind traits needs traits, and no payload"))
    context = {name: field for name, field in fields_of("context").items() if field.type == "string"}
    faults += _check_fields(located, ("context",), rules.context, context, rules)
    faults += [f for name, value in rules.traits.items() for f in _check_value(located, ("traits", name), value, rules)]
    return faults


def _check_fields(
    located: Located,
    at: FieldPath,
    given: Mapping[str, Value | str],
    known: Mapping[str, Field],
    rules: Rules,
) -> list[str]:
    faults = [
        located.fault((*at, name), f"is not a field of {rules.kind}; known: {', '.join(known)}")
        for name in given
        if name not in known
    ]
    missing = [name for name, field in known.items() if field.required and name not in given]
    if missing:
        faults.append(located.fault(at, f"lacks {', '.join(missing)}, which every {rules.kind} needs"))
    for name, value in given.items():
        field = known.get(name)
        if field is None:
            continue
        lines = None if isinstance(value, str) else value.lines
        if (lines is not None) != (field.type == "array"):
            faults.append(located.fault((*at, name), "takes lines:" if field.type == "array" else "takes no lines:"))
        elif lines is not None:
            faults += _check_fields(located, (*at, name, "lines"), lines, field.inner, rules)
        else:
            faults += _check_value(located, (*at, name), value, rules)
    return faults


def _check_value(located: Located, at: FieldPath, value: Value | str, rules: Rules) -> list[str]:
    if isinstance(value, str):
        return []
    faults = []
    if (value.column is None) == (value.const is None):
        faults.append(located.fault(at, "give column or const, one of them"))
    if value.sum and not rules.group_by:
        faults.append(located.fault((*at, "sum"), "needs group_by"))
    return faults
