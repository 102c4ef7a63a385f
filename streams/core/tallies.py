"""The small sums of a facet that several folds add to."""

from collections.abc import Container, Mapping
from operator import attrgetter
from typing import Any

from streams.core.facet_state import Facet
from streams.core.fading import COMPLAINTS_30D, MOOD_30D, MOOD_WEIGHT_30D, Weights
from streams.core.windows import CODES, note

# What an agent can read at a glance, characters.
MAX_TEXT = 80


def count(facet: Facet, name: str) -> None:
    """Count one more of a name in facet.COUNTS."""
    facet.counts[name] = facet.counts.get(name, 0) + 1


_at_ms = attrgetter("at_ms")


def oldest(parts: Mapping[str, Any], kept: Container[str] = ()) -> str:
    """Return the name of the part with the oldest ``at_ms``, ties by name; those of ``kept`` only when all are.

    Notes
    -----
    5 us for 50 parts, all of it in C: a bot makes every signal push something out.
    """
    return min(zip(map(kept.__contains__, parts), map(_at_ms, parts.values()), parts, strict=True))[2]


def count_at(facet: Facet, name: str, at_ms: int) -> None:
    """Count one more of a name that has windows (windows.COUNTED)."""
    facet.counts[name] = facet.counts.get(name, 0) + 1
    note(facet, CODES[name], at_ms)


def add(facet: Facet, position: int, amount: float) -> None:
    """Add to a fading sum; ``amount`` is weighted already. fading.advance has run."""
    facet.faded.sums[position] += amount  # type: ignore[union-attr]  # facet.fold has made it


def complain(facet: Facet, at_ms: int, weights: Weights) -> None:
    """Note a complaint."""
    count_at(facet, "complaints", at_ms)
    add(facet, COMPLAINTS_30D, weights.w30)


def feel(facet: Facet, mood: float, weights: Weights) -> None:
    """Note a mood in [-1, 1]."""
    add(facet, MOOD_30D, mood * weights.w30)
    add(facet, MOOD_WEIGHT_30D, weights.w30)
