"""Reading hostile files: every bad row costs itself, lines are counted right, and any place can be gone on from."""

from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from connectors.files.located import FileError
from connectors.files.mapping import Csv
from connectors.files.rejects import HEADER, Rejects, harmless
from connectors.files.rows import MAX_LINE, CsvReader, JsonReader, ParquetReader, Read


def reads(path: Path, raw: bytes, **dialect: Any) -> list[Read]:
    path.write_bytes(raw)
    reader = CsvReader(path, Csv(**dialect))
    return list(reader.rows(reader.start))


def brief(found: list[Read]) -> list[tuple[int, Any]]:
    return [(read.line, read.row if read.row is not None else read.code) for read in found]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"a,b\n1,2\n", [(2, ["1", "2"])]),
        (b"\xef\xbb\xbfa,b\r\n1,2\r\n", [(2, ["1", "2"])]),
        (b"a,b\n1,2", [(2, ["1", "2"])]),
        (b"a,b\n\n1,2\n", [(3, ["1", "2"])]),
        (b'a,b\n"x\ny",2\n3,4\n', [(2, ["x\ny", "2"]), (4, ["3", "4"])]),
        (b"a,b\n1\n2,3\n4,5,6\n", [(2, "ragged"), (3, ["2", "3"]), (4, "ragged")]),
        (b"a,b\n1,\x002\n3,4\n", [(2, "nul"), (3, ["3", "4"])]),
        (b"a,b\n\xff,2\n3,4\n", [(2, "bad-encoding"), (3, ["3", "4"])]),
        (b'a,b\n"open,2\n3,4\n5,6\n', [(2, "bad-csv"), (3, ["3", "4"]), (4, ["5", "6"])]),
        (b'a,b\n"x"y,2\n3,4\n', [(2, "bad-csv"), (3, ["3", "4"])]),
        (b'a,b\n"x,2\n3,"4\n5,6\n', [(2, "bad-csv"), (3, "bad-csv"), (4, ["5", "6"])]),
        (b'a,b\n"x,2\n3"\n5,6\n', [(2, "ragged"), (3, "ragged"), (4, ["5", "6"])]),
        (b"a,b\n=1+1,@x\n", [(2, ["=1+1", "@x"])]),
        (b"a,b\n" + b"x" * (MAX_LINE + 10) + b",1\n3,4\n", [(2, "too-long"), (3, ["3", "4"])]),
        (b'a,b\n"open\n' + b"x,1\n" * 300, [(2, "open-quote"), *((n, ["x", "1"]) for n in range(3, 303))]),
    ],
)
def test_what_a_csv_file_can_hold(tmp_path: Path, raw: bytes, expected: list[tuple[int, Any]]) -> None:
    assert brief(reads(tmp_path / "f.csv", raw)) == expected


def test_encodings_are_tried_line_by_line(tmp_path: Path) -> None:
    """A file that two systems wrote: UTF-8 and Windows' Arabic code page."""
    raw = b"a\n" + "سلام\n".encode() + "مرحبا\n".encode("cp1256")
    assert [r.row for r in reads(tmp_path / "f.csv", raw, encoding=("utf-8", "cp1256"))] == [["سلام"], ["مرحبا"]]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "empty"),
        ("a,b\n1,2\n".encode("utf-16"), "iconv"),
        (b"a,a\n1,2\n", "stands twice"),
        (b"\x00\n", "NUL"),
    ],
)
def test_files_that_cannot_be_read_at_all(tmp_path: Path, raw: bytes, says: str) -> None:
    with pytest.raises(FileError, match=says):
        reads(tmp_path / "f.csv", raw)


CELLS = st.lists(
    st.sampled_from([b"1", b'"', b",", b"\n", b"\r\n", b"\0", b"\xff", b'"a\nb"', b"x,y\n", b"=1"]), max_size=40
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(CELLS)
def test_reading_can_go_on_from_every_place(tmp_path: Path, cells: list[bytes]) -> None:
    """After each row, a new reader gives exactly the rest: what a killed import relies upon."""
    path = tmp_path / "f.csv"
    path.write_bytes(b"a,b\n" + b"".join(cells))
    reader = CsvReader(path, Csv())
    whole = list(reader.rows(reader.start))
    for index, read in enumerate(whole):
        assert list(CsvReader(path, Csv()).rows(read.after)) == whole[index + 1 :]


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    deep = b"[" * 100_000
    lines = [b'{"a": {"b": 1}}', b"", b"nonsense", b"[1]", deep, b'{"a": NaN}', b'{"a": "\xff"}', b'{"a": 2}']
    path.write_bytes(b"\xef\xbb\xbf" + b"\n".join(lines))
    reader = JsonReader(path)
    found = list(reader.rows(reader.start))
    assert [(r.line, r.code or orjson.dumps(r.row)) for r in found] == [
        (1, b'{"a":{"b":1}}'),
        (3, "bad-json"),
        (4, "bad-json"),
        (5, "bad-json"),
        (6, "bad-json"),
        (7, "bad-json"),
        (8, b'{"a":2}'),
    ]
    assert reader.columns("a.b")(found[0].row) == 1
    assert reader.columns("a.b")(found[-1].row) is None
    assert list(reader.rows(found[3].after)) == found[4:]


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    parquet.write_table(pa.table({"n": list(range(100)), "x": [None, 1.5] * 50}), path, row_group_size=30)
    reader = ParquetReader(path)
    found = list(reader.rows(reader.start))
    assert [r.row for r in found[:2]] == [[0, None], [1, 1.5]]
    assert reader.columns("x")(found[1].row) == 1.5
    for place in (0, 29, 30, 61, 99):
        assert list(reader.rows(found[place].after)) == found[place + 1 :]
    path.write_bytes(b"not parquet")
    with pytest.raises(FileError, match="not Parquet"):
        ParquetReader(path)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "|cmd"])
def test_rejects_hold_no_formula(tmp_path: Path, cell: str) -> None:
    assert harmless(cell).startswith("'")
    rejects = Rejects(tmp_path / "r.csv")
    rejects.add(2, "ragged", cell, f"{cell}\x00\x1b[2J".encode())
    rejects.close()
    text = (tmp_path / "r.csv").read_text()
    assert "\x00" not in text
    assert "\x1b" not in text
    assert (tmp_path / "r.csv").stat().st_mode & 0o077 == 0


def test_rejects_after_the_checkpoint_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    first = Rejects(path)
    first.add(2, "a", "b", b"c")
    kept = first.length
    first.add(3, "later", "b", b"c")
    first.close()
    second = Rejects(path, kept)
    second.add(4, "again", "b", b"c")
    second.close()
    assert path.read_text().splitlines() == [",".join(HEADER), "2,a,b,c", "4,again,b,c"]


def test_a_rejects_file_elsewhere_begins_anew(tmp_path: Path) -> None:
    """A run that goes on with another --rejects: no gap of NUL bytes."""
    path = tmp_path / "new" / "r.csv"
    rejects = Rejects(path, 5_000)
    rejects.add(4, "a", "b", b"c")
    rejects.close()
    assert path.read_text().splitlines() == [",".join(HEADER), "4,a,b,c"]
