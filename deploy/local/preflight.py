"""What must hold before the stack starts: room on the disk, free ports, and nobody else in its folder."""

import contextlib
import fcntl
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy.local.processes import StackError

# Kafka and Redis start with 100 MB; an hour of 10,000 signals a second writes tens of GB. Below 2 GB a start would
# only postpone the trouble; below 256 MB Kafka is stopped while it still can write what it holds.
NEEDED_BYTES = 2 << 30
LEAST_BYTES = 256 << 20

FreeBytes = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """Return the bytes that this user may still write in a folder."""
    return shutil.disk_usage(folder).free


def check_space(folder: Path, *, needed: int = NEEDED_BYTES, free: FreeBytes = free_bytes) -> None:
    """Check the room on a folder's disk.

    Raises
    ------
    StackError
        when there is less than needed
    """
    left = free(folder)
    if left < needed:
        raise StackError(
            f"The disk is nearly full: {left >> 20} MB are free in {folder.resolve()}, and the stack needs "
            f"{needed >> 20} MB. Free some, or choose another disk with --var."
        )


def check_port(port: int, *, what: str, choose: str) -> None:
    """Check that a loopback port is free.

    Parameters
    ----------
    what : who wants it
    choose : how another is chosen

    Raises
    ------
    StackError
        naming the port, and the process that holds it where that is known
    """
    if not port_is_free(port):
        who = holder(port)
        by = f" by {who}" if who else ""
        raise StackError(f"Port {port}, wanted for {what}, is taken{by}. End that, or choose another: {choose}.")


def port_is_free(port: int) -> bool:
    """Say whether a server could listen on a loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection closing down is no holder
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def holder(port: int) -> str | None:
    """Return the name and pid of the process that listens on a port, where Linux's /proc tells."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
            inodes |= {row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*") if wanted else ():
        with contextlib.suppress(OSError):  # other users' processes, and those that end meanwhile
            if str(descriptor.readlink()) in wanted:
                process = descriptor.parents[1]
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return None


@contextlib.contextmanager
def owned(var: Path) -> Iterator[None]:
    """Hold the state folder for this process alone; the lock ends with the process, however it ends.

    Raises
    ------
    StackError
        when another process holds it, or it cannot be written
    """
    try:
        var.mkdir(parents=True, exist_ok=True)
        lock = (var / "up.lock").open("a+")
    except OSError as error:
        raise StackError(
            f"The folder {var.resolve()} cannot be written: {error.strerror}. Choose another with --var."
        ) from error
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                f"`sada up` already runs in {var.resolve()} (pid {_pid(file.name)}). Stop it with `sada down`, "
                "or choose another folder with --var."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def owner(var: Path) -> int | None:
    """Return the pid of the `sada up` that holds a state folder, or None."""
    lock = var / "up.lock"
    if not lock.exists():
        return None
    with lock.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid(file.name)
    return None


def _pid(lock: str) -> int | None:
    text = Path(lock).read_text().strip()
    return int(text) if text.isdecimal() else None  # empty for the moment before the holder wrote it
