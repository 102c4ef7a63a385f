"""Durations as people write them: ``3d``, ``90m``."""

import re

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
# The same in the JSON schema of the catalogue.
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d|w)\Z")


def duration_ms(text: str) -> int:
    """Return a duration in milliseconds.

    Raises
    ------
    ValueError
        when it is not a whole number with a unit: ms, s, m, h, d or w

    Examples
    --------
    >>> duration_ms("90m"), duration_ms("3d")
    (5400000, 259200000)
    """
    found = _DURATION.match(text)
    if found is None:
        raise ValueError(
            f"{text[:40]!r} is not a duration: write a whole number and ms, s, m, h, d or w, like 90m or 3d"
        )
    return int(found[1]) * _UNITS_MS[found[2]]
