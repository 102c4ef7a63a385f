"""Session cookies: signed, for one shift."""

import pytest

from connectors.desk.session import LASTS_S, Sessions

HASH = "ab" * 32


def test_a_shift_long() -> None:
    """Valid until its end, on every gateway with the same secret."""
    cookie = Sessions(b"k" * 32).issue(HASH, 1_000)
    assert Sessions(b"k" * 32).key_hash(cookie, 1_000 + LASTS_S - 1) == HASH
    assert Sessions(b"k" * 32).key_hash(cookie, 1_000 + LASTS_S) is None
    assert Sessions(b"x" * 32).key_hash(cookie, 1_000) is None


@pytest.mark.parametrize("position", range(0, 140, 7))
def test_any_change_ends_it(position: int) -> None:
    """Of the key, the time or the signature."""
    cookie = Sessions(b"k" * 32).issue(HASH, 1_000)
    changed = cookie[:position] + ("0" if cookie[position : position + 1] != "0" else "1") + cookie[position + 1 :]
    assert Sessions(b"k" * 32).key_hash(changed, 1_000) is None


@pytest.mark.parametrize("cookie", ["", ".", "..", "x", "\u202e", "\udc80", "a.b.c", "9" * 10_000])
def test_garbage_is_no_session(cookie: str) -> None:
    """And no exception."""
    assert Sessions(b"k" * 32).key_hash(cookie, 0) is None
