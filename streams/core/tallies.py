"""The small sums of a facet that several folds add to."""

from streams.core.facet_state import Facet
from streams.core.fading import COMPLAINTS_30D, MOOD_30D, MOOD_WEIGHT_30D, Weights

# What an agent can read at a glance, characters.
MAX_TEXT = 80


def count(facet: Facet, name: str) -> None:
    """Count one more of a name in facet.COUNTS."""
    facet.counts[name] = facet.counts.get(name, 0) + 1


def add(facet: Facet, position: int, amount: float) -> None:
    """Add to a fading sum; ``amount`` is weighted already. fading.advance has run."""
    facet.faded.sums[position] += amount  # type: ignore[union-attr]  # facet.fold has made it


def complain(facet: Facet, weights: Weights) -> None:
    """Note a complaint."""
    count(facet, "complaints")
    add(facet, COMPLAINTS_30D, weights.w30)


def feel(facet: Facet, mood: float, weights: Weights) -> None:
    """Note a mood in [-1, 1]."""
    add(facet, MOOD_30D, mood * weights.w30)
    add(facet, MOOD_WEIGHT_30D, weights.w30)
