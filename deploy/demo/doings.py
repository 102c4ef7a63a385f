"""What the shop's truth hands to the clients, and what it is handed: plain records, no I/O."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Doing(NamedTuple):
    """Something that a customer, or an employee about one, did.

    Parameters
    ----------
    at_ms : simulated time
    channel : web, app, email, call-centre or pos: it decides which client carries it
    call : track, page, screen or identify for the SDKs; the signal's kind for Kafka producers
    name : the event's or page's name
    ids : identifier kind to value
    properties, traits : as the SDK takes them, or the signal's payload
    context : locale, time zone
    """

    at_ms: int
    channel: str
    call: str
    name: str
    ids: Mapping[str, str]
    properties: Mapping[str, Any]
    traits: Mapping[str, str]
    context: Mapping[str, Any]


class Look(NamedTuple):
    """A page of web or app that was open until ``at_ms``; it shows the inbox."""

    at_ms: int
    person: int
    channel: str
    anonymous_id: str


class Unsubscribe(NamedTuple):
    """A customer presses the unsubscribe button of the mail program (RFC 8058)."""

    person: int
    url: str


class Received(NamedTuple):
    """A message that reached a customer.

    Parameters
    ----------
    action : as the customer or the employee understands it; empty when it says nothing to them
    unsubscribe : the link of its List-Unsubscribe header, or empty
    """

    person: int
    channel: str
    action: str
    treatment: str
    action_id: str
    unsubscribe: str
