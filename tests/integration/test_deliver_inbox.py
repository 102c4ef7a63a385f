"""The inbox and the links over HTTP, with a real Kafka and Redis behind."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from connectors.outbound.inbox_http import add_routes, identity_token
from schemas.identifiers import Hasher, Identifier
from schemas.topics import signals
from tests.peers.delivery import Bench, action, delivering, eventually, open_bench, smtp
from tests.peers.smtp import relay

pytestmark = pytest.mark.kafka

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def bench(kafka: str, redis_url: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(kafka, redis_url, topic_prefix, tmp_path) as opened:
        yield opened


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[Client]:
    app = web.Application()
    add_routes(app, settings=bench.settings, redis=bench.redis)
    async with TestClient(TestServer(app)) as opened:
        yield opened


def node(bench: Bench, kind: str, value: str) -> bytes:
    return Hasher(bench.settings.secret("node_key")).node(Identifier(kind, value))


async def messages(client: Client, path: str, **kwargs: Any) -> list[str]:
    answer = await client.get(path, **kwargs)
    assert answer.status == 200, await answer.text()
    return [message["id"].lstrip("0") for message in (await answer.json())["messages"]]


async def event_of(stream: Any) -> dict[str, Any]:
    """The next server-sent event."""
    async with asyncio.timeout(10):
        while True:
            line = (await stream.readline()).decode()
            if line.startswith("data: "):
                return dict(json.loads(line[6:]))


async def test_a_visitor_polls_listens_and_answers(bench: Bench, client: Client, tmp_path: Path) -> None:
    """Stored before and after the visitor came; opened and dismissed are outcomes; the dismissed one is gone."""
    visitor = node(bench, "anonymous_id", "browser-1")
    base = "/v1/inbox/anonymous_id/browser-1"
    bench.put(action(1, "web", customer=visitor), action(2, "web", customer=visitor, decided_at_ms=0, expires_at_ms=1))
    async with delivering(bench, tmp_path / "c.yaml", {"web": {"kind": "inbox"}}):
        await eventually(lambda: len(bench.outcomes()) == 2)
        assert bench.outcomes() == {"1": "delivered", "2": "expired"}
        assert await messages(client, base) == ["1"]
        async with client.get(base + "/stream") as stream:
            first = await event_of(stream.content)
            assert (first["title"], first["body"][:10]) == ("سلام سارا", "Dear سارا,")
            assert "customer" not in first
            bench.put(action(3, "web", customer=visitor))
            assert (await event_of(stream.content))["id"] == action(3)["id"]
    for number, event in ((1, "opened"), (3, "dismissed")):
        answer = await client.post(f"{base}/{action(number)['id']}/{event}")
        assert answer.status == 200
    assert await messages(client, base) == ["1"]
    told = {
        (s["outcome"]["action_id"].lstrip("0"), s["outcome"]["event"]) for s in bench.read(signals("outcome"), "signal")
    }
    assert {("1", "opened"), ("3", "dismissed")} <= told
    assert (await client.post(f"{base}/{action(9)['id']}/opened")).status == 404
    assert (await client.post(f"{base}/{action(1)['id']}/exploded")).status == 400


async def test_a_known_customer_needs_a_token(bench: Bench, client: Client, tmp_path: Path) -> None:
    """No token, another's, an expired or a malformed one: 401 and nothing told; the right one, both ways: 200."""
    bench.put(action(1, "app", customer=node(bench, "email", "sara@shop.example")))
    async with delivering(bench, tmp_path / "c.yaml", {"app": {"kind": "inbox"}}):
        await eventually(lambda: len(bench.outcomes()) == 1)
    secret, soon = bench.settings.secret("inbox_secret"), int(time.time()) + 60
    path = "/v1/inbox/email/Sara@Shop.Example"
    good = identity_token(secret, "email", "sara@shop.example", soon)
    bad = [
        "",
        "x",
        "٣.ff",
        good[:-1],
        good + "0",
        identity_token(secret, "email", "other@shop.example", soon),
        identity_token(secret, "email", "sara@shop.example", 1),
        identity_token(b"k" * 32, "email", "sara@shop.example", soon),
    ]
    for token in bad:
        assert (await client.get(path, params={"channel": "app", "token": token})).status == 401, token
    assert await messages(client, path, params={"channel": "app", "token": good}) == ["1"]
    assert await messages(client, path + "?channel=app", headers={"Authorization": f"Bearer {good}"}) == ["1"]
    assert (await client.get("/v1/inbox/shoe_size/44")).status == 400


async def test_the_inbox_is_capped(bench: Bench, client: Client, tmp_path: Path) -> None:
    """The oldest go first."""
    visitor = node(bench, "device_id", "d1")
    bench.put(*(action(n, "app", customer=visitor, decided_at_ms=action(1)["decided_at_ms"] + n) for n in range(1, 8)))
    async with delivering(bench, tmp_path / "c.yaml", {"app": {"kind": "inbox", "most": 3}}):
        await eventually(lambda: len(bench.outcomes()) == 7)
    assert await messages(client, "/v1/inbox/device_id/d1?channel=app") == ["7", "6", "5"]


async def test_links_of_a_real_letter(bench: Bench, client: Client, tmp_path: Path) -> None:
    """Opened, clicked, asked, unsubscribed: outcomes and the consent withdrawn; a forged link leads nowhere."""
    async with relay() as peer:
        bench.put(action(1))
        async with delivering(bench, tmp_path / "c.yaml", {"email": smtp(peer)}):
            await eventually(lambda: len(bench.outcomes()) == 1)
    page = peer.taken[0].message.get_body(("html",))
    assert page is not None
    paths = re.findall(r'(?:src|href)="http://127\.0\.0\.1:9(/t/[^"]+)"', page.get_content())
    clicked, unsubscribe, opened = paths
    answer = await client.get(opened)
    assert (answer.status, answer.content_type) == (200, "image/gif")
    answer = await client.get(clicked, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (302, "https://shop.example/offer?id=7")
    assert "<form" in await (await client.get(unsubscribe)).text()
    assert len(bench.read(signals("outcome"), "signal")) == 3  # the question changed nothing
    assert (await client.post(unsubscribe, data="List-Unsubscribe=One-Click")).status == 200
    told = bench.read(signals("outcome"), "signal")
    assert {s["name"] for s in told} == {
        "action_delivered",
        "action_opened",
        "action_clicked",
        "action_unsubscribed",
        "unsubscribed",
    }
    consent = next(s["consent"] for s in told if s["kind"] == "consent")
    assert (consent["purpose"], consent["channel"], consent["granted"]) == ("marketing", "email", False)
    who = {"kind": "customer_id", "value": action(1)["customer"].hex(), "original": ""}
    assert all(s["identifiers"] == [who] for s in told)
    for forged in (clicked[:-3] + "AAA", clicked.replace("/c/", "/u/"), "/t/c/" + "A" * 60, "/t/c/%ff", "/t/o/x.gif"):
        assert (await client.get(forged, allow_redirects=False)).status == 404, forged


async def test_redis_away_is_503_not_500(bench: Bench) -> None:
    """The inbox says try again."""
    app = web.Application()
    add_routes(app, settings=bench.settings, redis=Redis.from_url("redis://127.0.0.1:1/0"))
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/v1/inbox/anonymous_id/b")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
