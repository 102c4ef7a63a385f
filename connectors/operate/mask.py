"""Identifiers as those see them who may not read them."""


def mask(value: str) -> str:
    """Return an identifier's value so that who knows it recognises it, and nobody else learns it.

    Examples
    --------
    >>> mask("sara@example.com"), mask("u1")
    ('s…om', '…')
    """
    return f"{value[0]}…{value[-2:]}" if len(value) >= 8 else "…"
