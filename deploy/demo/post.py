"""What really reached the customers, brought to them: mails, webhooks, and the inbox of web and app."""

import asyncio
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from deploy.demo.doings import Look, Received, Unsubscribe
from deploy.demo.mailbox import Mail
from deploy.demo.people import Person

# Requests to the gateway at one time: a browser's own limit per host is six.
CONCURRENCY = 6


class Meanings:
    """What a subject line means to its reader: which action of the catalogue speaks so.

    Parameters
    ----------
    catalogue : the file that is live
    """

    def __init__(self, catalogue: Path) -> None:
        content = yaml.safe_load(catalogue.read_text())
        self._patterns: list[tuple[re.Pattern[str], str, str]] = []
        for action in content["actions"]:
            for treatment in action["treatments"]:
                for words in treatment["languages"].values():
                    # What a template fills in may be anything.
                    parts = re.split(r"{%.*%}|{{.*?}}", words["subject"])
                    pattern = re.compile(".*".join(map(re.escape, parts)))
                    self._patterns.append((pattern, action["id"], treatment["id"]))

    def of(self, subject: str) -> tuple[str, str]:
        """Return action and treatment, empty when the subject says nothing known."""
        for pattern, action, treatment in self._patterns:
            if pattern.fullmatch(subject):
                return action, treatment
        return "", ""


class Post:
    """Collects what arrives; ``fetch`` hands it out.

    Parameters
    ----------
    people : the customers, found by address, number or browser
    meanings : see ``Meanings``
    """

    def __init__(self, people: Sequence[Person], meanings: Meanings) -> None:
        self._by_email = {person.email: person.number for person in people}
        self._by_phone = {person.phone: person.number for person in people}
        self._by_user = {person.user_id: person.number for person in people}
        self._meanings = meanings
        self._arrived: deque[Received] = deque()
        self._seen: dict[str, int] = {}
        self.strays = 0
        self.repeats = 0

    def mail(self, mail: Mail) -> None:
        """Take a mail that the server kept."""
        person = self._by_email.get(mail.to)
        action, treatment = self._meanings.of(mail.subject)
        if person is None or not action:
            self.strays += 1
            return
        self._keep(Received(person, "email", action, treatment, mail.action_id, mail.unsubscribe))

    def hook(self, found: Mapping[str, Any]) -> None:
        """Take a webhook's action: a text message by number, an employee's hint by the customer's number."""
        person = self._by_phone.get(found["address"] or "")
        if person is None:
            person = self._by_user.get(found["params"].get("customer_number", ""))
        if person is None:
            self.strays += 1
            return
        self._keep(Received(person, found["channel"], found["action"], found["treatment"], found["action_id"], ""))

    def fetch(self) -> list[Received]:
        """Return what arrived since the last call."""
        found = list(self._arrived)
        self._arrived.clear()
        return found

    async def look(self, session: aiohttp.ClientSession, gateway: str, looks: Iterable[Look]) -> None:
        """Open the inbox of web or app for each look; what is new there, and was not past then, has arrived.

        Raises
        ------
        aiohttp.ClientError
            when the gateway does not answer
        """
        limit = asyncio.Semaphore(CONCURRENCY)

        async def one(look: Look) -> None:
            url = f"{gateway}/v1/inbox/anonymous_id/{look.anonymous_id}"
            async with limit, session.get(url, params={"channel": look.channel}) as answer:
                answer.raise_for_status()
                for item in (await answer.json())["messages"]:
                    if item["id"] not in self._seen and look.at_ms <= item["expires_at_ms"]:
                        self._keep(
                            Received(look.person, look.channel, item["action"], item["treatment"], item["id"], "")
                        )

        await asyncio.gather(*(one(look) for look in looks))

    async def unsubscribe(self, session: aiohttp.ClientSession, wishes: Iterable[Unsubscribe]) -> None:
        """Press the button: one POST to the link, as a mail program does (RFC 8058).

        Raises
        ------
        aiohttp.ClientError
            when the gateway does not take it
        """
        for wish in wishes:
            async with session.post(wish.url, data={"List-Unsubscribe": "One-Click"}) as answer:
                answer.raise_for_status()

    def _keep(self, message: Received) -> None:
        self._seen[message.action_id] = self._seen.get(message.action_id, 0) + 1
        if self._seen[message.action_id] > 1:
            self.repeats += 1
            return
        self._arrived.append(message)
