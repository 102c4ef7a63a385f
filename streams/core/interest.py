"""What a customer looked at, searched for and put into the cart."""

from schemas.views import Signal
from streams.core.facet_state import MAX_CART, MAX_RECENT, CartLine, Facet, Seen
from streams.core.fading import SEARCHES_7D, VIEWS_7D, Weights
from streams.core.tallies import MAX_TEXT, add, complain, count, oldest
from streams.core.vocabulary import role_of


def fold_behaviour(facet: Facet, signal: Signal, at_ms: int, weights: Weights) -> str:
    """Look, search, cart."""
    role = role_of(signal["name"])
    behaviour = signal.get("behaviour")
    if role == "" or behaviour is None:
        return ""
    if role == "clear":
        facet.cart_cleared_ms = max(facet.cart_cleared_ms, at_ms)
        drop_cleared(facet)
        return ""
    if role == "complaint":
        complain(facet, at_ms, weights)
        return ""
    if role == "search":
        query = (behaviour.get("query") or "")[:MAX_TEXT]
        count(facet, "searches")
        add(facet, SEARCHES_7D, weights.w7)
        if query:
            see(facet.searches, query, at_ms)
        return ""
    item = (behaviour.get("item_id") or "")[:MAX_TEXT]
    if role == "view":
        count(facet, "views")
        add(facet, VIEWS_7D, weights.w7)
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
        del facet.cart[oldest(facet.cart)]


def line_order(line: CartLine) -> tuple[int, int, int]:
    """Return the order in which lines win: newest, ties by what is smaller, so that taking out wins."""
    return line.at_ms, -line.quantity, -line.value_minor


def drop_cleared(facet: Facet) -> None:
    """Forget the lines from before the cart was emptied."""
    if facet.cart:
        cleared = facet.cart_cleared_ms
        facet.cart = {item: line for item, line in facet.cart.items() if line.at_ms > cleared}
