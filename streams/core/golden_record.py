"""The golden record: a fold over a customer's facets that gives the same result in whatever order they are taken.

Sums add, newest values win by a total order, lists keep their newest, sessions join. Consent is the exception that
protects: between facets the most restrictive wins (join_consent).
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from streams.core.facet import SESSION_GAP_MS
from streams.core.fading import COMPLAINTS_30D, MOOD_30D, MOOD_WEIGHT_30D, NAMES, SIGNALS_1D, faded_by
from streams.core.folds import consent_order, join_tickets, line_order
from streams.core.state import (
    MAX_CONTACTS,
    MAX_ORDER_TIMES,
    MAX_RECENT,
    MAX_TIMELINE,
    CartLine,
    ConsentGiven,
    Contact,
    Facet,
    Member,
    Purse,
    Root,
    Seen,
    Session,
    Slot,
    Ticket,
    Trait,
)
from streams.core.view import Activity, Flags, GoldenRecord, History, Value

DAY_MS = 86_400_000

# A cart line of a month ago is no intention any more.
CART_KEPT_MS = 30 * DAY_MS
# Half a neutral opinion is mixed into the mood, so that one word does not make a character and old moods fade to 0.
MOOD_PRIOR = 0.5
# One complaint within its half-life of 30 days, or more and older ones.
COMPLAINED_AT = 0.5
# More activity a day than a human hand makes: a bot, a shared device, a broken client.
SUSPICIOUS_SIGNALS_1D = 2_000
# What sources write for yes.
_YES = frozenset({"true", "1", "yes", "y", "on", "vip"})


def merge(root: Root, now_ms: int) -> GoldenRecord:
    """Return the golden record of a customer at one moment of stream time.

    Parameters
    ----------
    root : not changed, but parts of its facets are shared with the record: fold only after it was used
    now_ms : stream time; sums and sessions are those of this moment

    Notes
    -----
    About 6 us for one facet; no part depends on the order of facets.
    """
    # By node: wherever nothing else tells two things apart, the node does, in whatever order the facets came.
    facets = list(root.facets.values()) if len(root.facets) < 2 else [root.facets[n] for n in sorted(root.facets)]
    whole = facets[0] if len(facets) == 1 else _join(facets, root.members) if facets else Facet(root.node, 0)
    sums = _sums(facets, now_ms)
    counts, traits, consent = whole.counts, whole.traits, whole.consent
    return GoldenRecord(
        customer=root.node,
        created_at_ms=root.created_at_ms,
        now_ms=now_ms,
        members=root.members,
        traits=traits,
        activity=Activity(
            session=_session(whole.slots, now_ms),
            cart=_cart(whole, now_ms),
            open_tickets={k: t for k, t in whole.tickets.items() if not t.closed} if whole.tickets else {},
            searches=[seen.text for seen in whole.searches],
            viewed=[seen.text for seen in whole.viewed],
        ),
        history=History(
            first_ms=whole.first_ms,
            last_ms=whole.last_ms,
            before_ms=whole.before_ms,
            signals=whole.signals,
            per_channel=whole.per_channel,
            counts=counts,
            decayed=dict(zip(NAMES, sums, strict=True)),
            timeline=whole.timeline,
        ),
        value=_value(whole),
        flags=Flags(
            mood=max(-1.0, min(1.0, sums[MOOD_30D] / (sums[MOOD_WEIGHT_30D] + MOOD_PRIOR))),
            vip=_is_yes(traits, "vip"),
            complained=sums[COMPLAINTS_30D] >= COMPLAINED_AT,
            do_not_contact=_is_yes(traits, "do_not_contact") or _all_withdrawn(consent),
            suspicious=sums[SIGNALS_1D] >= SUSPICIOUS_SIGNALS_1D,
        ),
        consent=consent,
        contacts=whole.contacts,
    )


def _is_yes(traits: dict[str, Trait], name: str) -> bool:
    trait = traits.get(name)
    return trait is not None and trait.value.strip().lower() in _YES


def _all_withdrawn(consent: dict[str, ConsentGiven]) -> bool:
    everything = consent.get("*|*")
    return everything is not None and not everything.granted


def _sums(facets: Sequence[Facet], now_ms: int) -> list[float]:
    """Return the fading sums of all facets at ``now_ms``."""
    total: list[float] | None = None
    for facet in facets:
        if facet.faded is not None:
            sums = faded_by(facet.faded.sums, now_ms - facet.faded.at_ms)
            total = sums if total is None else [a + b for a, b in zip(total, sums, strict=True)]
    return total if total is not None else [0.0] * len(NAMES)


def _session(slots: list[Slot], now_ms: int) -> Session | None:
    """Return the open session: the newest slots that follow each other without a gap; None when it has ended."""
    if not slots or now_ms - slots[0].last_ms > SESSION_GAP_MS:
        return None
    newest = slots[0]
    started, signals = newest.first_ms, newest.signals
    for slot in slots[1:]:
        if started - slot.last_ms > SESSION_GAP_MS:
            break
        started = min(started, slot.first_ms)
        signals += slot.signals
    return Session(started, newest.last_ms, signals, newest.channel)


def _cart(facet: Facet, now_ms: int) -> dict[str, CartLine]:
    if not facet.cart:
        return {}
    since = max(facet.cart_cleared_ms, now_ms - CART_KEPT_MS)
    return {item: line for item, line in facet.cart.items() if line.quantity > 0 and line.at_ms > since}


def _value(facet: Facet) -> Value:
    """Return money in the currency of most orders (ties: the newest, then by name) and the rhythm of all orders."""
    currency, purse = "", _EMPTY
    if facet.purses:
        currency = (
            next(iter(facet.purses))
            if len(facet.purses) == 1
            else max(facet.purses, key=lambda name: (facet.purses[name].orders, facet.purses[name].at_ms, name))
        )
        purse = facet.purses[currency]
    return Value(
        currency=currency,
        spent_minor=purse.spent_minor,
        returned_minor=purse.returned_minor,
        margin_minor=purse.margin_minor,
        orders=facet.counts.get("orders", 0),
        priced_orders=purse.orders,
        order_times_ms=facet.order_times_ms,
        first_order_ms=facet.first_order_ms,
        last_order_items=facet.last_order_items,
    )


_EMPTY = Purse()


def _join(facets: list[Facet], members: dict[bytes, Member]) -> Facet:
    """Return one facet that holds what several hold; its pendings, marks and fading sums are left out."""
    orders = sorted(chain.from_iterable(f.order_times_ms for f in facets), reverse=True)
    activity = sorted((t for f in facets for t in (f.last_ms, f.before_ms)), reverse=True)
    return Facet(
        node=b"",
        first_ms=_first(f.first_ms for f in facets),
        last_ms=activity[0],
        before_ms=activity[1],
        signals=sum(f.signals for f in facets),
        per_channel=_add_up(f.per_channel for f in facets),
        counts=_add_up(f.counts for f in facets),
        slots=_join_slots(facets),
        order_times_ms=orders[:MAX_ORDER_TIMES],
        first_order_ms=_first(f.first_order_ms for f in facets),
        last_order_items=max((f.order_times_ms[0], f.last_order_items) for f in facets if f.order_times_ms)[1]
        if orders
        else 0,
        purses=_join_purses(facets),
        cart=_join_carts(facets),
        cart_cleared_ms=max(f.cart_cleared_ms for f in facets),
        tickets=_join_tickets(facets),
        searches=_join_seen(f.searches for f in facets),
        viewed=_join_seen(f.viewed for f in facets),
        traits=_join_traits(facets),
        consent=join_consent(facets, members),
        timeline=sorted(chain.from_iterable(f.timeline for f in facets), key=_at_ms, reverse=True)[:MAX_TIMELINE],
        contacts=_join_contacts(facets),
    )


# Lists of each facet are newest first already: sorting them together is a merge, and equal times keep facet order.
_at_ms = attrgetter("at_ms")
_last_ms = attrgetter("last_ms")


def _first(times: Iterable[int]) -> int:
    return min((time for time in times if time), default=0)


def _add_up(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        if not total:
            total = dict(each)
            continue
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return total


def _join_slots(facets: list[Facet]) -> list[Slot]:
    """Return the activity of all facets, newest first. Slots of different facets may overlap; sessions allow it."""
    slots = [slot for f in facets for slot in f.slots]
    slots.sort(key=_last_ms, reverse=True)
    return slots


def _join_purses(facets: list[Facet]) -> dict[str, Purse]:
    joined: dict[str, Purse] = {}
    for facet in facets:
        for currency, one in facet.purses.items():
            other = joined.get(currency)
            if other is None:
                joined[currency] = one
                continue
            joined[currency] = Purse(
                one.spent_minor + other.spent_minor,
                one.returned_minor + other.returned_minor,
                one.margin_minor + other.margin_minor,
                one.orders + other.orders,
                max(one.at_ms, other.at_ms),
            )
    return joined


def _join_carts(facets: list[Facet]) -> dict[str, CartLine]:
    joined: dict[str, CartLine] = {}
    for facet in facets:
        for item, line in facet.cart.items():
            old = joined.get(item)
            if old is None or line_order(line) > line_order(old):
                joined[item] = line
    return joined


def _join_tickets(facets: list[Facet]) -> dict[str, Ticket]:
    joined: dict[str, Ticket] = {}
    for facet in facets:
        for name, ticket in facet.tickets.items():
            old = joined.get(name)
            joined[name] = ticket if old is None else join_tickets(old, ticket)
    return joined


def _join_seen(lists: Iterable[list[Seen]]) -> list[Seen]:
    newest: dict[str, Seen] = {}
    for seen in sorted(chain.from_iterable(lists), key=_at_ms, reverse=True):
        newest.setdefault(seen.text, seen)
        if len(newest) == MAX_RECENT:
            break
    return list(newest.values())


def _join_traits(facets: list[Facet]) -> dict[str, Trait]:
    joined: dict[str, Trait] = {}
    for facet in facets:
        for name, trait in facet.traits.items():
            old = joined.get(name)
            if old is None or (trait.at_ms, trait.source, trait.value) > (old.at_ms, old.source, old.value):
                joined[name] = trait
    return joined


def _join_contacts(facets: list[Facet]) -> list[Contact]:
    contacts = [contact for f in facets for contact in f.contacts]
    contacts.sort(key=_at_ms, reverse=True)
    return contacts[:MAX_CONTACTS]


class _Said(NamedTuple):
    """A word on consent, and since when its facet's node is a member of the customer."""

    given: ConsentGiven
    since_ms: int


