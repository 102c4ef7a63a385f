"""What followed a decision: outcomes on its contact, goals reached, windows run out, and the examples they teach.

Per signal at time t the agent calls ``on_time(root, t)`` (what had run out before), ``on_outcome`` when the signal is
an outcome, and ``on_signal``, all before it decides anew; on a timer ``on_time(root, stream_ms)``. Whether the timer
or a later signal comes first makes no difference.

A reward is 1 when the goal was reached within the window, 0 when it was not, and 0 at once when the customer
complained or unsubscribed because of the contact. There is no partial reward: p then stays what it says, the
probability of the goal. An event reaches every open contact whose window covers it (each decision is asked "was it
followed by its goal?", for treated and control alike; that is what uplift compares), not only the last one.

A contact that failed or expired was never seen: it teaches the bandit nothing about its arm, but stays in the uplift,
which compares what was *meant* to be treated (intention to treat): leaving failures out would bias it.
"""

import sys
from array import array
from typing import Literal, NamedTuple

from schemas.features import FEATURE_SET
from schemas.views import ExampleView, Outcome, Signal
from streams.core.decide import PROPENSITY
from streams.core.facet_state import ConsentGiven, Contact
from streams.core.labels import complains
from streams.core.state import Root
from streams.core.vocabulary import is_activity

# How far a contact has come. An event changes the outcome only upwards, so late and repeated ones do no harm; what
# ended it stays: a complaint is not undone by a late click.
ORDER: dict[str, int] = {
    "": 0,
    "delivered": 1,
    "opened": 2,
    "dismissed": 3,
    "clicked": 4,
    "replied": 5,
    "converted": 6,
    "expired": 7,
    "failed": 8,
    "bounced": 9,
    "unsubscribed": 10,
    "complained": 11,
}
# The channel's failures: they end a contact that nobody has seen, and say nothing about one that was opened.
_FAILURES = frozenset({"expired", "failed", "bounced"})
_SEEN = frozenset({"opened", "dismissed", "clicked", "replied", "converted"})
_REFUSALS = frozenset({"complained", "unsubscribed"})
# Never delivered through no fault of the arm; a bounce is the arm's: it chose an address that does not work.
_UNTAUGHT = frozenset({"expired", "failed"})
# Outcomes that are the goal themselves.
_GOAL_OUTCOMES = {"clicked": ("click",), "replied": ("reply", "click"), "converted": ("order", "click")}


class Settled(NamedTuple):
    """A reward that became known: one observation of uplift; ``treated`` is false for the control group."""

    contact: Contact
    reward: float
    treated: bool


class Withdrawal(NamedTuple):
    """A consent that an outcome withdrew: ``key`` is "purpose|channel", to be kept by the facet."""

    key: str
    consent: ConsentGiven


class Attributed(NamedTuple):
    """What an event came to. ``unknown`` is true when an outcome named no contact of this customer."""

    settled: tuple[Settled, ...] = ()
    examples: tuple[ExampleView, ...] = ()
    withdrawal: Withdrawal | None = None
    silence: bool = False
    unknown: bool = False

    def __bool__(self) -> bool:
        """Return whether the customer's state has something new of it."""
        return bool(self.settled or self.withdrawal or self.silence)


NOTHING = Attributed()


def on_outcome(root: Root, outcome: Outcome, at_ms: int, *, source: str, signal_id: str) -> Attributed:
    """Take in what a channel or the customer did about an action.

    Parameters
    ----------
    root : changed in place: the contact's outcome, its reward when it is settled
    outcome : the signal's payload
    at_ms : when it happened
    source, signal_id : where it came from, for the proof of a withdrawal

    Returns
    -------
    Attributed; the withdrawal of an unsubscription and ``silence`` after a complaint are the caller's to keep:
    a complaint withdraws marketing on every channel, an unsubscription on the contact's own
    """
    contact = _find(root, outcome["action_id"])
    if contact is None:
        return Attributed(unknown=True)
    event = outcome["event"]
    if event not in ORDER or contact.control:
        return NOTHING  # what was never sent has no outcome: such a signal is forged or mistaken
    if not (event in _FAILURES and contact.outcome in _SEEN) and ORDER[event] > ORDER[contact.outcome]:
        contact.outcome = event
        contact.outcome_at_ms = at_ms
        if event in _UNTAUGHT:
            contact.features = b""
    settled: tuple[Settled, ...] = ()
    examples: tuple[ExampleView, ...] = ()
    reward = _reward_of(contact, event, at_ms)
    if reward is not None:
        settled, examples = _settle([(contact, reward)], at_ms)
    withdrawal = None
    if event in _REFUSALS:
        key = "marketing|*" if event == "complained" else f"{contact.purpose}|{contact.channel}"
        withdrawal = Withdrawal(key, ConsentGiven(granted=False, at_ms=at_ms, source=source, proof=signal_id))
    return Attributed(settled, examples, withdrawal, silence=event == "complained")


