"""The process table of `sada up`: which of Sada's commands run, what they are told, and when each is ready."""

import http.client
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from deploy.local.keys import Keys
from deploy.local.preflight import port_is_free
from deploy.local.processes import ProcessSpec, free_port

# Metrics ports are wished from here on, so that a scrape configuration written once keeps fitting.
METRICS_PORTS_FROM = 8410

# A health page answers at once or is in trouble; the loop that asks must not be held up for long.
_ASK_TIMEOUT_S = 1.0

# Five Pythons that import their libraries at once take 30 s on two busy cores, and a worker replays its state.
_START_TIMEOUT_S = 180.0


@dataclass(frozen=True, slots=True)
class Row:
    """One of Sada's own processes: its name, its command line, and how many run."""

    name: str
    args: tuple[str, ...]
    count: int = 1


def sada(*command: str) -> tuple[str, ...]:
    """Return the command line of one of Sada's commands, run by this Python."""
    return (sys.executable, "-m", "streams.cli", *command)


# Partitions of a local stack, unless SADA_PARTITIONS says otherwise: two for each of its two workers. Each partition
# is a transaction of its own, so more would only cost a small machine more commits.
LOCAL_PARTITIONS = 4

# Run to their end, in this order, once Kafka answers; each can be repeated without harm.
STEPS = (Row("topics", sada("topics")),)

# Then these, together; in the order in which they are shown.
ROWS = (
    Row("gateway", sada("gateway")),
    Row("worker", sada("worker"), count=2),
    Row("deliver", sada("deliver")),
    Row("serve", sada("serve")),
)


def addresses(*, kafka: str, redis: str, gateway_port: int, var: str) -> dict[str, str]:
    """Return the settings that tell every process where the stack is."""
    return {
        "SADA_KAFKA": kafka,
        "SADA_REDIS": redis,
        "SADA_HTTP_PORT": str(gateway_port),
        "SADA_VAR": var,
        "SADA_PARTITIONS": os.environ.get("SADA_PARTITIONS", str(LOCAL_PARTITIONS)),
        "SADA_KEYS": f"{var}/keys.json",
        "PYTHONUNBUFFERED": "1",  # a line that a process wrote before it died must be in its log
    }


def secrets(keys: Keys) -> dict[str, str]:
    """Return the secrets as settings; each process uses its part."""
    return {
        "SADA_NODE_KEY": keys.node_key,
        "SADA_SNAPSHOT_KEY": keys.snapshot_key,
        "SADA_SEAL_KEY": keys.seal_key,
        "SADA_INBOX_SECRET": keys.inbox_secret,
        "SADA_WRITE_KEY": keys.write_key,
        "SADA_API_KEY": keys.api_key,
        "SADA_WEBHOOK_SECRET": keys.webhook_secret,
    }


def specs(rows: Sequence[Row], settings: Mapping[str, str], ports: Mapping[str, int]) -> list[ProcessSpec]:
    """Return the processes of a table.

    Parameters
    ----------
    settings : environment of all of them
    ports : metrics port by process name (see ``names``)
    """
    found = []
    for row in rows:
        for name in _names(row):
            port = ports[name]
            found.append(
                ProcessSpec(
                    name=name,
                    args=row.args,
                    env={**settings, "SADA_METRICS_PORT": str(port)},
                    ready=says_yes(port, "/readyz"),
                    alive=says_yes(port, "/livez"),
                    start_timeout_s=_START_TIMEOUT_S,
                )
            )
    return found


class PortClaims:
    """Loopback TCP ports kept from other stacks until our own processes listen there, and as long as they may again.

    A process binds its port seconds after it was chosen, and another stack that starts meanwhile would find it free.
    So each choice is claimed by a UDP socket of the same number: one only can have it, it is in nobody's way, and the
    kernel drops it with this process, however that ends.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._held:
            each.close()
        self._held.clear()

    def take(self, port: int) -> bool:
        """Claim a port; say whether it was free, and claimed by nobody else."""
        claim = socket.socket(type=socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            return False
        self._held.append(claim)
        return port_is_free(port)

    def any(self) -> int:
        """Claim some free port."""
        while not self.take(port := free_port()):
            pass
        return port


def metrics_ports(rows: Sequence[Row], claims: PortClaims) -> dict[str, int]:
    """Choose a metrics port for each process: from 8410 on where free, else any."""
    wished = enumerate((name for row in rows for name in _names(row)), METRICS_PORTS_FROM)
    return {name: port if claims.take(port) else claims.any() for port, name in wished}


def says_yes(port: int, path: str) -> Callable[[], bool]:
    """Return a question to a health page on a loopback port: 200 is yes; anything else, or nothing, is no."""

    def ask() -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ASK_TIMEOUT_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return ask


def _names(row: Row) -> list[str]:
    return [row.name] if row.count == 1 else [f"{row.name}-{number}" for number in range(1, row.count + 1)]


def with_workers(count: int) -> tuple[Row, ...]:
    """Return the process table with another number of workers."""
    return tuple(replace(row, count=count) if row.name == "worker" else row for row in ROWS)