def join_consent(facets: Sequence[Facet], members: dict[bytes, Member]) -> dict[str, ConsentGiven]:
    """Return what holds for each purpose and channel after several facets have spoken.

    Within a facet the newest word has won already. Between facets the most restrictive wins: a withdrawal through one
    identifier holds for the person, whatever another identifier had granted. Only who knew both may lift it: a grant
    counts against another facet's withdrawal when it is later than the withdrawal *and* was given after both
    identifiers had become one customer (the latest ``since_ms`` or ``joined_ms`` of the two members; a facet whose
    node is no member never lifts). Of several withdrawals that hold, and of several grants, the newest is shown.

    Notes
    -----
    Identifiers that came over together count as joined only from then on: a withdrawal that one of them had lifted
    for the other before stands again, and has to be lifted anew. That errs on the customer's side.
    """
    said: dict[str, list[_Said]] = {}
    for facet in facets:
        if facet.consent:
            member = members.get(facet.node)
            since_ms = _NEVER_MS if member is None else max(member.since_ms, member.joined_ms)
            for key, given in facet.consent.items():
                said.setdefault(key, []).append(_Said(given, since_ms))
    return {key: _most_restrictive(words) for key, words in said.items()}


# Later than any signal: a grant of a node that is no member lifts nothing.
_NEVER_MS = 1 << 62


def _most_restrictive(words: list[_Said]) -> ConsentGiven:
    if len(words) == 1:
        return words[0].given
    grants = [word for word in words if word.given.granted]
    standing = [
        word.given for word in words if not word.given.granted and not any(_lifts(grant, word) for grant in grants)
    ]
    return max(standing or [grant.given for grant in grants], key=consent_order)


def _lifts(grant: _Said, withdrawal: _Said) -> bool:
    at_ms = grant.given.at_ms
    return at_ms > withdrawal.given.at_ms and at_ms >= max(grant.since_ms, withdrawal.since_ms)
