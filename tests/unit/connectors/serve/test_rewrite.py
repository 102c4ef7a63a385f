"""When Redis is asked to write its files anew, and what happens where it may not."""

import uuid
from collections.abc import Iterator

import pytest
import redis
from structlog.testing import CapturingLogger

from connectors.serve import rewrite
from connectors.serve.rewrite import SETTLED_AFTER_S, Rewriter


@pytest.fixture
def limited(redis_url: str) -> Iterator[redis.Redis]:
    """Return a connection of a user who may not have the files rewritten, as with a Redis of somebody else's."""
    name = f"u{uuid.uuid4().hex[:12]}"
    with redis.Redis.from_url(redis_url) as admin:
        admin.execute_command("ACL", "SETUSER", name, "on", ">secret", "+info", "+ping")
        with redis.Redis.from_url(redis_url, username=name, password="secret") as client:
            yield client
        admin.execute_command("ACL", "DELUSER", name)


def test_only_once_an_erasure_has_settled(redis_url: str) -> None:
    """Not before, once, and again after the next."""
    with redis.Redis.from_url(redis_url) as client:
        rewriter = Rewriter(client)
        assert not rewriter.turn(1_000.0), "nobody was erased"
        for at in (0.0, 2.0):
            rewriter.note(at)
        assert not rewriter.turn(SETTLED_AFTER_S + 1)
        begun = [rewriter.turn(2 + SETTLED_AFTER_S + more) for more in (0.0, 20.0, 40.0)]
        assert begun.count(True) == 1


def test_who_may_not_is_told_and_goes_on(limited: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serving does not depend on it: said once, and not asked for ever."""
    # Whoever ran before may have set up logging for the whole process.
    log = CapturingLogger()
    monkeypatch.setattr(rewrite, "_log", log)
    rewriter = Rewriter(limited)
    rewriter.note(0.0)
    assert not rewriter.turn(SETTLED_AFTER_S)
    assert not rewriter.turn(10 * SETTLED_AFTER_S)
    (call,) = log.calls
    assert (call.method_name, "have it rewrite them" in call.args[0]) == ("warning", True)
