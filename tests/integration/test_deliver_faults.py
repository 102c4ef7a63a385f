"""`sada deliver` when it is killed, and when Redis goes away."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from pydantic import SecretStr

from schemas.topics import DEAD_LETTERS, signals
from tests.peers.delivery import Bench, action, delivering, eventually, open_bench, smtp
from tests.peers.proxy import proxy
from tests.peers.smtp import relay

pytestmark = pytest.mark.kafka


@pytest.fixture
async def bench(kafka: str, redis_url: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(kafka, redis_url, topic_prefix, tmp_path) as opened:
        yield opened


async def sada_deliver(bench: Bench, config: Path) -> asyncio.subprocess.Process:
    code = "import typer; from connectors.outbound.command import deliver; typer.run(deliver)"
    environment = {
        **os.environ,
        "SADA_KAFKA": bench.settings.kafka,
        "SADA_REDIS": bench.settings.redis.get_secret_value(),
        "SADA_TOPIC_PREFIX": bench.settings.topic_prefix,
        "SADA_INBOX_SECRET": "11" * 32,
        "SADA_PUBLIC_URL": "http://127.0.0.1:9",
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, "--channels", "email,web", "--config", str(config), env=environment
    )


@pytest.mark.slow
async def test_killed_while_sending(bench: Bench, tmp_path: Path) -> None:
    """kill -9 with e-mails on their way: none is sent twice, each has one end, and the doubtful ones are named."""
    count = 24
    config = tmp_path / "c.yaml"
    async with relay() as peer:
        peer.silent_s = 0.5
        # 5 s: a relay that is only slow must not add doubts to those of the kill.
        channels = {"email": smtp(peer, concurrency=4, timeout_s=5), "web": {"kind": "inbox"}}
        config.write_text(yaml.safe_dump({"channels": channels}))
        bench.put(*(action(n) for n in range(1, count)), *(action(n, "web") for n in range(100, 100 + count)))
        first = await sada_deliver(bench, config)
        await eventually(lambda: len(peer.seen) >= 6, within_s=40)
        first.kill()
        await first.wait()
        second = await sada_deliver(bench, config)
        await eventually(lambda: len({s["id"] for s in bench.read(signals("outcome"), "signal")}) == 2 * count - 1, 70)
        second.terminate()
        assert await second.wait() == 0
    sent = Counter(taken.recipient for taken in peer.seen)
    assert set(sent.values()) == {1}
    ends = {s["id"]: s["outcome"]["event"] for s in bench.read(signals("outcome"), "signal")}
    doubtful = {letter["code"] for letter in bench.read(DEAD_LETTERS, "dead_letter")}
    assert doubtful <= {"in-doubt"}
    told = Counter(identity.split(":")[1] for identity in ends)
    assert told["delivered"] + told["failed"] == 2 * count - 1
    assert 1 <= told["failed"] <= 4  # no more than were on their way
    assert len({identity.split(":")[0] for identity in ends}) == 2 * count - 1


async def test_redis_away(bench: Bench, tmp_path: Path) -> None:
    """Without Redis nothing is claimed, so nothing is sent; back again, everything goes out, once."""
    port = urlsplit(bench.settings.redis.get_secret_value()).port
    assert port is not None
    async with relay() as peer, proxy(port) as redis:
        settings = bench.settings.model_copy(update={"redis": SecretStr(f"redis://127.0.0.1:{redis.port}/0")})
        through = Bench(settings, bench.redis, bench.producer)
        bench.put(action(1))
        async with delivering(through, tmp_path / "c.yaml", {"email": smtp(peer)}):
            await eventually(lambda: len(peer.taken) == 1)
            await redis.down()
            bench.put(*(action(n) for n in range(2, 12)))
            await asyncio.sleep(2)
            assert len(peer.seen) == 1
            await redis.up()
            await eventually(lambda: len(bench.outcomes()) == 11)
    assert set(Counter(taken.recipient for taken in peer.seen).values()) == {1}
    assert set(bench.outcomes().values()) == {"delivered"}
