"""The shop's truth: who its customers are. Sada sees none of this; it is used to act them out and to score Sada.

Pure: every draw comes from the generator that is passed in.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000

CATEGORIES: tuple[str, ...] = ("books", "tea", "kitchen", "garden", "toys", "clothes", "music", "sports")


class Region(NamedTuple):
    """Where customers of one language live; ``offset_ms`` is their clock's, all year."""

    language: str
    locale: str
    zone: str
    offset_ms: int
    phone: str
    names: tuple[str, ...]
    cities: tuple[str, ...]


REGIONS: tuple[Region, ...] = (
    Region(
        "fa",
        "fa-IR",
        "Asia/Tehran",
        3 * HOUR_MS + 30 * MINUTE_MS,
        "+98912{:07d}",
        ("سارا", "رضا", "مریم", "علی", "نگار", "امیر", "لیلا", "کاوه"),
        ("تهران", "شیراز", "اصفهان"),
    ),
    Region(
        "ar",
        "ar-AE",
        "Asia/Dubai",
        4 * HOUR_MS,
        "+97150{:07d}",
        ("ليلى", "عمر", "نور", "خالد", "هدى", "سامي", "ريم", "يوسف"),
        ("دبي", "الشارقة", "أبوظبي"),
    ),
    Region(
        "en",
        "en-GB",
        "Europe/London",
        0,
        "+4479{:08d}",
        ("Amy", "Ben", "Cleo", "Dan", "Eve", "Finn", "Grace", "Hugh"),
        ("London", "Leeds", "Bristol"),
    ),
)

# Customers whose children use the same tablet: one browser, two people.
SHARED_TABLETS = 0.02
# Customers who do not come from the first week on, but are won later.
NEWCOMERS = 0.3


@dataclass(slots=True)
class Person:
    """A customer as only the shop's truth knows one.

    Parameters
    ----------
    number : position among all
    browsers : anonymous ids, one or two; ``app`` the app's own, or None
    tastes : weight per category, sums to 1
    rhythm_days : mean time between visits while interested
    hazard : probability per visit that the interest begins to fade for good
    patience : messages a week that are welcome
    reads : probability of reading a message
    receptive : how much a good offer moves, [0, 1]
    buys : probability that a visit ends in an order, in a neutral mood
    store : share of visits to the shop itself, app_share : share of the others in the app
    """

    number: int
    name: str
    region: Region
    city: str
    email: str
    phone: str
    user_id: str
    loyalty_id: str | None
    browsers: tuple[str, ...]
    app: str | None
    tastes: tuple[float, ...]
    rhythm_days: float
    hazard: float
    patience: float
    reads: float
    receptive: float
    buys: float
    store: float
    app_share: float
    consents: bool
    joins_at_ms: int
    # What changes.
    mood: float = 0.0
    stage: str = "keen"  # keen, slipping, gone
    slips: int = 0
    signed_in: set[str] = field(default_factory=set)
    registered: bool = False
    asked_cookies: set[str] = field(default_factory=set)
    cart: list[tuple[str, str, int]] = field(default_factory=list)
    pressure: float = 0.0  # messages received, halved every week
    pressure_at_ms: int = 0
    unsubscribed: set[str] = field(default_factory=set)
    cared_until_ms: int = 0
    boost: float = 0.0  # of the next visit's probability of an order
    boost_until_ms: int = 0
    orders: int = 0
    visit: int = 0  # number of the visit that is planned: an earlier plan is void

    @property
    def identifiers(self) -> list[tuple[str, str]]:
        """Every identifier that this person has, used or not."""
        found = [("user_id", self.user_id), ("email", self.email), ("phone", self.phone)]
        if self.loyalty_id:
            found.append(("loyalty_id", self.loyalty_id))
        found += [("anonymous_id", browser) for browser in self.browsers]
        if self.app:
            found.append(("anonymous_id", self.app))
        return found

    def mind(self, change: float) -> None:
        """Let the mood change, within [-1, 1]."""
        self.mood = max(-1.0, min(1.0, self.mood + change))


def populate(count: int, rng: Random, *, start_ms: int, days: int) -> list[Person]:
    """Return the customers of a shop.

    Parameters
    ----------
    count : how many
    rng : all that is random about them
    start_ms, days : the simulated time in which they come
    """
    people = [_person(number, rng, start_ms, days) for number in range(count)]
    for parent, child in zip(people[::2], people[1::2], strict=False):
        if rng.random() < 2 * SHARED_TABLETS:
            child.browsers = (*child.browsers[1:], parent.browsers[0])
    return people


def _person(number: int, rng: Random, start_ms: int, days: int) -> Person:
    region = rng.choices(REGIONS, (0.35, 0.25, 0.4))[0]
    rhythm = min(34.0, max(1.3, rng.lognormvariate(math.log(7.0), 1.0)))
    newcomer = rng.random() < NEWCOMERS
    joins = rng.uniform(0, 0.75 * days) if newcomer else rng.uniform(0, min(rhythm, 0.3 * days))
    name = rng.choice(region.names)
    return Person(
        number=number,
        name=name,
        region=region,
        city=rng.choice(region.cities),
        email=f"customer{number}@mail{number % 7}.example",
        phone=region.phone.format(1_000_000 + number),
        user_id=f"u-{number}",
        loyalty_id=f"card-{number:06d}" if rng.random() < 0.55 else None,
        browsers=tuple(_id(rng, "b") for _ in range(2 if rng.random() < 0.25 else 1)),
        app=_id(rng, "a") if rng.random() < 0.4 else None,
        tastes=_tastes(rng),
        rhythm_days=rhythm,
        hazard=rng.betavariate(1.2, 14.0),
        patience=rng.uniform(2.0, 9.0),
        reads=rng.betavariate(4.0, 3.0),
        receptive=rng.betavariate(3.0, 3.0),
        buys=0.04 + rng.betavariate(2.0, 12.0),
        store=rng.choice((0.0, 0.0, 0.1, 0.25, 0.5)),
        app_share=rng.uniform(0.3, 0.9),
        consents=rng.random() < 0.78,
        joins_at_ms=start_ms + int(joins * DAY_MS),
    )


def _tastes(rng: Random) -> tuple[float, ...]:
    raw = [rng.gammavariate(0.4, 1.0) for _ in CATEGORIES]
    total = sum(raw) or 1.0
    return tuple(weight / total for weight in raw)


def _id(rng: Random, kind: str) -> str:
    return f"{kind}-{rng.getrandbits(64):016x}"


def favourite(person: Person, rng: Random) -> str:
    """Return a category by a person's taste."""
    return rng.choices(CATEGORIES, person.tastes)[0]


def true_pairs(people: Sequence[Person]) -> dict[tuple[str, str], set[int]]:
    """Return who may stand behind each identifier; a shared tablet has two."""
    found: dict[tuple[str, str], set[int]] = {}
    for person in people:
        for identifier in person.identifiers:
            found.setdefault(identifier, set()).add(person.number)
    return found
