"""Customers, signals and small catalogues for the tests of deciding: real records, folded by the core itself."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from schemas.features import INDEX, INTENTS
from schemas.views import Signal
from streams.core.catalogue import Catalogue, Trigger
from streams.core.catalogue_check import read_catalogue
from streams.core.decide import Decided, decide
from streams.core.facet import new_facet
from streams.core.facet_state import ConsentGiven, Contact, Facet, Trait
from streams.core.features import vector
from streams.core.golden_record import merge
from streams.core.moment import Moment, Scores
from streams.core.state import Member, Root

NODE = bytes(range(16))
# 2026-09-21 12:00:00 UTC, a Monday at noon.
NOON_MS = 1_790_000_000_000 - 1_790_000_000_000 % 86_400_000 + 12 * 3_600_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

SCORES = Scores(0.6, dict.fromkeys(INTENTS, 0.2), {"churn": 3, "intent": 2, "propensity": 7})
WORDS = {"en": {"subject": "Hello", "body": "Hello"}}


def facet() -> Facet:
    """Return a facet of a customer who allows everything."""
    made = new_facet(NODE)
    made.first_ms = NOON_MS - 90 * DAY_MS
    made.consent["*|*"] = ConsentGiven(granted=True, at_ms=made.first_ms, source="test", proof="")
    return made


def root(*, traits: Mapping[str, str] | None = None, contacts: Sequence[Contact] = ()) -> Root:
    """Return a known customer with an e-mail address and a phone."""
    mine = facet()
    for name, value in (traits or {}).items():
        mine.traits[name] = Trait(value, "test", NOON_MS)
    mine.contacts = list(contacts)
    identifiers = {"user_id": "u1", "email": "sara@example.com", "phone": "+989123456789"}
    members = {
        bytes([number]) * 16: Member(kind, value, 1, "s") for number, (kind, value) in enumerate(identifiers.items(), 1)
    }
    members[NODE] = Member("crm_id", "c1", 1, "s")
    return Root(NODE, NOON_MS - 90 * DAY_MS, members=members, facets={NODE: mine})


def signal(kind: str = "behaviour", name: str = "product_added", channel: str = "web", **payload: Any) -> Signal:
    """Return a signal; a payload without an explicit one is empty."""
    made = {
        "id": payload.pop("id", "s1"),
        "kind": kind,
        "name": name,
        "channel": channel,
        "source": "test",
        "identifiers": [{"kind": "user_id", "value": "u1"}],
        "occurred_at_ms": NOON_MS,
        "received_at_ms": NOON_MS,
        "context": payload.pop("context", {}),
        kind: payload,
    }
    return cast("Signal", made)


def contact(action: str = "greet", *, at_ms: int = NOON_MS - HOUR_MS, **other: Any) -> Contact:
    """Return a marketing contact by e-mail with an open reward."""
    fields: dict[str, Any] = {
        "action_id": f"id-{action}-{at_ms}",
        "decision_id": "d1",
        "treatment": "t1",
        "channel": "email",
        "purpose": "marketing",
        "control": False,
        "outcome": "",
        "outcome_at_ms": 0,
        "reward_due_ms": at_ms + 2 * DAY_MS,
        "goal": "order",
        "features": b"\0\0\0\0" * len(INDEX),
        "propensity": 0.4,
        "predicted": 0.3,
        "version": 7,
    }
    return Contact(action=action, at_ms=at_ms, **(fields | other))


def action(id: str = "greet", **other: Any) -> dict[str, Any]:  # noqa: A002 - the catalogue's own word
    """Return an action as the catalogue's file holds it."""
    return {
        "id": id,
        "title": id,
        "purpose": "marketing",
        "triggers": ["added"],
        "value": 10,
        "goal": {"kind": "order", "within": "2d"},
        "treatments": [treatment()],
    } | other


def treatment(id: str = "t1", channel: str = "email", **other: Any) -> dict[str, Any]:  # noqa: A002 - as above
    """Return a treatment as the catalogue's file holds it."""
    return {"id": id, "channel": channel, "languages": WORDS} | other


def document(*actions: Mapping[str, Any], **other: Any) -> dict[str, Any]:
    """Return a catalogue's document with one trigger, ``added``."""
    return {
        "version": 1,
        "currency": "EUR",
        "triggers": {"added": {"kinds": ["behaviour"], "names": ["product_added"]}},
        "actions": list(actions) or [action()],
    } | other


def catalogue(*actions: Mapping[str, Any], **other: Any) -> Catalogue:
    """Return a catalogue, read as a file is (JSON is YAML)."""
    return read_catalogue(orjson.dumps(document(*actions, **other)).decode(), "test.yaml")


def sure(mean: float = 0.5, sd: float = 1e-6) -> Any:
    """Return a bandit that believes the same of every arm."""
    return lambda names, features: [(mean, sd)] * len(names)


def decided(
    of: Catalogue,
    customer: Root | None = None,
    *,
    upon: Signal | None = None,
    now_ms: int = NOON_MS,
    arms: Any = None,
    draw: float = 0.5,
    scores: Scores = SCORES,
    trigger: str = "added",
) -> Decided:
    """Decide; the trigger's condition is expected to hold."""
    found = considered(of, customer, upon=upon, now_ms=now_ms, arms=arms, draw=draw, scores=scores, trigger=trigger)
    assert found is not None
    return found


def considered(
    of: Catalogue,
    customer: Root | None = None,
    *,
    upon: Signal | None = None,
    now_ms: int = NOON_MS,
    arms: Any = None,
    draw: float = 0.5,
    scores: Scores = SCORES,
    trigger: str = "added",
) -> Decided | None:
    """Decide, or find that there is nothing to decide."""
    customer = customer or root()
    upon = upon or signal()
    record = merge(customer, now_ms)
    chosen: Trigger = of.triggers[trigger]
    moment = Moment(record, vector(record, upon), scores, upon)
    if not chosen.goes_off(moment):
        return None
    return decide(moment, chosen, root_node=customer.node, arms=arms or sure(), catalogue=of, draw=draw)


def reasons(of: Decided) -> dict[tuple[str, str], str]:
    """Return why each treatment fell."""
    return {(f["action"], f["treatment"]): f["reason"] for f in of.decision["filtered"]}
