"""Whom a customer may be the same person as, in a line of the 360 page."""

from collections.abc import Iterable

from connectors.desk.locale import Locale, plain
from connectors.operate.reviews import Review

# Named on the page; the rest is in the queue.
MOST = 3


def others(reviews: Iterable[Review], customer: str, locale: Locale) -> list[tuple[str, str, str]]:
    """Return each other customer once, the most probable first: its id, its name and the probability."""
    found: dict[str, tuple[str, str, str]] = {}
    for review in sorted(reviews, key=lambda each: -each.match):
        side = 1 if review.customers[0] == customer else 0
        other = review.customers[side]
        name = plain(review.names[side], 60) or locale.word("unknown person")
        found.setdefault(other, (other, name, locale.percent(review.match)))
    return list(found.values())[:MOST]
