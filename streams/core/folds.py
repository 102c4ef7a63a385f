"""How each kind of signal changes a facet. A fold returns what to remember of it in a few words.

The words of the summary are ours and the catalogue's (amounts, counts, items, reasons): never the customer's own.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from schemas.topics import ACTION_CHANNELS
from schemas.views import Service, Signal, Survey, Transaction
from streams.core.fading import (
    COMPLAINTS_30D,
    MOOD_30D,
    MOOD_WEIGHT_30D,
    ORDERS_30D,
    RESPONSES_30D,
    SEARCHES_7D,
    VIEWS_7D,
    Weights,
)
from streams.core.mood import mood_of
from streams.core.state import (
    MAX_CART,
    MAX_CURRENCIES,
    MAX_ORDER_TIMES,
    MAX_RECENT,
    MAX_TICKETS,
    MAX_TRAITS,
    CartLine,
    ConsentGiven,
    Facet,
    Purse,
    Seen,
    Ticket,
    Trait,
)
from streams.core.vocabulary import RESPONSES, TICKET_CLOSED, is_complaint_reason, role_of

# Words of mood at or below this are a complaint: one clearly negative word without a kind one.
COMPLAINT_MOOD = -0.5
# An answer in the lowest two fifths of the scale is a complaint: NPS 4 of 10, CSAT 2 of 5.
COMPLAINT_SHARE = 0.4
# What an agent can read at a glance, characters.
MAX_TEXT = 80
# An order at the till says nothing of the cart on the web.
CHANNELS_WITHOUT_CART = frozenset({"pos"})
# Best score where the source does not say.
SCALES: Mapping[str, float] = MappingProxyType({"nps": 10.0, "csat": 5.0, "ces": 7.0})
# Traits that rules read: never pushed out by whatever else a source states.
PROTECTED_TRAITS = frozenset(
    {"do_not_contact", "vip", "language", "locale", "time_zone", "name", "first_name", "last_name", "city", "country"}
)

Fold = Callable[[Facet, Signal, int, Weights], str]


def _count(facet: Facet, name: str) -> None:
    facet.counts[name] = facet.counts.get(name, 0) + 1


def _add(facet: Facet, position: int, amount: float) -> None:
    facet.faded.sums[position] += amount  # type: ignore[union-attr]  # facet.fold has made it


def _complain(facet: Facet, weights: Weights) -> None:
    _count(facet, "complaints")
    _add(facet, COMPLAINTS_30D, weights.w30)


def _feel(facet: Facet, mood: float, weights: Weights) -> None:
    _add(facet, MOOD_30D, mood * weights.w30)
    _add(facet, MOOD_WEIGHT_30D, weights.w30)


def fold_behaviour(facet: Facet, signal: Signal, at_ms: int, weights: Weights) -> str:
    """Look, search, cart."""
    role = role_of(signal["name"])
    behaviour = signal.get("behaviour")
    if role == "" or behaviour is None:
        return ""
    if role == "clear":
        facet.cart_cleared_ms = max(facet.cart_cleared_ms, at_ms)
        _drop_cleared(facet)
        return ""
    if role == "complaint":
        _complain(facet, weights)
        return ""
    if role == "search":
        query = (behaviour.get("query") or "")[:MAX_TEXT]
        _count(facet, "searches")
        _add(facet, SEARCHES_7D, weights.w7)
        if query:
            see(facet.searches, query, at_ms)
        return ""
    item = (behaviour.get("item_id") or "")[:MAX_TEXT]
    if role == "view":
        _count(facet, "views")
        _add(facet, VIEWS_7D, weights.w7)
        if item:
            see(facet.viewed, item, at_ms)
        return item
    if not item:
        return ""
    stated = behaviour.get("quantity")
    quantity = 1 if stated is None else stated
    if role == "remove" or quantity < 0:
        quantity = 0
    _put_line(facet, item, CartLine(quantity, behaviour.get("value_minor") or 0, at_ms))
    return f"{quantity} x {item}" if quantity else item


def see(seen: list[Seen], text: str, at_ms: int) -> None:
    """Put something into a list of what was seen last: each text once, with its newest time, newest first."""
    if seen and seen[0].text == text:
        seen[0].at_ms = max(seen[0].at_ms, at_ms)
        return
    for position, old in enumerate(seen):
        if old.text == text:
            if old.at_ms >= at_ms:
                return
            del seen[position]
            break
    if not seen or at_ms > seen[0].at_ms:
        seen.insert(0, Seen(at_ms, text))
    else:
        seen.append(Seen(at_ms, text))
        seen.sort(key=newest_seen)
    del seen[MAX_RECENT:]


def newest_seen(seen: Seen) -> tuple[int, str]:
    """Return the order of what was seen: newest first, ties by text."""
    return -seen.at_ms, seen.text


def _put_line(facet: Facet, item: str, line: CartLine) -> None:
    """Set a line to what the newest signal says of it."""
    if line.at_ms <= facet.cart_cleared_ms:
        return
    old = facet.cart.get(item)
    if old is None or line_order(line) > line_order(old):
        facet.cart[item] = line
    if len(facet.cart) > MAX_CART:
        del facet.cart[min(facet.cart, key=lambda name: (facet.cart[name].at_ms, name))]


def line_order(line: CartLine) -> tuple[int, int, int]:
    """Return the order in which lines win: newest, ties by what is smaller, so that taking out wins."""
    return line.at_ms, -line.quantity, -line.value_minor


def _drop_cleared(facet: Facet) -> None:
    if facet.cart:
        cleared = facet.cart_cleared_ms
        facet.cart = {item: line for item, line in facet.cart.items() if line.at_ms > cleared}


def fold_transaction(facet: Facet, signal: Signal, at_ms: int, weights: Weights) -> str:
    """Money and the rhythm of orders.

    A return and a refund both add to what came back: a source that states both for one parcel puts the amount on one.
    A payment only counts: its order has stated the amount.
    """
    transaction = signal.get("transaction")
    if transaction is None:
        return ""
    amount, what = transaction["amount_minor"], transaction["type"]
    if what == "payment":
        _count(facet, "payments")
        return f"{amount} {transaction['currency']}"
    purse = _purse(facet, transaction["currency"], at_ms)
    if what == "order":
        _count(facet, "orders")
        _add(facet, ORDERS_30D, weights.w30)
        purse.spent_minor += amount
        purse.margin_minor += transaction.get("margin_minor") or 0
        purse.orders += 1
        _note_order(facet, transaction, at_ms)
        if signal["channel"] not in CHANNELS_WITHOUT_CART:
            facet.cart_cleared_ms = max(facet.cart_cleared_ms, at_ms)
            _drop_cleared(facet)
        return f"{len(transaction['items'])} lines, {amount} {transaction['currency']}"
    _count(facet, "returns" if what == "return" else "refunds")
    purse.returned_minor += amount
    return f"{amount} {transaction['currency']}"


def _purse(facet: Facet, currency: str, at_ms: int) -> Purse:
    purse = facet.purses.get(currency)
    if purse is None:
        purse = facet.purses[currency] = Purse(at_ms=at_ms)
        if len(facet.purses) > MAX_CURRENCIES:
            others = [name for name in facet.purses if name != currency]
            del facet.purses[min(others, key=lambda name: (facet.purses[name].at_ms, name))]
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


def fold_message(facet: Facet, signal: Signal, at_ms: int, weights: Weights) -> str:  # noqa: ARG001 - a Fold
    """Words: their mood, and whether they complain."""
    message = signal.get("message")
    if message is None:
        return ""
    if message["direction"] != "inbound":
        _count(facet, "messages_out")
        return "outbound"
    _count(facet, "messages")
    mood = mood_of(f"{message.get('subject') or ''} {message.get('text') or ''}")
    if mood is not None:
        _feel(facet, mood, weights)
    if (mood is not None and mood <= COMPLAINT_MOOD) or role_of(signal["name"]) == "complaint":
        _complain(facet, weights)
    return "inbound" if mood is None else f"inbound, mood {mood:+.1f}"


def fold_survey(facet: Facet, signal: Signal, at_ms: int, weights: Weights) -> str:  # noqa: ARG001 - a Fold
    """Read an answer: the score's mood and that of its words count half each."""
    survey = signal.get("survey")
    if survey is None:
        return ""
    _count(facet, "surveys")
    said = mood_of(survey.get("text") or "")
    scored, low = _survey_mood(survey)
    moods = [mood for mood in (said, scored) if mood is not None]
    if moods:
        _feel(facet, sum(moods) / len(moods), weights)
    if low or (said is not None and said <= COMPLAINT_MOOD):
        _complain(facet, weights)
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
        _count(facet, "tickets")
    elif event == "call_started":
        _count(facet, "calls")
    if service.get("ticket_id"):
        _note_ticket(facet, service, reason, at_ms)
    text = service.get("text")
    mood = mood_of(text) if text else None
    if mood is not None:
        _feel(facet, mood, weights)
    begins = event in ("opened", "call_started")
    if begins and ((reason and is_complaint_reason(reason)) or (mood is not None and mood <= COMPLAINT_MOOD)):
        _complain(facet, weights)
    return f"{event}: {reason}" if reason else event


