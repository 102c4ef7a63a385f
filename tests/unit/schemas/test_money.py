"""Amounts as people say them: a page that shows 6000 for sixty euros misleads whoever reads it."""

import pytest

from schemas.money import parts_of, spoken


@pytest.mark.parametrize(
    ("minor", "currency", "said"),
    [
        (6_000, "EUR", "60.00 EUR"),
        (5, "EUR", "0.05 EUR"),
        (-123_456, "EUR", "-1,234.56 EUR"),
        (60_000, "IRR", "60,000 IRR"),
        (1_500, "KWD", "1.500 KWD"),
        (2**62, "EUR", "46,116,860,184,273,879.04 EUR"),
    ],
)
def test_amounts(minor: int, currency: str, said: str) -> None:
    assert spoken(minor, currency) == said


def test_parts() -> None:
    assert (parts_of("EUR"), parts_of("JPY"), parts_of("TND"), parts_of("XYZ")) == (100, 1, 1_000, 100)
