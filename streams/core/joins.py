"""What several facets come to: sums add, the newest wins, lists keep their newest."""

from collections.abc import Callable, Iterable
from itertools import chain
from operator import attrgetter
from typing import TypeVar

from streams.core.consent import join_consent
from streams.core.facet_state import (
    MAX_CONTACTS,
    MAX_ORDER_TIMES,
    MAX_RECENT,
    MAX_TIMELINE,
    CartLine,
    Facet,
    Purse,
    Seen,
    Ticket,
    Trait,
)
from streams.core.folds import join_tickets
from streams.core.interest import line_order
from streams.core.state import Member
from streams.core.survival import unite


def join(facets: list[Facet], members: dict[bytes, Member]) -> Facet:
    """Return one facet that holds what several hold; its pendings, marks and fading sums are left out.

    Parameters
    ----------
    facets : at least one, in a fixed order: it decides where nothing else does
    members : of the customer, for consent
    """
    joined = Facet(node=b"", first_ms=0)
    activity: list[int] = []
    newest_order = (0, 0)
    for f in facets:
        joined.signals += f.signals
        joined.first_ms = _earlier(joined.first_ms, f.first_ms)
        joined.first_order_ms = _earlier(joined.first_order_ms, f.first_order_ms)
        joined.cart_cleared_ms = max(joined.cart_cleared_ms, f.cart_cleared_ms)
        activity += (f.last_ms, f.before_ms)
        if f.order_times_ms:
            joined.order_times_ms += f.order_times_ms
            newest_order = max(newest_order, (f.order_times_ms[0], f.last_order_items))
    activity.sort()
    joined.before_ms, joined.last_ms = activity[-2:]
    joined.last_order_items = newest_order[1]
    joined.order_times_ms.sort(reverse=True)
    del joined.order_times_ms[MAX_ORDER_TIMES:]
    joined.violations = _add_up([f.violations for f in facets])
    joined.per_channel = _add_up([f.per_channel for f in facets])
    joined.counts = _add_up([f.counts for f in facets])
    joined.slots = _newest([f.slots for f in facets], _last_ms)
    joined.purses = _join_purses(facets)
    joined.cart = _join_carts(facets)
    joined.tickets = _join_tickets(facets)
    joined.searches = _join_seen([f.searches for f in facets])
    joined.viewed = _join_seen([f.viewed for f in facets])
    joined.traits = _join_traits(facets)
    joined.consent = join_consent(facets, members)
    joined.timeline = _newest([f.timeline for f in facets], _at_ms)[:MAX_TIMELINE]
    joined.contacts = _newest([f.contacts for f in facets], _at_ms)[:MAX_CONTACTS]
    return joined


_at_ms = attrgetter("at_ms")
_last_ms = attrgetter("last_ms")
T = TypeVar("T")


def _newest(lists: list[list[T]], time_of: Callable[[T], int]) -> list[T]:
    """Return lists that are each newest first as one: sorting is a merge of runs, equal times keep the facets' order.

    Slots of different facets may overlap: golden_record's sessions allow it.
    """
    filled = [each for each in lists if each]
    if len(filled) < 2:
        return filled[0] if filled else []
    return sorted(chain.from_iterable(filled), key=time_of, reverse=True)


def _earlier(one: int, other: int) -> int:
    """Return the earlier of two times, of which 0 is none."""
    return (min(other, one)) if one and other else one or other


def _add_up(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for each in counts:
        if not total:
            total = dict(each)
            continue
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return total


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


def _join_seen(lists: list[list[Seen]]) -> list[Seen]:
    newest: dict[str, Seen] = {}
    for seen in _newest(lists, _at_ms):
        newest.setdefault(seen.text, seen)
        if len(newest) == MAX_RECENT:
            break
    return list(newest.values())


def _join_traits(facets: list[Facet]) -> dict[str, Trait]:
    said: dict[str, list[Trait]] = {}
    for facet in facets:
        for name, trait in facet.traits.items():
            said.setdefault(name, []).append(trait)
    return {name: traits[0] if len(traits) == 1 else unite(traits) for name, traits in said.items()}
