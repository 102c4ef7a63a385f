"""E-mail through an SMTP relay: compose, send over kept connections, and map every answer to what it means."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import parseaddr
from typing import Literal

import aiosmtplib

from connectors.outbound.channels import Smtp, secret_text
from connectors.outbound.delivery import Delivery, rendered
from connectors.outbound.errors import InDoubtError, PermanentError, TransientError
from connectors.outbound.letter import Letter, compose, serialise
from connectors.outbound.tracking import Links
from streams.settings import SettingsError

# A relay closes idle connections after minutes; a younger one is used again without asking.
KEEP_S = 20.0
# Messages per connection: relays limit them, mostly at 100.
MESSAGES_PER_CONNECTION = 100

_ENHANCED = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
# Enhanced codes X.1.x: the address is bad; X.2.1: the mailbox is closed (RFC 3463). Without one, by the plain code.
_BAD_ADDRESS = re.compile(r"^5\.(1\.|2\.1\b)")
_BAD_ADDRESS_CODES = frozenset({550, 551, 553})


def reply(code: int, message: str) -> str:
    """Return a relay's answer without its words, which often repeat the customer's address."""
    enhanced = _ENHANCED.search(message)
    return f"{code} {enhanced.group()}" if enhanced else str(code)


def refusal(code: int, message: str, *, of_recipient: bool) -> TransientError | PermanentError:
    """Return what a relay's refusal means (RFC 5321, 4.2.1): 4xx for now, 5xx for ever."""
    said = reply(code, message)
    if not 500 <= code <= 599:
        return TransientError("smtp-refused", f"the relay answered {said}")
    enhanced = _ENHANCED.search(message)
    bad = _BAD_ADDRESS.match(enhanced.group()) if enhanced else code in _BAD_ADDRESS_CODES
    if of_recipient and bad:
        return PermanentError("bounced", f"the relay answered {said}", event="bounced")
    return PermanentError("smtp-refused", f"the relay answered {said}")


def recipient(address: str | None) -> str:
    """Return an address in the form in which it is dialled.

    Raises
    ------
    PermanentError
        no-address or bad-address
    """
    if not address:
        raise PermanentError("no-address", "the action names no address")
    try:
        parsed = Address(addr_spec=address)
        domain = parsed.domain.encode("idna").decode()
        address.split("@")[0].encode("ascii")
    except (ValueError, IndexError, MessageError) as exc:
        raise PermanentError(
            "bad-address", f"the address cannot be used: {type(exc).__name__}", event="bounced"
        ) from None
    if not parsed.username or "." not in domain:
        raise PermanentError("bad-address", "the address has no name or no domain", event="bounced")
    return f"{Address(username=parsed.username, domain=domain).addr_spec}"


class _Connection:
    __slots__ = ("client", "sent", "used_at")

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self.client = client
        self.sent = 0
        self.used_at = time.monotonic()

    def fresh(self) -> bool:
        return (
            self.client.is_connected
            and self.sent < MESSAGES_PER_CONNECTION
            and time.monotonic() - self.used_at < KEEP_S
        )


class SmtpConnector:
    """Sends e-mail.

    Parameters
    ----------
    config : the relay
    links : makes tracked links and the one to unsubscribe; None where SADA_PUBLIC_URL is not set

    Raises
    ------
    SettingsError
        when messages would have no way to unsubscribe
    FileError
        when the password is named and not there
    """

    def __init__(self, config: Smtp, links: Links | None) -> None:
        if links is None and config.unsubscribe_mailto is None:
            raise SettingsError(
                "email: messages need a way to unsubscribe. Set SADA_PUBLIC_URL and SADA_INBOX_SECRET for links, "
                "or unsubscribe_mailto in the channels file."
            )
        if "@" not in parseaddr(config.from_address)[1]:
            raise SettingsError("email: from_address is not of the form `Name <name@domain>`")
        self._config = config
        self._links = links
        self._password = secret_text(env=config.password_env, file=None, what="email") if config.password_env else None
        self._idle: list[_Connection] = []
        self.in_doubt: Literal["drop", "resend"] = config.in_doubt
        # A send takes at most twice the time-out: once to be heard, once for the text.
        self.lease_s = 2 * config.timeout_s + 10

    async def send(self, delivery: Delivery) -> str | None:
        """Send an action as e-mail; see ``Connector.send``."""
        subject, body = rendered(delivery.action)
        to = recipient(delivery.action["address"])
        raw = serialise(
            compose(
                Letter(
                    delivery=delivery,
                    sender=self._config.from_address,
                    reply_to=self._config.reply_to,
                    to=to,
                    subject=subject,
                    body=body,
                    unsubscribe_mailto=self._config.unsubscribe_mailto,
                ),
                self._links,
            )
        )
        async with self._connection() as connection:
            await self._announce(connection.client, to)
            return await self._hand_over(connection.client, raw)

    async def close(self) -> None:
        """Close the kept connections."""
        while self._idle:
            self._idle.pop().client.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Connection]:
        connection = None
        while self._idle and connection is None:
            kept = self._idle.pop()
            if kept.fresh():
                connection = kept
            else:
                kept.client.close()
        if connection is None:
            connection = await self._connect()
        try:
            yield connection
        except BaseException:
            connection.client.close()  # after any fault the dialogue's state is unknown
            raise
        connection.sent += 1
        connection.used_at = time.monotonic()
        self._idle.append(connection)

    async def _connect(self) -> _Connection:
        config = self._config
        client = aiosmtplib.SMTP(
            hostname=config.host,
            port=config.port,
            use_tls=config.tls == "implicit",
            start_tls=config.tls == "starttls",
            username=config.user,
            password=self._password,
            timeout=config.timeout_s,
            local_hostname=parseaddr(config.from_address)[1].rpartition("@")[2],
        )
        try:
            async with asyncio.timeout(config.timeout_s):
                await client.connect()
        except aiosmtplib.SMTPResponseException as exc:
            # Wrong credentials are our own fault, not the action's: it waits until somebody mends them.
            client.close()
            raise TransientError("smtp-connect", f"the relay answered {reply(exc.code, exc.message)}") from exc
        except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as exc:
            client.close()
            raise TransientError("smtp-connect", f"no connection to the relay: {type(exc).__name__}") from exc
        return _Connection(client)

    async def _announce(self, client: aiosmtplib.SMTP, to: str) -> None:
        """Say from whom and to whom: until here nothing is sent, whatever happens."""
        try:
            async with asyncio.timeout(self._config.timeout_s):
                await client.mail(parseaddr(self._config.from_address)[1])
                await client.rcpt(to)
        except aiosmtplib.SMTPRecipientRefused as exc:
            raise refusal(exc.code, exc.message, of_recipient=True) from None
        except aiosmtplib.SMTPResponseException as exc:
            raise refusal(exc.code, exc.message, of_recipient=False) from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as exc:
            raise TransientError("smtp-lost", f"the relay went away: {type(exc).__name__}") from None

    async def _hand_over(self, client: aiosmtplib.SMTP, raw: bytes) -> str:
        """Send the text: a relay that goes silent here may have taken it."""
        try:
            async with asyncio.timeout(self._config.timeout_s):
                answer = await client.data(raw)
        except aiosmtplib.SMTPResponseException as exc:
            raise refusal(exc.code, exc.message, of_recipient=True) from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as exc:
            raise InDoubtError("in-doubt", f"the relay went silent after the text: {type(exc).__name__}") from None
        return reply(answer.code, answer.message)
