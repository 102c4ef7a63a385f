"""Waiting for what another process does."""

import time
from collections.abc import Callable


def await_that(holds: Callable[[], bool], *, within_s: float = 20) -> None:
    """Wait until something holds; fail when it does not in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
