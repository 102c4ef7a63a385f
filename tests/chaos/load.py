"""The load: signals of many people at once, some of them retried, some of them garbage."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.wire import codec_of
from tests.chaos.people import Name, Story, story
from tests.chaos.truth import Planned

# Every so many signals one is sent twice with its id, as an SDK's retry, and one is garbage.
RETRY_EVERY = 50
GARBAGE_EVERY = 200
# Share of signals that are orders, and the most that one costs, minor units.
ORDERS = 0.2
MOST_MINOR = 10_000
# Between two signals of the load, of event time: a load of minutes spans hours.
STEP_MS = 20

CHANNELS = ("web", "app", "pos")

_encode = codec_of("signal").encode


@dataclass(slots=True)
class Book:
    """Who is who: every story that has begun, by each of its names. Written by the load, read by the operator."""

    stories: dict[Name, Story] = field(default_factory=dict)

    def begin(self, number: int, seed: int) -> Story:
        """Open a story."""
        begun = story(number, seed)
        self.stories.update(dict.fromkeys(begun.names, begun))
        return begun

    def households(self) -> dict[Name, Story]:
        """Return those who share a name, by it."""
        return {each.shared: each for each in self.stories.values() if each.shared}


def signals(book: Book, *, seed: int, start_ms: int, crowd: int) -> Iterator[Planned]:
    """Yield records without end.

    Parameters
    ----------
    crowd : people whose signals come mixed; one whose story has ended makes room for the next
    """
    rnd = random.Random(seed)
    begun = 0
    crowded: list[Iterator[tuple[Name, ...]]] = []
    last: Planned | None = None
    number = 0
    while True:
        number += 1
        if number % GARBAGE_EVERY == 0:
            yield Planned(f"signals.{rnd.choice(CHANNELS)}", b"%d" % number, b"garbage %d" % number, "")
            continue
        if number % RETRY_EVERY == 0 and last is not None:
            yield last
            continue
        while len(crowded) < crowd:
            crowded.append(iter(book.begin(begun, seed).signals))
            begun += 1
        place = rnd.randrange(crowd)
        names = next(crowded[place], None)
        while names is None:
            crowded[place] = iter(book.begin(begun, seed).signals)
            begun += 1
            names = next(crowded[place], None)
        amount = rnd.randrange(1, MOST_MINOR) if rnd.random() < ORDERS else 0
        last = planned(f"chaos-{number}", names, rnd.choice(CHANNELS), start_ms + number * STEP_MS, amount)
        yield last


def planned(id_: str, names: tuple[Name, ...], channel: str, at_ms: int, amount_minor: int) -> Planned:
    """Return the record of a signal: an order when something is paid, else a look at an item."""
    value: dict[str, object] = {
        "id": id_,
        "kind": "transaction" if amount_minor else "behaviour",
        "name": "order_completed" if amount_minor else "product_viewed",
        "channel": channel,
        "source": "chaos",
        "identifiers": [{"kind": kind, "value": value} for kind, value in names],
        "occurred_at_ms": at_ms,
        "received_at_ms": at_ms,
        "context": {},
    }
    if amount_minor:
        value["transaction"] = {
            "type": "order",
            "order_id": f"order-{id_}",
            "amount_minor": amount_minor,
            "currency": "EUR",
            "items": [],
        }
    else:
        value["behaviour"] = {"item_id": f"item-{at_ms % 50}"}
    # A key that says nothing: most signals land on a partition that does not own them and are forwarded.
    return Planned(f"signals.{channel}", id_.encode(), _encode(value), id_, amount_minor, names)
