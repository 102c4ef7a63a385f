"""Commands sent together: every caller gets its own answer, or its own error."""

import asyncio
import uuid

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from connectors.outbound.together import MAX_TOGETHER, Together


async def test_many_callers_few_round_trips(redis_url: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that Redis has never seen, and among the calls one that fails: the others do not notice."""
    script = f"-- {uuid.uuid4()}\nif ARGV[1] == '13' then return redis.error_reply('unlucky') end return ARGV[1]"
    async with Redis.from_url(redis_url) as redis:
        together = Together(redis)
        trips = 0
        send = Together._round_trip

        async def counted(self: Together, batch: list[object]) -> None:
            nonlocal trips
            trips += 1
            await send(self, batch)  # type: ignore[arg-type]  # the batch is passed on

        monkeypatch.setattr(Together, "_round_trip", counted)
        calls = [together.script(script, (f"{topic_prefix}{n}",), (n,)) for n in range(3 * MAX_TOGETHER)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers[13], ResponseError)
    others = [answer for n, answer in enumerate(answers) if n != 13]
    assert others == [str(n).encode() for n in range(3 * MAX_TOGETHER) if n != 13]
    assert trips <= 7


async def test_when_redis_is_away_every_caller_hears_of_it() -> None:
    together = Together(Redis.from_url("redis://127.0.0.1:1/0"))
    answers = await asyncio.gather(*(together.command("PING") for _ in range(5)), return_exceptions=True)
    assert all(isinstance(answer, RedisError) for answer in answers)
