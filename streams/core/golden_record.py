"""The golden record: a fold over a customer's facets that gives the same result in whatever order they are taken.

Sums add, newest values win by a total order, lists keep their newest, sessions join. Consent is the exception that
protects: between facets the most restrictive wins (consent.join_consent).
"""

from collections.abc import Sequence

from streams.core.facet import SESSION_GAP_MS
from streams.core.facet_state import CartLine, ConsentGiven, Facet, Purse, Session, Slot, Trait
from streams.core.fading import COMPLAINTS_30D, MOOD_30D, MOOD_WEIGHT_30D, NAMES, SIGNALS_1D, faded_by
from streams.core.joins import join
from streams.core.kept import with_consent, with_contacts
from streams.core.rules import NO_RULES, Rules
from streams.core.state import Root
from streams.core.survival import survivors
from streams.core.suspicion import suspicions
from streams.core.view import Activity, Flags, GoldenRecord, History, Value

DAY_MS = 86_400_000

# A cart line of a month ago is no intention any more.
CART_KEPT_MS = 30 * DAY_MS
# Half a neutral opinion is mixed into the mood, so that one word does not make a character and old moods fade to 0.
MOOD_PRIOR = 0.5
# One complaint within its half-life of 30 days, or more and older ones.
COMPLAINED_AT = 0.5
# What sources write for yes.
_YES = frozenset({"true", "1", "yes", "y", "on", "vip", "bereaved"})


def moment_of(root: Root) -> int:
    """Return the newest time that a customer's record knows of, epoch ms: when its newest signal occurred.

    Whatever is published is as of this moment, not of the clock or of what happened to touch the record last: so the
    same history makes the same profile, in whatever batches and order it came.
    """
    return max((f.faded.at_ms for f in root.facets.values() if f.faded is not None), default=root.created_at_ms)


def merge(root: Root, now_ms: int, rules: Rules = NO_RULES) -> GoldenRecord:
    """Return the golden record of a customer at one moment of stream time.

    Parameters
    ----------
    root : not changed, but parts of its facets are shared with the record: fold only after it was used
    now_ms : stream time; sums and sessions are those of this moment
    rules : which values survive

    Notes
    -----
    About 7 us for one facet, 15 for each when there are more; no part depends on the order of facets.
    """
    # By node: wherever nothing else tells two things apart, the node does, in whatever order the facets came.
    facets = list(root.facets.values()) if len(root.facets) < 2 else [root.facets[n] for n in sorted(root.facets)]
    whole = facets[0] if len(facets) == 1 else join(facets, root.members) if facets else Facet(root.node, 0)
    sums = _sums(facets, now_ms)
    counts, traits, consent = whole.counts, survivors(whole.traits, rules), with_consent(root.kept, whole.consent)
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
            parts=[facet.windows for facet in facets if facet.windows is not None],
            # The record's newest time: a late signal does not turn the windows back.
            end_ms=max([facet.faded.at_ms for facet in facets if facet.faded is not None] + [now_ms]),
        ),
        value=_value(whole),
        flags=Flags(
            mood=max(-1.0, min(1.0, sums[MOOD_30D] / (sums[MOOD_WEIGHT_30D] + MOOD_PRIOR))),
            vip=_is_yes(traits, "vip"),
            complained=sums[COMPLAINTS_30D] >= COMPLAINED_AT,
            do_not_contact=_is_yes(traits, "do_not_contact") or _all_withdrawn(consent),
            suspicions=suspicions(whole, sums[SIGNALS_1D], len(root.refusals)),
            bereaved=_is_yes(traits, "bereaved"),
        ),
        consent=consent,
        contacts=with_contacts(root.kept, whole.contacts),
        violations=whole.violations,
        rules=rules,
        relations=root.relations,
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
