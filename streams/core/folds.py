"""How each kind of signal changes a facet. A fold returns what to remember of it in a few words.

The words of the summary are ours and the catalogue's (amounts, counts, items, reasons): never the customer's own.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from schemas.money import spoken
from schemas.topics import ACTION_CHANNELS
from schemas.views import Service, Signal, Survey, Transaction
from streams.core.consent import note_consent
from streams.core.facet_state import (
    MAX_CURRENCIES,
    MAX_ORDER_TIMES,
    MAX_TICKETS,
    MAX_TRAITS,
    ConsentGiven,
    Facet,
    Purse,
    Ticket,
    Trait,
)
from streams.core.fading import ORDERS_30D, RESPONSES_30D, Weights
from streams.core.interest import drop_cleared, fold_behaviour
from streams.core.mood import mood_of
from streams.core.survival import shortened, state
from streams.core.tallies import MAX_TEXT, add, complain, count, count_at, feel, oldest
from streams.core.vocabulary import RESPONSES, TICKET_CLOSED, is_complaint_reason, role_of
from streams.core.windows import forget_currency, spend

# Words of mood at or below this are a complaint: one clearly negative word without a kind one.
COMPLAINT_MOOD = -0.5
# An answer in the lowest two fifths of the scale is a complaint: NPS 4 of 10, CSAT 2 of 5.
COMPLAINT_SHARE = 0.4
# An order at the till says nothing of the cart on the web.
CHANNELS_WITHOUT_CART = frozenset({"pos"})
# Best score where the source does not say.
SCALES: Mapping[str, float] = MappingProxyType({"nps": 10.0, "csat": 5.0, "ces": 7.0})
# Traits that rules read: never pushed out by whatever else a source states.
PROTECTED_TRAITS = frozenset(
    {
        "do_not_contact",
        "bereaved",
        "vip",
        "language",
        "locale",
        "time_zone",
        "name",
        "first_name",
        "last_name",
        "city",
        "country",
    }
)

Fold = Callable[[Facet, Signal, int, Weights], str]


def fold_transaction(facet: Facet, signal: Signal, at_ms: int, weights: Weights) -> str:
    """Money and the rhythm of orders.

    A return and a refund both add to what came back: a source that states both for one parcel puts the amount on one.
    A payment only counts: its order has stated the amount.
    """
    transaction = signal.get("transaction")
    if transaction is None:
        return ""
    amount, what = transaction["amount_minor"], transaction["type"]
    money = spoken(amount, transaction["currency"])
    if what == "payment":
        count(facet, "payments")
        return money
    purse = _purse(facet, transaction["currency"], at_ms)
    if what == "order":
        count_at(facet, "orders", at_ms)
        add(facet, ORDERS_30D, weights.w30)
        purse.spent_minor += amount
        spend(facet, transaction["currency"], amount, at_ms)
        purse.margin_minor += transaction.get("margin_minor") or 0
        purse.orders += 1
        _note_order(facet, transaction, at_ms)
        if signal["channel"] not in CHANNELS_WITHOUT_CART:
            facet.cart_cleared_ms = max(facet.cart_cleared_ms, at_ms)
            drop_cleared(facet)
        return money if not transaction["items"] else f"{money} ({len(transaction['items'])} x)"
    if what == "return":
        count_at(facet, "returns", at_ms)
    else:
        count(facet, "refunds")
    purse.returned_minor += amount
    return money


def _purse(facet: Facet, currency: str, at_ms: int) -> Purse:
    purse = facet.purses.get(currency)
    if purse is None:
        purse = facet.purses[currency] = Purse(at_ms=at_ms)
        if len(facet.purses) > MAX_CURRENCIES:
            others = [name for name in facet.purses if name != currency]
            oldest = min(others, key=lambda name: (facet.purses[name].at_ms, name))
            del facet.purses[oldest]
            forget_currency(facet, oldest)
    purse.at_ms = max(purse.at_ms, at_ms)
    return purse


def _note_order(facet: Facet, order: Transaction, at_ms: int) -> None:
    times, lines = facet.order_times_ms, len(order["items"])
    if not times or at_ms > times[0]:
        facet.last_order_items = lines
        times.insert(0, at_ms)
    else:
        if at_ms == times[0]:
            facet.last_order_items = max(facet.last_order_items, lines)
        times.append(at_ms)
        times.sort(reverse=True)
    del times[MAX_ORDER_TIMES:]
    if at_ms < facet.first_order_ms or not facet.first_order_ms:
        facet.first_order_ms = at_ms


def fold_message(facet: Facet, signal: Signal, at_ms: int, weights: Weights) -> str:
    """Words: their mood, and whether they complain."""
    message = signal.get("message")
    if message is None:
        return ""
    if message["direction"] != "inbound":
        count(facet, "messages_out")
        return "outbound"
    count_at(facet, "messages", at_ms)
    mood = mood_of(f"{message.get('subject') or ''} {message.get('text') or ''}")
    if mood is not None:
        feel(facet, mood, weights)
    if (mood is not None and mood <= COMPLAINT_MOOD) or role_of(signal["name"]) == "complaint":
        complain(facet, at_ms, weights)
    return "inbound" if mood is None else f"inbound, mood {mood:+.1f}"


def fold_survey(facet: Facet, signal: Signal, at_ms: int, weights: Weights) -> str:
    """Read an answer: the score's mood and that of its words count half each."""
    survey = signal.get("survey")
    if survey is None:
        return ""
    count(facet, "surveys")
    said = mood_of(survey.get("text") or "")
    scored, low = _survey_mood(survey)
    moods = [mood for mood in (said, scored) if mood is not None]
    if moods:
        feel(facet, sum(moods) / len(moods), weights)
    if low or (said is not None and said <= COMPLAINT_MOOD):
        complain(facet, at_ms, weights)
    score, scale = survey.get("score"), _scale(survey)
    if score is None:
        return survey["survey"][:MAX_TEXT]
    return f"{survey['survey'][:MAX_TEXT]} {score:g}" + (f" of {scale:g}" if scale else "")


