"""Logs of the children: one file each, rotated by size while the child keeps writing to it."""

import shutil
from pathlib import Path

# 20 MB and three older ones: a day of a busy worker, and 400 MB for the whole stack at most.
ROTATE_AT_BYTES = 20 << 20
KEEP = 3


def rotate(log: Path, *, at_bytes: int = ROTATE_AT_BYTES, keep: int = KEEP) -> bool:
    """Move a log that has grown too large to ``NAME.log.1`` and so on; say whether it was.

    The child holds the file open, so it is copied and emptied, not renamed. The child appends (O_APPEND) and goes on at
    the start; a line written between the copy and the emptying is lost.
    """
    if not log.exists() or log.stat().st_size < at_bytes:
        return False
    for number in range(keep, 1, -1):
        older = log.with_name(f"{log.name}.{number - 1}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number}"))
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    with log.open("r+b") as file:
        file.truncate(0)
    return True
