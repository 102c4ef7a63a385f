"""The golden record: what the facets of a customer come to. Never stored; folded anew whenever a facet changed.

Its parts are those an agent sees on the page and a condition of the catalogue names. Amounts are minor units.
"""

import msgspec

from schemas.topics import DAY_MS
from streams.core.facet_state import CartLine, ConsentGiven, Contact, Entry, Session, Ticket, Trait, Windows
from streams.core.quality import completeness, conflict
from streams.core.relations import related
from streams.core.rules import Rules
from streams.core.state import Member, Related
from streams.core.windows import Rolled, roll


class Activity(msgspec.Struct):
    """What the customer is doing now."""

    session: Session | None
    cart: dict[str, CartLine]
    open_tickets: dict[str, Ticket]
    searches: list[str]
    viewed: list[str]


class History(msgspec.Struct):
    """Counts of a lifetime and faded counts at ``now_ms``; the timeline newest first."""

    first_ms: int
    last_ms: int  # the customer's newest doing, 0 when there is none
    before_ms: int  # the one before it, 0 when there is none
    signals: int
    per_channel: dict[str, int]
    counts: dict[str, int]
    decayed: dict[str, float]
    timeline: list[Entry]
    # Of each facet, and when the windows end: ``rolled`` adds them up when somebody asks.
    parts: list[Windows]
    end_ms: int

    def rolled(self) -> Rolled:
        """Return the rolling windows; 10 us for a customer of 30 signals."""
        return roll(self.parts, self.end_ms)


class Value(msgspec.Struct):
    """Money and the rhythm of orders."""

    currency: str
    spent_minor: int
    returned_minor: int
    margin_minor: int
    orders: int
    priced_orders: int  # those in ``currency``: amounts of others are not converted
    order_times_ms: list[int]  # newest first
    first_order_ms: int
    last_order_items: int

    @property
    def mean_order_minor(self) -> float:
        """Mean order, minor units; 0 without orders."""
        return self.spent_minor / self.priced_orders if self.priced_orders else 0.0

    @property
    def mean_gap_ms(self) -> float:
        """Mean time between orders, ms; 0 with fewer than two."""
        return (self.order_times_ms[0] - self.first_order_ms) / (self.orders - 1) if self.orders > 1 else 0.0


class Flags(msgspec.Struct):
    """What an agent must know: mood in [-1, 1].

    ``suspicions``: why the customer is suspicious (suspicion.REASONS). ``bereaved``: the person has died or is in
    mourning: everything but service stops (consent.allowed).
    """

    mood: float
    vip: bool
    complained: bool
    do_not_contact: bool
    suspicions: list[str]
    bereaved: bool = False

    @property
    def suspicious(self) -> bool:
        """Whether the customer looks like a bot or a fraud."""
        return bool(self.suspicions)


class GoldenRecord(msgspec.Struct):
    """The merge of a customer's facets at one moment of stream time."""

    customer: bytes
    created_at_ms: int
    now_ms: int
    members: dict[bytes, Member]
    traits: dict[str, Trait]
    activity: Activity
    history: History
    value: Value
    flags: Flags
    consent: dict[str, ConsentGiven]  # "purpose|channel"
    contacts: list[Contact]  # newest first
    violations: dict[str, int]  # quality rule to flagged signals
    rules: Rules
    relations: dict[bytes, Related] = {}  # by group

    def related(self, kind: str) -> int:
        """Return how many other customers this one is related to, see relations.related.count."""
        return related.count(self.customer, self.relations, kind)

    def contacts_30d(self) -> int:
        """Return how often the customer was contacted within 30 days; the control group's were not."""
        since_ms = self.now_ms - 30 * DAY_MS
        return sum([not contact.control and contact.at_ms > since_ms for contact in self.contacts])

    def completeness(self) -> float:
        """Return how much of the declared fields is filled, [0, 1]."""
        return completeness(self.members, self.traits, self.rules)

    def conflict(self) -> float:
        """Return the share of traits on which sources disagree, [0, 1]."""
        return conflict(self.traits, self.rules)

    def trait(self, name: str, default: str = "") -> str:
        """Return a trait's value."""
        found = self.traits.get(name)
        return found.value if found else default

    def address(self, kind: str) -> str | None:
        """Return the newest identifier of a kind: where an action on that channel goes."""
        found = [m for m in self.members.values() if m.kind == kind]
        return max(found, key=lambda m: (m.since_ms, m.value)).value if found else None
