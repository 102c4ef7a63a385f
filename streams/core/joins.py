"""What several facets come to: sums add, the newest wins, lists keep their newest."""

from collections.abc import Iterable
from itertools import chain
from operator import attrgetter

from streams.core.consent import join_consent
from streams.core.folds import join_tickets
from streams.core.interest import line_order
from streams.core.state import (
    MAX_CONTACTS,
    MAX_ORDER_TIMES,
    MAX_RECENT,
    MAX_TIMELINE,
    CartLine,
    Contact,
    Facet,
    Member,
    Purse,
    Seen,
    Slot,
    Ticket,
    Trait,
)


def join(facets: list[Facet], members: dict[bytes, Member]) -> Facet:
    """Return one facet that holds what several hold; its pendings, marks and fading sums are left out.

    Parameters
    ----------
    facets : at least one, in a fixed order: it decides where nothing else does
    members : of the customer, for consent
    """
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
