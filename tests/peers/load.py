"""A load of collection requests from plain sockets: cheap enough to share a machine with what it measures."""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

import orjson


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it: events a second by the wall clock, and the gateway's own CPU time for each.

    ``per_core`` is how many events a second one core of the gateway takes: what can be compared between machines that
    are busy with other things, too.
    """

    events: int
    seconds: float
    cpu_s: float

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def per_core(self) -> float:
        """Events a second of the gateway's CPU time."""
        return self.events / self.cpu_s


def event(number: int) -> dict[str, object]:
    """Return a message as a shop's server sends it, about 500 bytes."""
    return {
        "type": "track",
        "event": "Product Viewed",
        "messageId": f"load-{time.monotonic_ns()}-{number}",
        "timestamp": "2026-11-20T10:00:00.000Z",
        "userId": f"user-{number % 1_000}",
        "anonymousId": f"anon-{number % 1_000}",
        "context": {
            "library": {"name": "analytics-python", "version": "2.4.0"},
            "ip": "192.0.2.4",
            "locale": "fa-IR",
            "page": {"url": "https://shop.example/p/1", "referrer": "https://search.example"},
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64)",
        },
        "properties": {
            "product_id": f"sku-{number % 500}",
            "category": "shoes",
            "price": 19.99,
            "currency": "EUR",
            "brand": "b",
        },
    }


def _request(path: str, key: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _client(port: int, requests: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise AssertionError(head.decode())
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(port: int, pid: int, key: str, *, events: int, batch: int, clients: int) -> Load:
    """Send events, so many in each request (0: one, by /v1/track), over so many connections."""
    size = max(1, batch)
    bodies = []
    for start in range(0, events, size):
        items = [event(n) for n in range(start, start + size)]
        content: object = {"batch": items, "sentAt": "2026-11-20T10:00:01.000Z"} if batch else items[0]
        bodies.append(_request("/v1/batch" if batch else "/v1/track", key, orjson.dumps(content)))
    shares = [bodies[n::clients] for n in range(clients)]

    async def all_of_it() -> float:
        start = time.perf_counter()
        await asyncio.gather(*(_client(port, share) for share in shares))
        return time.perf_counter() - start

    before = cpu_s(pid)
    seconds = asyncio.run(all_of_it())
    return Load(events, seconds, cpu_s(pid) - before)
