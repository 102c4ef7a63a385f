"""The rejects file: what was not imported, with line and reason, as CSV that is safe to open in a spreadsheet."""

import csv
import io
import os
from pathlib import Path

# Of a rejected row's text, characters: enough to find it, the line number does the rest.
MAX_RAW = 2_000
HEADER = ("line", "code", "detail", "row")


def harmless(text: str) -> str:
    """Return text that no spreadsheet takes for a formula, and no terminal for a command.

    Examples
    --------
    >>> harmless("=HYPERLINK(1)"), harmless("plain")
    ("'=HYPERLINK(1)", 'plain')
    """
    clean = "".join(c if c >= " " and c != "\x7f" else " " for c in text[:MAX_RAW])
    return f"'{clean}" if clean.lstrip()[:1] in ("=", "+", "-", "@", "|") or text[:1] in ("\t", "\r") else clean


class Rejects:
    """Appends to a rejects file, which only its owner may read: rows hold personal data.

    Parameters
    ----------
    path : the file; made when the first row is rejected
    length : what of it counts; the rest was written after the last checkpoint and is cut off
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        self.path = path
        length = min(length, path.stat().st_size) if path.exists() else 0  # less is there when it is another file
        if path.exists():
            with _open(path) as file:
                file.truncate(length)
        self._file: io.BufferedWriter | None = None
        self.length = length

    def add(self, line: int, code: str, detail: str, raw: bytes) -> None:
        """Write down a row."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = _open(self.path)
            self._file.seek(self.length)
            if not self.length:
                self._write(HEADER)
        text = raw[: 4 * MAX_RAW].decode("utf-8", "replace").rstrip("\r\n")
        self._write((str(line), code, harmless(detail), harmless(text)))

    def _write(self, cells: tuple[str, ...]) -> None:
        line = io.StringIO()
        csv.writer(line).writerow(cells)
        encoded = line.getvalue().encode()
        if self._file is not None:
            self._file.write(encoded)
            self.length += len(encoded)

    def flush(self) -> None:
        """Bring everything to the disk."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _open(path: Path) -> io.BufferedWriter:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "wb")
