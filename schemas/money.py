"""Money as signals carry it: whole minor units and an ISO 4217 code."""

# Currencies whose minor unit is not a hundredth: ISO 4217, and the rial by use (nobody pays a hundredth of one).
_PARTS = {
    **dict.fromkeys(
        "BIF CLP DJF GNF IRR ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(),  # noqa: SIM905 - a list of words
        1,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 1_000),
}


def parts_of(currency: str) -> int:
    """Return how many minor units a currency's unit has."""
    return _PARTS.get(currency, 100)


def spoken(minor: int, currency: str) -> str:
    """Return an amount as people say it.

    Examples
    --------
    >>> spoken(123_456, "EUR"), spoken(-5, "EUR"), spoken(60_000, "IRR"), spoken(1_500, "KWD")
    ('1,234.56 EUR', '-0.05 EUR', '60,000 IRR', '1.500 KWD')
    """
    parts = parts_of(currency)
    if parts == 1:
        return f"{minor:,} {currency}"
    whole, rest = divmod(abs(minor), parts)
    sign = "-" if minor < 0 else ""
    return f"{sign}{whole:,}.{rest:0{len(str(parts)) - 1}d} {currency}"
