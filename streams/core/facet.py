"""Folding a signal into the facet of its node: what the customer is, did and said, bounded, in any order.

Every part is a sum, a newest-wins value with a total order, or the newest N of something by a total order, so a facet
comes out the same whatever order its signals arrive in (property test), up to rounding of the fading sums. Exceptions:

- ``recent_ids`` is in order of arrival: it is the memory for a sender's retries, not part of the history;
- past MAX_TICKETS tickets or MAX_CURRENCIES currencies in one facet, one that was dropped and speaks again starts
  anew, so what it had said before counts only if it arrived late.
"""

from hashlib import blake2b

from schemas.views import Signal
from streams.core.facet_state import (
    MAX_CONTACTS,
    MAX_RECENT_IDS,
    MAX_TIMELINE,
    RECENT_ID_BYTES,
    Contact,
    Entry,
    Facet,
    Slot,
)
from streams.core.fading import CONTACTS_7D, CONTACTS_30D, SIGNALS_1D, SIGNALS_7D, SIGNALS_30D, advance
from streams.core.folds import FOLDS, state_trait
from streams.core.vocabulary import is_activity
from streams.core.windows import CODES, note

# Names in Facet.counts: lifetime counts.
COUNTS: tuple[str, ...] = (
    "orders", "returns", "payments", "refunds", "views", "searches", "calls", "tickets", "messages", "messages_out",
    "surveys", "complaints", "contacts", "responses",
)  # fmt: skip

# Activity without a pause of 30 minutes is one session: what web analytics has agreed on.
SESSION_GAP_MS = 30 * 60_000
# Slots are half hours of the clock: two signals in one slot are always one session, so slots give sessions exactly.
SLOT_MS = SESSION_GAP_MS
# Slots kept behind the newest: a session is looked back upon for 4 hours, which bounds a bot that never pauses.
MAX_SLOTS = 8

_KEPT_BYTES = (MAX_RECENT_IDS - 1) * RECENT_ID_BYTES


def new_facet(node: bytes) -> Facet:
    """Return the empty facet of a node."""
    return Facet(node, 0)


def fold(facet: Facet, signal: Signal, at_ms: int) -> bool:
    """Fold a signal into a facet; False when its id is among the recent ones: a sender's retry, nothing changes.

    Parameters
    ----------
    facet : changed in place
    signal : checked (validate.check)
    at_ms : when it occurred, as validate.check returned it

    Notes
    -----
    About 7.5 us; a text to be read for its mood costs up to 20 more. An id counts per source.
    """
    mark = blake2b(f"{signal['source']}\0{signal['id']}".encode(), digest_size=RECENT_ID_BYTES).digest()
    recent = facet.recent_ids
    if mark in recent:
        return False
    facet.recent_ids = (recent[-_KEPT_BYTES:] if len(recent) > _KEPT_BYTES else recent) + mark

    channel, kind = signal["channel"], signal["kind"]
    facet.signals += 1
    if at_ms < facet.first_ms or not facet.first_ms:
        facet.first_ms = at_ms
    facet.per_channel[channel] = facet.per_channel.get(channel, 0) + 1
    note(facet, CODES[channel], at_ms)
    weights = advance(facet, at_ms)
    if is_activity(signal):
        _be_active(facet, channel, at_ms)
        sums = facet.faded.sums  # type: ignore[union-attr]  # advance has made it
        sums[SIGNALS_1D] += weights.w1
        sums[SIGNALS_7D] += weights.w7
        sums[SIGNALS_30D] += weights.w30
    summary = FOLDS[kind](facet, signal, at_ms, weights)
    _state_traits(facet, signal, at_ms)
    _remember(facet.timeline, Entry(at_ms, kind, signal["name"], channel, summary))
    return True


def remember_contact(facet: Facet, contact: Contact) -> None:
    """Add a decision to act to the contact history; what is due no more and oldest goes first when it is full.

    A customer of the control group gets nothing, so the contact counts as none there.
    """
    contacts = facet.contacts
    contacts.append(contact)
    contacts.sort(key=_newest_contact)
    if len(contacts) > MAX_CONTACTS:
        settled = next((i for i in range(len(contacts) - 1, -1, -1) if not contacts[i].reward_due_ms), -1)
        del contacts[settled]
    if contact.control:
        return
    facet.counts["contacts"] = facet.counts.get("contacts", 0) + 1
    weights = advance(facet, contact.at_ms)
    sums = facet.faded.sums  # type: ignore[union-attr]  # advance has made it
    sums[CONTACTS_7D] += weights.w7
    sums[CONTACTS_30D] += weights.w30


def _newest_contact(contact: Contact) -> tuple[int, str]:
    return -contact.at_ms, contact.action_id


def _be_active(facet: Facet, channel: str, at_ms: int) -> None:
    """Note activity: the two newest times, and the slot of the session."""
    if at_ms >= facet.last_ms:
        facet.before_ms, facet.last_ms = facet.last_ms, at_ms
    elif at_ms > facet.before_ms:
        facet.before_ms = at_ms
    slots, number = facet.slots, at_ms // SLOT_MS
    for position, slot in enumerate(slots):
        behind = slot.first_ms // SLOT_MS - number
        if behind == 0:
            _into_slot(slot, channel, at_ms)
            return
        if behind < 0:
            slots.insert(position, Slot(at_ms, at_ms, 1, channel))
            break
    else:
        slots.append(Slot(at_ms, at_ms, 1, channel))
    oldest = slots[0].first_ms // SLOT_MS - MAX_SLOTS
    while slots[-1].first_ms // SLOT_MS <= oldest:
        slots.pop()


def _into_slot(slot: Slot, channel: str, at_ms: int) -> None:
    slot.signals += 1
    if at_ms > slot.last_ms:
        slot.last_ms, slot.channel = at_ms, channel
    elif at_ms == slot.last_ms:
        slot.channel = min(slot.channel, channel)
    slot.first_ms = min(slot.first_ms, at_ms)


def _state_traits(facet: Facet, signal: Signal, at_ms: int) -> None:
    """Fold what the signal states of the customer, and what its circumstances do."""
    context = signal["context"]
    stated = signal.get("traits")
    if stated:
        for name, value in stated["values"].items():
            state_trait(facet, name, value, signal, at_ms)
    zone, locale = context.get("time_zone"), context.get("locale")
    if zone:
        state_trait(facet, "time_zone", zone, signal, at_ms)
    if locale:
        state_trait(facet, "locale", locale, signal, at_ms)


def _remember(timeline: list[Entry], entry: Entry) -> None:
    """Put a signal into the timeline: newest first, ties by content."""
    if not timeline or entry.at_ms > timeline[0].at_ms:
        timeline.insert(0, entry)
    else:
        timeline.append(entry)
        timeline.sort(key=newest_entry)
    del timeline[MAX_TIMELINE:]


def newest_entry(entry: Entry) -> tuple[int, str, str, str, str]:
    """Return the timeline's order: newest first, ties by content."""
    return -entry.at_ms, entry.kind, entry.name, entry.channel, entry.summary
