"""A Redis server on this machine's loopback interface, for trying, developing and testing."""

import shutil
import socket
import time
from pathlib import Path

from deploy.local.jars import INSTALL
from deploy.local.processes import POLL_S, ProcessSpec, StackError


def server(folder: Path, *, port: int) -> ProcessSpec:
    """Prepare a Redis server with its state in a folder.

    Raises
    ------
    StackError
        when redis-server is not installed
    """
    program = shutil.which("redis-server")
    if program is None:
        raise StackError(
            f"redis-server is missing: it holds the 360 view. Install it with\n  {INSTALL}\n"
            "or set SADA_REDIS to the URL of a Redis of your own."
        )
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(folder),
        "daemonize": "no",
        # Which actions were delivered lives only here: kept through a kill of Redis, and through a power cut but for
        # its last second. Everything else is rebuilt from Kafka.
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        # A full memory must be seen as an error: evicting would forget deliveries silently.
        "maxmemory-policy": "noeviction",
    }
    args = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return ProcessSpec(
        name="redis", args=(program, *args), ready=lambda: answers(port), start_timeout_s=30, stop_grace_s=10
    )


def answers(port: int) -> bool:
    """Say whether a Redis on a loopback port has loaded its state and answers PING."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def await_answer(url: str, *, timeout_s: float) -> None:
    """Wait for a Redis that is not ours.

    Raises
    ------
    StackError
        when it does not answer in time; a password in the URL is not shown
    """
    import redis  # noqa: PLC0415 - 80 ms that `sada --help` need not spend

    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with redis.Redis.from_url(url, socket_timeout=2) as client:
                client.ping()
                return
        except (redis.RedisError, ValueError) as error:
            if time.monotonic() > deadline or isinstance(error, (ValueError, redis.AuthenticationError)):
                place = url.rpartition("@")[2]
                raise StackError(f"No Redis answers at {place} (SADA_REDIS): {error}") from error
        time.sleep(POLL_S)