def _note_ticket(facet: Facet, service: Service, reason: str, at_ms: int) -> None:
    """Fold a ticket: the newest word on its state, its reason and its priority, each by itself."""
    name = (service.get("ticket_id") or "")[:MAX_TEXT]
    closed, priority = service["event"] in TICKET_CLOSED, (service.get("priority") or "")[:MAX_TEXT]
    ticket = Ticket(reason, priority, at_ms, at_ms, closed, at_ms if reason else 0, at_ms if priority else 0)
    old = facet.tickets.get(name)
    facet.tickets[name] = ticket if old is None else join_tickets(old, ticket)
    if len(facet.tickets) > MAX_TICKETS:
        del facet.tickets[min(facet.tickets, key=lambda key: (facet.tickets[key].at_ms, key))]


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


def note_consent(facet: Facet, key: str, given: ConsentGiven) -> None:
    """Put a word on consent (key "purpose|channel") into a facet: the newest wins, ties withdraw."""
    old = facet.consent.get(key)
    if old is None or consent_order(given) > consent_order(old):
        facet.consent[key] = given


def consent_order(given: ConsentGiven) -> tuple[int, bool, str, str]:
    """Return the order in which words on consent win: newest, ties withdraw."""
    return given.at_ms, not given.granted, given.source, given.proof


def fold_outcome(facet: Facet, signal: Signal, at_ms: int, weights: Weights) -> str:
    """Fold what came of an action. Who unsubscribes has withdrawn marketing there, who reports spam everywhere."""
    outcome = signal.get("outcome")
    if outcome is None:
        return ""
    event = outcome["event"]
    if event in RESPONSES:
        _count(facet, "responses")
        _add(facet, RESPONSES_30D, weights.w30)
    elif event in ("complained", "unsubscribed"):
        if event == "complained":
            _complain(facet, weights)
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


def state_trait(facet: Facet, name: str, value: str, source: str, at_ms: int) -> None:
    """Fold a trait: the newest wins, ties by source, then value."""
    traits = facet.traits
    old = traits.get(name)
    if old is None:
        traits[name] = Trait(value, source, at_ms)
        if len(traits) > MAX_TRAITS:
            del traits[min(traits, key=lambda key: (key in PROTECTED_TRAITS, traits[key].at_ms, key))]
    elif at_ms > old.at_ms or (at_ms == old.at_ms and (source, value) > (old.source, old.value)):
        old.value, old.source, old.at_ms = value, source, at_ms


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
