from collections.abc import Callable

import pytest

from streams.core.golden_record import merge
from streams.core.profile import profile_of
from streams.core.state import Refusal, Root
from streams.core.suspicion import MANY_CURRENCIES, MANY_REFUSALS, REASONS, SUSPICIOUS_SIGNALS_1D
from tests.unit.streams.core.making import T, customer, folded, look, order


def _busy(most: int) -> Root:
    return customer(folded(*(look("a", T + n, id=f"s{n}") for n in range(most))))


def _returning(orders: int, returns: int) -> Root:
    return customer(
        folded(
            *(order(T + n, id=f"o{n}") for n in range(orders)),
            *(order(T + n, type="return", id=f"r{n}") for n in range(returns)),
        )
    )


def _travelling(currencies: int) -> Root:
    return customer(folded(*(order(T + n, currency=f"XX{chr(65 + n)}", id=f"o{n}") for n in range(currencies))))


def _refused(links: int) -> Root:
    root = customer(folded(look("a")))
    root.refusals = {bytes([n]) * 16: Refusal(b"o" * 16, "user_id", "s", T) for n in range(links)}
    return root


@pytest.mark.parametrize(
    ("reason", "make", "innocent", "guilty"),
    [
        ("activity", _busy, SUSPICIOUS_SIGNALS_1D - 1, SUSPICIOUS_SIGNALS_1D + 1),
        ("returns", lambda n: _returning(5, n), 3, 4),
        ("returns", lambda n: _returning(n, 4), 4, 5),
        ("currencies", _travelling, MANY_CURRENCIES - 1, MANY_CURRENCIES),
        ("refused-links", _refused, MANY_REFUSALS - 1, MANY_REFUSALS),
    ],
)
def test_each_suspicion_has_its_bound_and_its_reason(
    reason: str, make: Callable[[int], Root], innocent: int, guilty: int
) -> None:
    """Below the bound nobody is suspected; at it the profile says why."""
    assert merge(make(innocent), T).flags.suspicions == []
    root = make(guilty)
    flags = profile_of(root, merge(root, T))["flags"]
    assert (flags["suspicious"], flags["suspicions"]) == (True, [reason])
    assert reason in REASONS
