"""The customers' mail provider: a small SMTP server on loopback that keeps what Sada sends."""

import asyncio
import contextlib
import email
import email.policy
import re
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage
from typing import NamedTuple

# Largest message taken, bytes.
MAX_BYTES = 2**20

_LINK = re.compile(r"<(https?://[^>]+)>")


class Mail(NamedTuple):
    """What a customer sees of a message; ``unsubscribe`` is the one-click link (RFC 8058), or empty."""

    to: str
    subject: str
    action_id: str
    unsubscribe: str


def read_mail(recipient: str, raw: bytes) -> Mail:
    """Return a message as its reader's program understands it."""
    message = email.message_from_bytes(raw, _class=EmailMessage, policy=email.policy.default)
    link = _LINK.search(message.get("List-Unsubscribe", ""))
    one_click = "One-Click" in message.get("List-Unsubscribe-Post", "")
    return Mail(
        recipient.casefold(),
        str(message.get("Subject", "")),
        str(message.get("X-Sada-Action", "")),
        link.group(1) if link and one_click else "",
    )


class _Session:
    """One connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deliver: Callable[[Mail], None]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._deliver = deliver
        self._recipients: list[str] = []

    async def run(self) -> None:
        await self._say("220 mail.example ESMTP")
        while line := await self._reader.readline():
            verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            if verb.upper() == "QUIT":
                await self._say("221 2.0.0 bye")
                return
            await self._answer(verb.upper(), rest)

    async def _answer(self, verb: str, rest: str) -> None:
        if verb == "EHLO":
            await self._say("250-mail.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES")
        elif verb == "MAIL":
            self._recipients = []
            await self._say("250 2.1.0 ok")
        elif verb == "RCPT" and "<" in rest:
            self._recipients.append(rest.split("<", 1)[1].split(">", 1)[0])
            await self._say("250 2.1.5 ok")
        elif verb == "DATA" and self._recipients:
            await self._say("354 go on")
            text = await self._reader.readuntil(b"\r\n.\r\n")
            raw = text[:-5].replace(b"\r\n..", b"\r\n.")
            for recipient in self._recipients:
                self._deliver(read_mail(recipient, raw))
            await self._say("250 2.0.0 kept")
        elif verb in ("HELO", "RSET", "NOOP"):
            await self._say("250 2.0.0 ok")
        else:
            await self._say("502 5.5.1 not here")

    async def _say(self, lines: str) -> None:
        self._writer.write(lines.encode() + b"\r\n")
        await self._writer.drain()


@contextlib.asynccontextmanager
async def mail_server(deliver: Callable[[Mail], None]) -> AsyncIterator[int]:
    """Run the server while the block runs; give its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that goes away has nothing more to say; at the end of the demo nobody listens any more.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await _Session(reader, writer, deliver).run()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=MAX_BYTES)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
