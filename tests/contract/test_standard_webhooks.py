"""Our webhooks, received and verified by the `standardwebhooks` package, unchanged; and what the way out refuses."""

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from redis.asyncio import Redis
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from connectors.outbound.channels import Endpoint, Webhook
from connectors.outbound.delivery import Delivery
from connectors.outbound.egress import permitted
from connectors.outbound.errors import PermanentError, TransientError
from connectors.outbound.webhook import WebhookConnector, signing_keys
from streams.settings import SettingsError
from tests.peers.delivery import action

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NEXT_SECRET = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()


@dataclass
class Receiver:
    """What came in, and what it answers."""

    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answer: Any = field(default_factory=lambda: web.Response(status=204))
    url: str = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(({k.lower(): v for k, v in request.headers.items()}, await request.read()))
        if isinstance(self.answer, float):
            await asyncio.sleep(self.answer)
            return web.Response()
        return web.Response(status=self.answer.status, headers=self.answer.headers)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    state = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", state.take)
    async with TestServer(app, host="127.0.0.1") as server:
        state.url = str(server.make_url("/in"))
        yield state


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator["Redis"]:
    async with Redis.from_url(redis_url) as client:
        yield client


def delivery(number: int = 1, **fields: Any) -> Delivery:
    view = action(number, "webhook", **{"address": None, **fields})
    return Delivery(view, "actions.webhook", 0, 0, view["decided_at_ms"], None, b"")


@asynccontextmanager
async def connector(
    redis: "Redis", prefix: str, monkeypatch: pytest.MonkeyPatch, lookup: Any = None, secret: str = SECRET, **spec: Any
) -> AsyncIterator[WebhookConnector]:
    monkeypatch.setenv("HOOK_SECRET", secret)
    config = Webhook(kind="webhook", endpoints={"default": Endpoint(secret_env="HOOK_SECRET", **spec)})
    made = WebhookConnector("webhook", config, redis, prefix, **({"lookup": lookup} if lookup else {}))
    yield made
    await made.close()


async def test_a_receiver_verifies_with_its_own_library(
    receiver: Receiver, redis: "Redis", topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signature, id and body hold; a byte changed, or another secret, does not; rotation satisfies both secrets."""
    secrets = f"{SECRET} {NEXT_SECRET}"
    async with connector(
        redis, topic_prefix, monkeypatch, url=receiver.url, allow_loopback=True, secret=secrets
    ) as hook:
        assert await hook.send(delivery()) == "HTTP 204"
    headers, body = receiver.requests[0]
    for secret in (SECRET, NEXT_SECRET):
        told = Verifier(secret).verify(body, headers)
        assert told["data"]["body"].startswith("Dear سارا")
    assert headers["webhook-id"] == action(1)["id"]
    with pytest.raises(WebhookVerificationError):
        Verifier(SECRET).verify(body.replace(b"win_back", b"win_bock"), headers)
    with pytest.raises(WebhookVerificationError):
        Verifier("whsec_" + base64.b64encode(b"x" * 32).decode()).verify(body, headers)
    assert orjson.loads(body)["type"] == "action.win_back"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (500, TransientError),
        (503, TransientError),
        (429, TransientError),
        (408, TransientError),
        (400, PermanentError),
        (401, PermanentError),
        (404, PermanentError),
        (302, PermanentError),
        (410, PermanentError),
    ],
)
async def test_what_answers_mean(  # noqa: PLR0917 - fixtures
    receiver: Receiver,
    redis: "Redis",
    topic_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    expected: type[Exception],
) -> None:
    """For now or for ever; a redirect is not followed, wherever it leads; 410 is remembered."""
    receiver.answer = web.Response(
        status=status, headers={"location": "http://169.254.169.254/latest", "retry-after": "7"}
    )
    async with connector(redis, topic_prefix, monkeypatch, url=receiver.url, allow_loopback=True) as hook:
        with pytest.raises(expected) as caught:
            await hook.send(delivery())
        assert len(receiver.requests) == 1
        if isinstance(caught.value, TransientError):
            assert caught.value.retry_after_s == 7
        if status == 410:
            with pytest.raises(PermanentError, match="410 Gone"):
                await hook.send(delivery(2))
            assert len(receiver.requests) == 1


async def test_a_silent_or_absent_endpoint_is_tried_again(
    receiver: Receiver, redis: "Redis", topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer = 2.0
    async with connector(
        redis, topic_prefix, monkeypatch, url=receiver.url, allow_loopback=True, timeout_s=0.2
    ) as hook:
        with pytest.raises(TransientError, match="Timeout"):
            await hook.send(delivery())
    async with connector(redis, topic_prefix, monkeypatch, url="http://127.0.0.1:1/", allow_loopback=True) as hook:
        with pytest.raises(TransientError):
            await hook.send(delivery())


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "10.0.0.7",
        "192.168.1.1",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00::1]",
        "0.0.0.0",  # noqa: S104 - an address to be refused
        "localhost",
        "224.0.0.1",
    ],
)
async def test_our_own_network_is_not_reached(
    redis: "Redis", topic_prefix: str, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Whatever the spelling, no connection is made."""
    async with connector(redis, topic_prefix, monkeypatch, url=f"https://{host}/") as hook:
        with pytest.raises(PermanentError) as caught:
            await hook.send(delivery())
    assert caught.value.code == "forbidden-address"


async def test_a_name_that_changes_its_mind(
    receiver: Receiver, redis: "Redis", topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: every answer of the resolver is checked, all addresses of it, and what was checked is dialled."""
    answers = itertools.cycle([["93.184.216.34", "127.0.0.1"], ["127.0.0.1"], ["::ffff:10.0.0.1"]])
    asked = []

    async def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    async with connector(redis, topic_prefix, monkeypatch, lookup, url="https://rebind.example/") as hook:
        for number in range(3):
            with pytest.raises(PermanentError, match="must not be dialled"):
                await hook.send(delivery(number))
    assert asked == ["rebind.example"] * 3
    assert receiver.requests == []


async def test_allow_loopback_opens_this_machine_only(
    redis: "Redis", topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connector(redis, topic_prefix, monkeypatch, url="http://10.0.0.1/", allow_loopback=True) as hook:
        with pytest.raises(PermanentError, match="must not be dialled"):
            await hook.send(delivery())
    assert permitted("93.184.216.34", loopback=False)
    assert not permitted("93.184.216.34", loopback=True)


@pytest.mark.parametrize(
    "url", ["http://shop.example/", "https://u:p@shop.example/", "https://shop.example:8080/", "ftp://x/", "https://"]
)
async def test_urls_refused_at_the_start(
    redis: "Redis", topic_prefix: str, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    with pytest.raises(SettingsError, match="its URL"):
        async with connector(redis, topic_prefix, monkeypatch, url=url):
            pytest.fail("it was taken")


@pytest.mark.parametrize("secret", ["whsec_!!!", "whsec_" + base64.b64encode(b"short").decode()])
def test_weak_secrets_are_refused(secret: str) -> None:
    with pytest.raises(SettingsError):
        signing_keys(secret)
