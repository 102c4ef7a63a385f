"""A bot of hostile variety and a loyal customer, for the tests of bounds."""

from collections.abc import Callable, Iterator

from schemas.topics import CHANNELS
from schemas.views import Signal
from tests.unit.streams.core.making import (
    DAY,
    HOUR,
    T,
    cart,
    consent,
    look,
    make,
    message,
    order,
    outcome,
    service,
    traits,
)

# 12 seconds apart: 7,200 a day, so that lists, buckets and sums are all met.
_APART_MS = 12_000
_LONG = "日" * 80


def _hostile(n: int, at: int) -> Signal:
    """Return the n-th signal of the bot: each kind in turn, all that it names new."""
    word = f"{n}{_LONG}"
    makers: tuple[Callable[[], Signal], ...] = (
        lambda: look(word, at),
        lambda: cart("product_added", word, at, n),
        lambda: order(at, n, currency=f"{chr(65 + n % 26)}{chr(65 + n // 26 % 26)}X"),
        lambda: order(at, n, type="return", currency=f"X{chr(65 + n % 26)}Y"),
        lambda: make(payload={"query": word}, name="products_searched", at=at),
        lambda: service("opened", at, ticket_id=word, reason=word, priority=word),
        lambda: service("call_started", at),
        lambda: message("this is terrible", at),
        lambda: consent(n % 2 == 0, at, ("marketing", "*", "profiling")[n % 3], (*CHANNELS, "*")[n % 13]),
        lambda: outcome("unsubscribed", at, delivered_on="email", action=word),
        lambda: traits({f"trait {(n * 7 + k) % 200}{_LONG[:20]}": f"{n}" + "日" * 300 for k in range(12)}, at),
        lambda: make("survey", {"survey": word, "score": 0.0, "scale_max": 5.0}, at=at),
    )
    return makers[n % len(makers)]()


def bot(most: int, *, apart_ms: int = _APART_MS) -> Iterator[Signal]:
    """Yield signals that differ in all that may differ: no two share an item, a ticket, a value or an id."""
    for n in range(most):
        made = _hostile(n, T + n * apart_ms)
        made["id"] = f"bot {n} {_LONG[:20]}"
        made["channel"], made["source"] = CHANNELS[n % len(CHANNELS)], f"source {n % 97}{_LONG[:20]}"
        yield made


def loyal(most: int) -> Iterator[Signal]:
    """Yield a good customer's signals: a visit every other day, an order a fortnight, now and then a word."""
    made: Signal
    for n in range(most):
        at = T + n // 8 * 2 * DAY + n % 8 * HOUR // 20
        visit = n // 8
        if n % 8 == 7:
            made = order(at) if visit % 7 == 0 else cart("product_added", f"item {n % 40}", at)
        elif n % 8 == 6:
            made = message("great, thanks", at) if visit % 5 == 0 else look(f"item {n % 90}", at)
        elif n % 8 == 5:
            made = traits({"city": "Lyon", "language": "fr"}, at, source="crm")
        else:
            made = look(f"item {n % 90}", at, channel=("web", "app")[visit % 2])
        made["id"] = f"l{n}"
        yield made