def _scale(survey: Survey) -> float | None:
    return survey.get("scale_max") or SCALES.get(survey["survey"].lower())


def _survey_mood(survey: Survey) -> tuple[float | None, bool]:
    """Return the mood of a score, None where there is no scale, and whether it is a complaint.

    NPS is read as its inventors do (9 and 10 promote, 0 to 6 detract): (score - 7.5) / 2.5, cut to [-1, 1].
    """
    score, scale = survey.get("score"), _scale(survey)
    if score is None or not scale:
        return None, False
    mood = (score - 7.5) / 2.5 if survey["survey"].lower() == "nps" and scale == 10 else 2.0 * score / scale - 1.0
    return min(1.0, max(-1.0, mood)), score <= COMPLAINT_SHARE * scale


def fold_service(facet: Facet, signal: Signal, at_ms: int, weights: Weights) -> str:
    """Tickets and calls."""
    service = signal.get("service")
    if service is None:
        return ""
    event, reason = service["event"], (service.get("reason") or "")[:MAX_TEXT]
    if event == "opened":
        count(facet, "tickets")
    elif event == "call_started":
        count_at(facet, "calls", at_ms)
    if service.get("ticket_id"):
        _note_ticket(facet, service, reason, at_ms)
    text = service.get("text")
    mood = mood_of(text) if text else None
    if mood is not None:
        feel(facet, mood, weights)
    begins = event in ("opened", "call_started")
    if begins and ((reason and is_complaint_reason(reason)) or (mood is not None and mood <= COMPLAINT_MOOD)):
        complain(facet, at_ms, weights)
    return f"{event}: {reason}" if reason else event


