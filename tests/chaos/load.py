"""The load: signals of people with several identifiers, some of them retried, some of them garbage; and its truth."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.wire import codec_of

# Every so many signals one is sent twice with its id, as an SDK's retry, and one is garbage.
RETRY_EVERY = 50
GARBAGE_EVERY = 200
SIGNALS_PER_PERSON = 25

CHANNELS = ("web", "app", "pos")


@dataclass(frozen=True, slots=True)
class Planned:
    """One record to write. ``signal`` is its id, empty for garbage."""

    topic: str
    key: bytes
    value: bytes
    signal: str
    person: int
    spent_minor: int
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Truth:
    """What was accepted: per person, by message id. Kept by the load, never shown to the pipeline."""

    people: dict[str, int] = field(default_factory=dict)  # message id to person
    spent: Counter[int] = field(default_factory=Counter)
    # The identifiers that signals named together, each as kind:value.
    links: set[tuple[str, ...]] = field(default_factory=set)
    garbage: int = 0
    retries: int = 0
    written: int = 0

    def accept(self, planned: Planned) -> None:
        """Note a record that the broker has acknowledged."""
        self.written += 1
        if not planned.signal:
            self.garbage += 1
        elif planned.signal in self.people:
            self.retries += 1
        else:
            self.people[planned.signal] = planned.person
            self.spent[planned.person] += planned.spent_minor
            self.links.add(planned.names)


def identifiers(person: int, rnd: random.Random) -> list[dict[str, str]]:
    """Return what a signal names: browsers before sign-in, then links, cards at the till. All of one person connect."""
    browser = {"kind": "anonymous_id", "value": f"browser-{person}-{rnd.randrange(2)}"}
    user = {"kind": "user_id", "value": f"user-{person}"}
    card = {"kind": "loyalty_id", "value": f"card-{person}"}
    draw = rnd.random()
    if draw < 0.35:
        return [browser]
    if draw < 0.75:
        return [user, browser]
    if draw < 0.9:
        return [card]
    return [user, card]


def signals(count: int, *, seed: int, start_ms: int, step_ms: int) -> Iterator[Planned]:
    """Yield the records in order.

    Parameters
    ----------
    count : records, retries and garbage included
    step_ms : time between two signals
    """
    rnd = random.Random(seed)
    encode = codec_of("signal").encode
    people = max(1, count // SIGNALS_PER_PERSON)
    last: Planned | None = None
    for number in range(count):
        channel = CHANNELS[number % len(CHANNELS)]
        topic = f"signals.{channel}"
        if number % GARBAGE_EVERY == GARBAGE_EVERY - 1:
            yield Planned(topic, b"%d" % number, b"garbage %d" % number, "", -1, 0)
            continue
        if number % RETRY_EVERY == RETRY_EVERY - 1 and last is not None:
            yield last
            continue
        person = rnd.randrange(people)
        at_ms = start_ms + number * step_ms
        amount = rnd.randrange(1, 10_000) if rnd.random() < 0.2 else 0
        names = identifiers(person, rnd)
        value: dict[str, object] = {
            "id": f"chaos-{number}",
            "kind": "transaction" if amount else "behaviour",
            "name": "order_completed" if amount else "product_viewed",
            "channel": channel,
            "source": "chaos",
            "identifiers": names,
            "occurred_at_ms": at_ms,
            "received_at_ms": at_ms,
            "context": {},
        }
        if amount:
            value["transaction"] = {
                "type": "order",
                "order_id": f"order-{number}",
                "amount_minor": amount,
                "currency": "EUR",
                "items": [],
            }
        else:
            value["behaviour"] = {"item_id": f"item-{rnd.randrange(50)}"}
        # A key that says nothing: most signals land on a partition that does not own them and are forwarded.
        named = tuple(sorted(f"{name['kind']}:{name['value']}" for name in names))
        last = Planned(topic, b"%d" % number, encode(value), str(value["id"]), person, amount, named)
        yield last
