"""The customers' side of delivery: mails parsed, webhooks verified, nothing taken twice."""

import base64
import json
import time
from datetime import UTC, datetime
from email.message import EmailMessage
from random import Random
from typing import Any

import aiohttp
import aiosmtplib
import pytest
from standardwebhooks.webhooks import Webhook

from deploy.demo.hooks import Hooks, hook_server
from deploy.demo.mailbox import Mail, mail_server
from deploy.demo.people import populate
from deploy.demo.post import Meanings, Post
from deploy.demo.settings import CATALOGUE
from streams.core.catalogue_check import read_catalogue

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def mail(subject: str = "Still in your cart") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@shop.example", "Customer1@mail1.example", subject
    message["X-Sada-Action"] = "a1"
    message["List-Unsubscribe"] = "<http://127.0.0.1/t/u/x>, <mailto:x@y.example>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content("one\n.two, a line that begins with a dot\n")
    return message


async def test_the_mail_server_keeps_what_a_real_client_sends() -> None:
    kept: list[Mail] = []
    async with mail_server(kept.append) as port:
        await aiosmtplib.send(mail("سبد خریدتان منتظر شماست"), hostname="127.0.0.1", port=port, start_tls=False)
    assert kept == [Mail("customer1@mail1.example", "سبد خریدتان منتظر شماست", "a1", "http://127.0.0.1/t/u/x")]


async def post_hook(port: int, body: bytes, headers: dict[str, str]) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}/sms", data=body, headers=headers) as answer,
    ):
        return answer.status


async def test_webhooks_are_verified_and_repeats_dropped() -> None:
    taken: list[Any] = []
    hooks = Hooks(SECRET, taken.append)
    body = json.dumps({"data": {"action_id": "a1"}})
    signature = Webhook(SECRET).sign("a1", datetime.now(tz=UTC), body)
    headers = {"webhook-id": "a1", "webhook-timestamp": str(int(time.time())), "webhook-signature": signature}
    async with hook_server(hooks) as port:
        assert await post_hook(port, body.encode(), headers) == 204
        assert await post_hook(port, body.encode(), headers) == 204
        assert await post_hook(port, body.replace("a1", "a2").encode(), headers) == 401
    assert taken == [{"action_id": "a1"}]
    assert (hooks.repeats, hooks.refused) == (1, 1)


@pytest.fixture
def post() -> Post:
    return Post(populate(5, Random(1), start_ms=0, days=30), Meanings(CATALOGUE))


def test_a_reader_knows_what_a_subject_means_in_three_languages() -> None:
    meanings = Meanings(CATALOGUE)
    assert meanings.of("Your cart is waiting, Amy") == ("cart-reminder", "email")
    assert meanings.of("سبد خریدتان منتظر شماست") == ("cart-reminder", "email")
    assert meanings.of("نعتذر منك") == ("apology", "words")
    assert meanings.of("Buy cheap watches") == ("", "")


def test_what_arrives_reaches_its_customer_once(post: Post) -> None:
    post.mail(Mail("customer1@mail1.example", "10 % for you", "a1", "http://u"))
    post.mail(Mail("customer1@mail1.example", "10 % for you", "a1", "http://u"))
    post.mail(Mail("stranger@mail1.example", "10 % for you", "a2", ""))
    found = post.fetch()
    assert [(each.person, each.action, each.action_id) for each in found] == [(1, "win-back", "a1")]
    assert (post.repeats, post.strays, post.fetch()) == (1, 1, [])


def test_a_hint_for_an_employee_names_the_customer_by_number(post: Post) -> None:
    hint = {"address": None, "channel": "call-centre", "action": "save-script", "treatment": "offer",
            "action_id": "a3", "params": {"customer_number": "u-3"}}  # fmt: skip
    post.hook(hint)
    post.hook({**hint, "action_id": "a4", "params": {}})
    assert [each.person for each in post.fetch()] == [3]
    assert post.strays == 1


def test_the_catalogue_of_the_demo_is_good_and_holds_a_control_group() -> None:
    assert read_catalogue(CATALOGUE.read_text(), str(CATALOGUE)).policy.control_share == 0.3
