"""How far an import has come: in Kafka, within the transaction that wrote the signals, and in a file beside it.

The position is committed as the offset of a consumer group that nobody joins, in the same transaction as the signals
up to it. So a killed import goes on exactly where its signals end: none is missing, none is written twice. The file in
``var/imports`` says the same for people, and outlives the group's offset, which Kafka forgets after a week.
"""

import hashlib
import os
from pathlib import Path

import msgspec

from connectors.files.located import FileError
from connectors.files.rows import Place

_BLOCK = 1 << 20


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far it has come, and what was counted on the way.

    Parameters
    ----------
    offset, line : where to go on
    rejects_bytes : length of the rejects file at that place
    done : the file's end was reached
    """

    offset: int
    line: int
    rows: int = 0
    signals: int = 0
    rejected: int = 0
    skipped: int = 0
    rejects_bytes: int = 0
    done: bool = False

    @property
    def place(self) -> Place:
        """Where to go on."""
        return Place(self.offset, self.line)


def digest_of(file: Path, mapping: Path) -> str:
    """Return what identifies an import: SHA-256 over the mapping and the file, hex.

    Raises
    ------
    FileError
        when one cannot be read
    """
    digest = hashlib.sha256()
    try:
        digest.update(hashlib.sha256(mapping.read_bytes()).digest())
        with file.open("rb") as opened:
            while block := opened.read(_BLOCK):
                digest.update(block)
    except OSError as exc:
        raise FileError(f"{exc.filename}: cannot be read: {exc.strerror}") from exc
    return digest.hexdigest()


def write(path: Path, progress: Progress) -> None:
    """Write the checkpoint: whole or not at all, on disk before it counts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(progress))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def read(path: Path) -> Progress | None:
    """Return the checkpoint, or None when there is none.

    Raises
    ------
    FileError
        when it is damaged: going on from a guess could write twice
    """
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Progress)
    except msgspec.DecodeError as exc:
        raise FileError(f"{path}: the checkpoint is damaged ({exc}); delete it to begin anew") from exc
