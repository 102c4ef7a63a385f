"""Event names and what they mean: the table that turns a tracked event into a kind of signal and its payload.

Names follow Segment's e-commerce, e-mail and support vocabularies, which RudderStack shares. What the table does not
know is behaviour under its own name in snake case. To teach Sada an event, add a row.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from connectors.inbound import payloads
from connectors.inbound.payloads import Build

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BREAKS = re.compile(r"[\W_]+")

# Distinct event names are dozens in a shop; the bound keeps a hostile sender from filling memory.
_NAMES_KEPT = 4_096


class Recipe(NamedTuple):
    """How an event becomes a signal: its kind, its name, and what builds the payload.

    Without the property that it ``needs`` the event is behaviour: an opened e-mail of another system has no action
    of ours.
    """

    kind: str
    name: str
    build: Build
    needs: str | None = None


_B = payloads.behaviour


def _rows(kind: str, needs: str | None = None, **builds: Build) -> dict[str, Recipe]:
    return {name: Recipe(kind, name, build, needs) for name, build in builds.items()}


EVENTS: Mapping[str, Recipe] = {
    **_rows(
        "transaction",
        order_completed=payloads.transaction("order"),
        order_placed=payloads.transaction("order"),
        purchase=payloads.transaction("order"),
        order_refunded=payloads.transaction("refund"),
        order_returned=payloads.transaction("return"),
        product_returned=payloads.transaction("return"),
        payment_completed=payloads.transaction("payment"),
        payment_received=payloads.transaction("payment"),
    ),
    **_rows("behaviour", product_removed=payloads.removed, product_added=_B, product_viewed=_B, products_searched=_B),
    **_rows(
        "service",
        ticket_opened=payloads.service("opened"),
        ticket_created=payloads.service("opened"),
        ticket_updated=payloads.service("updated"),
        ticket_resolved=payloads.service("resolved"),
        ticket_solved=payloads.service("resolved"),
        ticket_closed=payloads.service("closed"),
        call_started=payloads.service("call_started"),
        call_ended=payloads.service("call_ended"),
        call_completed=payloads.service("call_ended"),
    ),
    **_rows(
        "message",
        message_received=payloads.message("inbound"),
        email_received=payloads.message("inbound"),
        chat_message_received=payloads.message("inbound"),
        message_sent=payloads.message("outbound"),
    ),
    **_rows(
        "survey",
        survey_answered=payloads.survey("survey", None),
        survey_completed=payloads.survey("survey", None),
        nps_answered=payloads.survey("nps", 10.0),
        csat_answered=payloads.survey("csat", 5.0),
        ces_answered=payloads.survey("ces", 7.0),
        product_reviewed=payloads.survey("product_review", 5.0),
    ),
    **_rows(
        "consent",
        consent_updated=payloads.consent(granted=None),
        consent_granted=payloads.consent(granted=True),
        consent_given=payloads.consent(granted=True),
        consent_withdrawn=payloads.consent(granted=False),
        consent_revoked=payloads.consent(granted=False),
    ),
    **_rows(
        "outcome",
        "action_id",
        email_delivered=payloads.outcome("delivered"),
        email_opened=payloads.outcome("opened"),
        email_link_clicked=payloads.outcome("clicked"),
        email_bounced=payloads.outcome("bounced"),
        email_marked_as_spam=payloads.outcome("complained"),
        email_unsubscribed=payloads.outcome("unsubscribed"),
        unsubscribed=payloads.outcome("unsubscribed"),
        push_notification_received=payloads.outcome("delivered"),
        push_notification_tapped=payloads.outcome("clicked"),
        message_opened=payloads.outcome("opened"),
        message_clicked=payloads.outcome("clicked"),
        message_replied=payloads.outcome("replied"),
        promotion_viewed=payloads.outcome("opened"),
        promotion_clicked=payloads.outcome("clicked"),
        action_delivered=payloads.outcome("delivered"),
        action_opened=payloads.outcome("opened"),
        action_clicked=payloads.outcome("clicked"),
        action_dismissed=payloads.outcome("dismissed"),
        action_converted=payloads.outcome("converted"),
    ),
}


def snake(name: str) -> str:
    """Return an event's name in snake case, in any script, at most 100 characters; empty when nothing is left.

    Examples
    --------
    >>> snake("Product Viewed"), snake("orderCompleted"), snake("NPS Answered")
    ('product_viewed', 'order_completed', 'nps_answered')
    """
    return _BREAKS.sub("_", _CAMEL.sub("_", name[:200])).strip("_").casefold()[:100]


@lru_cache(_NAMES_KEPT)
def _recipe(event: str) -> Recipe:
    name = snake(event)
    return EVENTS.get(name) or Recipe("behaviour", name, _B)


def recipe_of(event: str, properties: Mapping[str, Any]) -> Recipe:
    """Return how an event becomes a signal; its name is empty when the event's name holds no letter or digit."""
    recipe = _recipe(event[:200])
    if recipe.needs is not None and not properties.get(recipe.needs):
        return Recipe("behaviour", recipe.name, _B)
    return recipe
