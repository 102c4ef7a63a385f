"""Claims against a real Redis: one holder at a time, and no doubt without a death."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from connectors.outbound.claims import Claims, Settled


@pytest.fixture
async def claims(redis_url: str, topic_prefix: str) -> AsyncIterator[Claims]:
    async with Redis.from_url(redis_url) as redis:
        yield Claims(redis, topic_prefix, window_ms=60_000)


async def test_one_of_many_gets_it(claims: Claims) -> None:
    answers = await asyncio.gather(*(claims.claim("a", f"o{n}", 10) for n in range(20)))
    assert sorted(a.verdict for a in answers) == ["busy"] * 19 + ["new"]
    assert all(0 < a.busy_ms <= 10_000 for a in answers if a.verdict == "busy")


async def test_asking_twice_is_harmless(claims: Claims) -> None:
    """A reply that got lost is asked for again."""
    assert (await claims.claim("a", "me", 10)).verdict == "new"
    assert (await claims.claim("a", "me", 10)).verdict == "new"


async def test_a_release_frees_it_without_doubt(claims: Claims) -> None:
    await claims.claim("a", "me", 10)
    await claims.release("a", "another")  # not its holder
    assert (await claims.claim("a", "you", 10)).verdict == "busy"
    await claims.release("a", "me")
    assert (await claims.claim("a", "you", 10)).verdict == "new"


async def test_a_lease_that_ran_out_is_in_doubt(claims: Claims) -> None:
    await claims.claim("a", "dead", 0.02)
    await asyncio.sleep(0.05)
    assert (await claims.claim("a", "you", 10)).verdict == "doubt"


async def test_what_is_settled_stays(claims: Claims) -> None:
    await claims.claim("a", "me", 10)
    await claims.settle("a", Settled("failed", 7, "code: a|b|c"))
    answer = await claims.claim("a", "you", 10)
    assert (answer.verdict, answer.settled) == ("done", Settled("failed", 7, "code: a|b|c"))
    await claims.release("a", "me")
    assert (await claims.claim("a", "you", 10)).verdict == "done"
