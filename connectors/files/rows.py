"""Reads CSV, JSON Lines and Parquet row by row, from any place; a bad row costs itself, never the next one.

Every row comes with its line (counted from 1) and with the place right after it, from which reading can go on.
"""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import orjson

from connectors.files.located import FileError
from connectors.files.mapping import Csv, Rules
from connectors.files.shape import Columns, Row, by_name, by_position

# Longest line taken, bytes: the broker takes records of 1 MB.
MAX_LINE = 1_000_000
# A quoted cell may run over so many lines; more is a quote that somebody forgot to close.
MAX_LINES_PER_ROW = 100
# Rows of Parquet decoded at one time.
PARQUET_BATCH = 8_192

_BOM = b"\xef\xbb\xbf"
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


class Place(NamedTuple):
    """Where a row begins: a byte offset (a row's number in Parquet) and its line."""

    offset: int
    line: int


class Read(NamedTuple):
    """A row as read.

    Parameters
    ----------
    line : where it begins
    after : where the next one begins
    row : its cells; None when it could not be read
    raw : its bytes, for the rejects
    code, detail : why it could not be read
    """

    line: int
    after: Place
    row: Row
    raw: bytes
    code: str = ""
    detail: str = ""


class Reader(Protocol):
    """A file of rows."""

    @property
    def columns(self) -> Columns:
        """Find a column's value in a row."""
        ...

    # In what ``Place.offset`` counts: for the progress bar.
    size: int
    start: Place

    def rows(self, place: Place) -> Iterator[Read]:
        """Read from a place to the end."""
        ...

    def whole(self, row: Row) -> Sequence[Any]:
        """Return all cells of a row, in an order that does not depend on how it was written."""
        ...


def reader_of(file: Path, rules: Rules) -> Reader:
    """Return the reader of a file.

    Raises
    ------
    FileError
        when it cannot be opened, is empty, or is not what the mapping says
    """
    try:
        match rules.format_of(file):
            case "csv":
                return CsvReader(file, rules.csv)
            case "jsonl":
                return JsonReader(file)
            case "parquet":
                return ParquetReader(file)
    except OSError as exc:
        raise FileError(f"{file}: cannot be read: {exc.strerror}") from exc


def _after_bom(file: Path) -> int:
    with file.open("rb") as opened:
        head = opened.read(4)
    if head.startswith(_WIDE_BOMS):
        raise FileError(f"{file}: is UTF-16 or UTF-32; convert it first: iconv -f UTF-16 -t UTF-8 FILE > NEW")
    return len(_BOM) if head.startswith(_BOM) else 0


