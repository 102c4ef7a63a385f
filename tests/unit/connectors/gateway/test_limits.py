"""Token buckets, and who an address is."""

from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from connectors.gateway.access import Access
from connectors.gateway.keys import KeyRing
from connectors.gateway.limits import Buckets


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 30)), max_size=60))
def test_never_more_than_burst_and_rate(takes: list[tuple[float, int]]) -> None:
    """Over any time, what passes is at most the burst and the rate, and one oversize request."""
    buckets, now, passed, largest = Buckets(burst_s=2.0), 0.0, 0, 0
    for pause, cost in takes:
        now += pause
        if buckets.take("k", cost, 10.0, now) == 0.0:
            passed += cost
            largest = max(largest, cost)
    assert passed <= 20 + 10 * now + max(0, largest - 20) + 1e-6


def test_the_wait_is_what_it_takes() -> None:
    """After the time that is told there is enough."""
    buckets = Buckets(burst_s=1.0)
    assert buckets.take("k", 10, 10.0, 0.0) == 0.0
    wait = buckets.take("k", 5, 10.0, 0.0)
    assert wait == pytest.approx(0.5)
    assert buckets.take("k", 5, 10.0, wait + 1e-9) == 0.0
    assert buckets.take("other", 5, 10.0, 0.0) == 0.0


def test_memory_is_bounded() -> None:
    """A sender with a million addresses costs what 20,000 cost."""
    buckets = Buckets()
    for number in range(25_000):
        buckets.take(str(number), 1, 1.0, 0.0)
    assert len(buckets._levels) == 20_000


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        ("", "6.6.6.6", "10.0.0.1"),  # nobody is trusted: a forged header counts nothing
        ("10.0.0.0/8", "6.6.6.6", "6.6.6.6"),
        ("10.0.0.0/8", "1.1.1.1, 6.6.6.6, 10.0.0.2", "6.6.6.6"),  # what the client itself wrote is not believed
        ("10.0.0.0/8", "", "10.0.0.1"),
        ("10.0.0.0/8", "x" * 500, "x" * 64),
        ("192.168.0.0/16", "6.6.6.6", "10.0.0.1"),
    ],
)
def test_addresses_behind_proxies(tmp_path: Path, proxies: str, forwarded: str, address: str) -> None:
    """X-Forwarded-For counts only as far as trusted proxies wrote it."""

    class Transport:
        def get_extra_info(self, name: str, default: object = None) -> object:
            return ("10.0.0.1", 5) if name == "peername" else default

    access = Access(KeyRing(tmp_path / "keys.json"), proxies)
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": forwarded}, transport=Transport())
    assert access.address(request) == address