def _note_ticket(facet: Facet, service: Service, reason: str, at_ms: int) -> None:
    """Fold a ticket: the newest word on its state, its reason and its priority, each by itself."""
    name = (service.get("ticket_id") or "")[:MAX_TEXT]
    closed, priority = service["event"] in TICKET_CLOSED, (service.get("priority") or "")[:MAX_TEXT]
    ticket = Ticket(reason, priority, at_ms, at_ms, closed, at_ms if reason else 0, at_ms if priority else 0)
    old = facet.tickets.get(name)
    facet.tickets[name] = ticket if old is None else join_tickets(old, ticket)
    if len(facet.tickets) > MAX_TICKETS:
        del facet.tickets[oldest(facet.tickets)]


def join_tickets(one: Ticket, other: Ticket) -> Ticket:
    """Return what two records of one ticket come to: opened by the oldest, each part by its newest word."""
    at_ms, closed = max((one.at_ms, one.closed), (other.at_ms, other.closed))
    reason_at, reason = max((one.reason_at_ms, one.reason), (other.reason_at_ms, other.reason))
    priority_at, priority = max((one.priority_at_ms, one.priority), (other.priority_at_ms, other.priority))
    opened = min(one.opened_at_ms, other.opened_at_ms)
    return Ticket(reason, priority, opened, at_ms, closed, reason_at, priority_at)


def fold_consent(facet: Facet, signal: Signal, at_ms: int, weights: Weights) -> str:  # noqa: ARG001 - a Fold
    """Fold a consent: the newest word on a purpose and a channel wins, ties withdraw."""
    consent = signal.get("consent")
    if consent is None:
        return ""
    given = ConsentGiven(consent["granted"], at_ms, signal["source"], (consent.get("proof") or "")[:MAX_TEXT])
    note_consent(facet, f"{consent['purpose']}|{consent['channel']}", given)
    return f"{'granted' if consent['granted'] else 'withdrawn'}: {consent['purpose']} on {consent['channel']}"


def fold_outcome(facet: Facet, signal: Signal, at_ms: int, weights: Weights) -> str:
    """Fold what came of an action. Who unsubscribes has withdrawn marketing there, who reports spam everywhere."""
    outcome = signal.get("outcome")
    if outcome is None:
        return ""
    event = outcome["event"]
    if event in RESPONSES:
        count(facet, "responses")
        add(facet, RESPONSES_30D, weights.w30)
    elif event in ("complained", "unsubscribed"):
        if event == "complained":
            complain(facet, at_ms, weights)
        carrier = outcome.get("delivered_on")
        channel = carrier if event == "unsubscribed" and carrier in ACTION_CHANNELS else "*"
        proof = f"action {outcome['action_id']}"[:MAX_TEXT]
        note_consent(facet, f"marketing|{channel}", ConsentGiven(False, at_ms, signal["source"], proof))
    action = (outcome.get("action") or "")[:MAX_TEXT]
    return f"{event}: {action}" if action else event


def fold_traits(facet: Facet, signal: Signal, at_ms: int, weights: Weights) -> str:  # noqa: ARG001 - a Fold
    """Traits accompany any kind: facet.fold folds them; here only their number is told."""
    stated = signal.get("traits")
    return f"{len(stated['values'])} traits" if stated else ""


def state_trait(facet: Facet, name: str, value: str, signal: Signal, at_ms: int) -> None:
    """Fold a statement on a trait: the newest wins, ties by source, then value; the others are remembered."""
    traits = facet.traits
    old = traits.get(name)
    if old is None:
        traits[name] = Trait(shortened(value), signal["source"], at_ms, signal["id"])
        if len(traits) > MAX_TRAITS:
            del traits[oldest(traits, PROTECTED_TRAITS)]
    else:
        traits[name] = state(old, shortened(value), signal["source"], at_ms, signal["id"])


FOLDS: Mapping[str, Fold] = MappingProxyType(
    {
        "behaviour": fold_behaviour,
        "transaction": fold_transaction,
        "message": fold_message,
        "survey": fold_survey,
        "service": fold_service,
        "consent": fold_consent,
        "outcome": fold_outcome,
        "traits": fold_traits,
    }
)
