"""A small SMTP relay on loopback that speaks RFC 5321 faithfully enough to refuse, stall and vanish on demand."""

import asyncio
import contextlib
import email
import email.policy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage


@dataclass
class Taken:
    """A message that the relay accepted or saw."""

    sender: str
    recipient: str
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        parsed = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed


@dataclass
class Relay:
    """What the relay answers, and what it took.

    ``on_recipient`` and ``on_text`` return the answer to RCPT and to the text, or None to close the connection;
    ``silent_s`` is how long it waits before the answer to the text.
    """

    port: int = 0
    taken: list[Taken] = field(default_factory=list)
    seen: list[Taken] = field(default_factory=list)
    connections: int = 0
    refused: int = 0
    on_recipient: Callable[[str], str | None] = lambda _: "250 2.1.5 ok"
    on_text: Callable[[Taken], str | None] = lambda _: "250 2.0.0 queued"
    silent_s: float = 0.0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._dialogue(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _dialogue(  # noqa: C901 - one case per verb
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async def say(line: str) -> None:
            writer.write(line.encode() + b"\r\n")
            await writer.drain()

        sender = recipient = ""
        await say("220 relay.test ESMTP")
        while line := await reader.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            match verb.upper():
                case "EHLO":
                    await say("250-relay.test")
                    await say("250-8BITMIME")
                    await say("250 ENHANCEDSTATUSCODES")
                case "MAIL":
                    sender = rest.split("<")[1].split(">")[0]
                    await say("250 2.1.0 ok")
                case "RCPT":
                    recipient = rest.split("<")[1].split(">")[0]
                    answer = self.on_recipient(recipient)
                    if answer is None:
                        return
                    self.refused += not answer.startswith("250")
                    await say(answer)
                case "DATA":
                    await say("354 go on")
                    text = await reader.readuntil(b"\r\n.\r\n")
                    raw = b"\r\n".join(
                        part.removeprefix(b".") if part.startswith(b"..") else part for part in text[:-5].split(b"\r\n")
                    )
                    seen = Taken(sender, recipient, raw)
                    self.seen.append(seen)
                    answer = self.on_text(seen)
                    if self.silent_s:
                        await asyncio.sleep(self.silent_s)
                    if answer is None:
                        return
                    if answer.startswith("250"):
                        self.taken.append(seen)
                    await say(answer)
                case "RSET" | "NOOP":
                    await say("250 2.0.0 ok")
                case "QUIT":
                    await say("221 2.0.0 bye")
                    return
                case _:
                    await say("502 5.5.1 not here")


@asynccontextmanager
async def relay(port: int = 0) -> AsyncIterator[Relay]:
    """Run a relay while the block runs."""
    state = Relay()
    server = await asyncio.start_server(state._serve, "127.0.0.1", port, limit=2**20)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        server.close()