class _RowProblemError(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class _Lines:
    """Feeds csv.reader with text and remembers the bytes of the row at hand."""

    def __init__(self, file: BinaryIO, encodings: Sequence[str]) -> None:
        self._file = file
        self._encodings = encodings
        self.pulled: list[bytes] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        raw = self._file.readline(MAX_LINE + 1)
        if not raw:
            raise StopIteration
        self.pulled.append(raw)
        if len(raw) > MAX_LINE:
            raise _RowProblemError("too-long", f"the line has more than {MAX_LINE} bytes")
        if b"\0" in raw:
            raise _RowProblemError("nul", "the line holds a NUL byte")
        if len(self.pulled) > MAX_LINES_PER_ROW:
            raise _RowProblemError("open-quote", f"a quoted cell runs over more than {MAX_LINES_PER_ROW} lines")
        for encoding in self._encodings:
            try:
                return raw.decode(encoding)
            except UnicodeDecodeError:
                continue
        raise _RowProblemError("bad-encoding", f"the line is not {' or '.join(self._encodings)}")


def _skip_line(file: BinaryIO, offset: int) -> int:
    """Go to the line after the one at an offset, however long, and return where it begins."""
    file.seek(offset)
    while (part := file.readline(MAX_LINE)) and not part.endswith(b"\n"):
        pass
    return file.tell()


class CsvReader:
    """CSV by RFC 4180 with the dialect of the mapping; strict: a stray quote is a fault."""

    def __init__(self, file: Path, dialect: Csv) -> None:
        self._file = file
        self._dialect = dialect
        self.size = file.stat().st_size
        begin = _after_bom(file)
        if dialect.columns is not None:
            self._header = list(dialect.columns)
            self.start = Place(begin, 1)
        else:
            first = next(self._read(Place(begin, 1), None), None)
            if first is None:
                raise FileError(f"{file}: the file is empty; a header was expected")
            if first.row is None:
                raise FileError(f"{file}:1: the header cannot be read: {first.detail}")
            self._header = [name.strip() for name in first.row]
            self.start = first.after
        self.columns = by_position(self._header)

    def rows(self, place: Place) -> Iterator[Read]:
        """Read from a place to the end."""
        return self._read(place, len(self._header))

    def whole(self, row: Row) -> Sequence[Any]:
        """Return all cells."""
        return row  # type: ignore[no-any-return]  # a row of CSV is a list of text

    def _read(self, place: Place, width: int | None) -> Iterator[Read]:
        with self._file.open("rb", buffering=1 << 18) as file:
            file.seek(place.offset)
            lines = _Lines(file, self._dialect.encoding)
            parser = self._parser(lines)
            line, pulled = place.line, lines.pulled
            offset = place.offset
            while True:
                pulled.clear()
                code = detail = ""
                row: list[str] | None = None
                try:
                    row = next(parser)
                except StopIteration:
                    return
                except _RowProblemError as exc:
                    code, detail = exc.code, str(exc)
                except csv.Error as exc:
                    code, detail = "bad-csv", str(exc)
                if row is not None and width is not None and len(row) != width and row:
                    code, detail, row = "ragged", f"{len(row)} cells instead of {width}", None
                if code:
                    # Only the first line is lost: it may have been its quote that swallowed the others.
                    offset = _skip_line(file, offset)
                    parser = self._parser(lines)
                    del pulled[1:]
                else:
                    offset += len(pulled[0]) if len(pulled) == 1 else sum(map(len, pulled))
                begun, line = line, line + len(pulled)
                if row == []:
                    continue  # a blank line is no row
                raw = pulled[0] if len(pulled) == 1 else b"".join(pulled)
                yield Read(begun, Place(offset, line), row, raw, code, detail)

    def _parser(self, lines: _Lines) -> Any:
        return csv.reader(lines, delimiter=self._dialect.delimiter, quotechar=self._dialect.quote, strict=True)


class JsonReader:
    """JSON Lines: one object per line."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.size = file.stat().st_size
        self.start = Place(_after_bom(file), 1)
        self.columns = by_name
        if not self.size:
            raise FileError(f"{file}: the file is empty")

    def whole(self, row: Row) -> Sequence[Any]:
        """Return the row as canonical JSON: the order of its keys does not matter."""
        return (orjson.dumps(row, option=orjson.OPT_SORT_KEYS).decode(),)

    def rows(self, place: Place) -> Iterator[Read]:
        """Read from a place to the end."""
        line, offset = place.line, place.offset
        with self._file.open("rb", buffering=1 << 18) as file:
            file.seek(offset)
            while raw := file.readline(MAX_LINE + 1):
                if len(raw) > MAX_LINE:
                    offset = _skip_line(file, offset)
                    code, detail, row = "too-long", f"the line has more than {MAX_LINE} bytes", None
                else:
                    offset += len(raw)
                    code, detail, row = _parse(raw)
                line += 1
                if row is not None or code:
                    yield Read(line - 1, Place(offset, line), row, raw, code, detail)


def _parse(raw: bytes) -> tuple[str, str, Any]:
    if not raw.strip():
        return "", "", None
    try:
        row = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        return "bad-json", str(exc), None
    if not isinstance(row, dict):
        return "bad-json", f"the line holds a {type(row).__name__}, not an object", None
    return "", "", row


class ParquetReader:
    """Parquet, when pyarrow is installed: places are row numbers."""

    def __init__(self, file: Path) -> None:
        try:
            from pyarrow import ArrowException, parquet  # noqa: PLC0415 - optional, 40 MB
        except ImportError:
            raise FileError(f"{file}: Parquet needs pyarrow: pip install 'sada[parquet]'") from None
        try:
            self._opened = parquet.ParquetFile(file)
        except ArrowException as exc:
            raise FileError(f"{file}: is not Parquet: {exc}") from exc
        self.size = self._opened.metadata.num_rows
        self.start = Place(0, 1)
        self.columns = by_position(self._opened.schema_arrow.names)

    def whole(self, row: Row) -> Sequence[Any]:
        """Return all cells."""
        return row  # type: ignore[no-any-return]  # a row of Parquet is a tuple of cells

    def rows(self, place: Place) -> Iterator[Read]:
        """Read from a place to the end; row groups before it are not decoded."""
        metadata = self._opened.metadata
        group, number = 0, 0
        while group < metadata.num_row_groups and number + metadata.row_group(group).num_rows <= place.offset:
            number += metadata.row_group(group).num_rows
            group += 1
        batches = self._opened.iter_batches(PARQUET_BATCH, row_groups=list(range(group, metadata.num_row_groups)))
        for batch in batches:
            for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                if number > place.offset:
                    row = [None if isinstance(cell, float) and math.isnan(cell) else cell for cell in cells]
                    yield Read(number, Place(number, number + 1), row, repr(row).encode())