def on_signal(root: Root, signal: Signal, at_ms: int) -> Attributed:
    """Settle the rewards of contacts whose goal a signal reaches, or ends.

    Parameters
    ----------
    root : changed in place
    signal : any; outcomes reach their own contact by ``on_outcome``
    at_ms : when it happened; before a contact it is no consequence of it
    """
    contacts = _open(root)
    if not contacts:
        return NOTHING
    reached = goals_of(signal)
    complaint: bool | None = None
    found: list[tuple[Contact, float]] = []
    for contact in contacts:
        if not contact.at_ms < at_ms <= contact.reward_due_ms:
            continue
        if contact.goal in reached:
            found.append((contact, 1.0))
        elif contact.goal == "calm":
            if complaint is None:  # reads the words of messages: asked only where a calm is awaited
                complaint = is_activity(signal) and complains(signal)
            if complaint:
                found.append((contact, 0.0))
    return Attributed(*_settle(found, at_ms)) if found else NOTHING


def on_time(root: Root, now_ms: int) -> Attributed:
    """Settle the rewards whose window has run out: 0, but 1 where the goal was calm.

    Parameters
    ----------
    root : changed in place
    now_ms : stream time; a window that ends now is still open
    """
    contacts = _open(root)
    if not contacts:
        return NOTHING
    settled: list[Settled] = []
    examples: list[ExampleView] = []
    for contact in contacts:
        if contact.reward_due_ms >= now_ms:
            continue
        reward = 1.0 if contact.goal == "calm" else 0.0
        one, example = _settle([(contact, reward)], contact.reward_due_ms)
        settled += one
        examples += example
    return Attributed(tuple(settled), tuple(examples)) if settled else NOTHING


_NO_GOALS: frozenset[str] = frozenset()
_ORDER = frozenset({"order"})
_REPLY = frozenset({"reply"})
_GOAL_OF_KIND = {"behaviour": frozenset({"session"}), "survey": frozenset({"survey"})}


def goals_of(signal: Signal) -> frozenset[str]:
    """Return the goals that a signal reaches: order, session, reply or survey."""
    transaction, message = signal.get("transaction"), signal.get("message")
    if transaction is not None:
        return _ORDER if transaction["type"] == "order" else _NO_GOALS
    if message is not None:
        return _REPLY if message["direction"] == "inbound" else _NO_GOALS
    return _GOAL_OF_KIND.get(signal["kind"], _NO_GOALS)


def _find(root: Root, action_id: str) -> Contact | None:
    for facet in root.facets.values():
        for contact in facet.contacts:
            if contact.action_id == action_id:
                return contact
    return None


def _open(root: Root) -> list[Contact]:
    """Return the contacts whose reward is not known yet: most customers have none."""
    found: list[Contact] = []
    for facet in root.facets.values():
        if facet.contacts:
            found += [contact for contact in facet.contacts if contact.reward_due_ms]
    return found


def _reward_of(contact: Contact, event: str, at_ms: int) -> Literal[0, 1] | None:
    """Return the reward that an outcome settles, None when it stays open or was settled."""
    if not contact.reward_due_ms or at_ms > contact.reward_due_ms:
        return None
    if event in _REFUSALS:
        return 0
    if contact.goal in _GOAL_OUTCOMES.get(event, ()):
        return 1
    return None


def _settle(found: list[tuple[Contact, float]], at_ms: int) -> tuple[tuple[Settled, ...], tuple[ExampleView, ...]]:
    """Close rewards: what is learned from them, and the features are dropped."""
    examples: list[ExampleView] = []
    settled: list[Settled] = []
    for contact, reward in found:
        if contact.features and not contact.control:
            examples.append(_example(contact, reward, at_ms))
        contact.reward_due_ms = 0
        contact.features = b""
        settled.append(Settled(contact, reward, not contact.control))
    return tuple(settled), tuple(examples)


def unpack_features(packed: bytes) -> list[float]:
    """Return features from float32, little-endian."""
    vector = array("f")
    vector.frombytes(packed)
    if sys.byteorder == "big":
        vector.byteswap()
    return vector.tolist()


def _example(contact: Contact, reward: float, at_ms: int) -> ExampleView:
    return {
        "id": f"{contact.action_id}.{PROPENSITY}",
        "model": PROPENSITY,
        "arm": f"{contact.action}/{contact.treatment}",
        "feature_set": FEATURE_SET,
        "features": unpack_features(contact.features),
        "label": "",
        "reward": reward,
        "propensity": contact.propensity,
        "predicted": {"p": contact.predicted},
        "predicted_version": contact.version,
        "scored_at_ms": contact.at_ms,
        "labelled_at_ms": at_ms,
    }
