"""How customers take what reaches them: read or not, glad or annoyed, moved or not. Pure."""

from collections.abc import Callable
from random import Random
from typing import Any

from deploy.demo.doings import Doing, Received, Unsubscribe
from deploy.demo.people import DAY_MS, HOUR_MS, MINUTE_MS, Person
from deploy.demo.visits import context_of

Plan = Callable[[int, str, int, Any], None]

# Half of the pressure of messages is forgotten after a week.
PRESSURE_HALF_MS = 7 * DAY_MS
# Mean time until a message is read, by channel, hours.
DELAY_HOURS = {"email": 5.0, "sms": 0.7, "app": 1.5, "web": 0.05}
MARKETING = frozenset({"cart-reminder", "win-back", "cross-sell", "loyalty-offer"})

# How often a well-timed message that was read moves a fully receptive customer to come now.
MOVES = {"cart-reminder": 0.55, "win-back": 0.6, "cross-sell": 0.22, "loyalty-offer": 0.5, "save-script": 0.6,
         "apology": 0.5}  # fmt: skip
# What it adds to the probability of an order in that visit.
BOOSTS = {"cart-reminder": 0.5, "win-back": 0.5, "cross-sell": 0.4, "loyalty-offer": 0.4, "save-script": 0.45,
          "apology": 0.1}  # fmt: skip
# What it does to the mood.
MOODS = {"service-follow-up": 0.25, "apology": 0.5, "save-script": 0.4, "after-order-care": 0.15}

# Names of reading and clicking, by channel, in the vocabulary of Segment.
_EVENTS = {
    "email": ("Email Opened", "Email Link Clicked"),
    "sms": ("Message Opened", "Message Clicked"),
    "app": ("Promotion Viewed", "Promotion Clicked"),
    "web": ("Promotion Viewed", "Promotion Clicked"),
}


class Answers:
    """Turns messages into plans and doings.

    Parameters
    ----------
    rng : every draw
    plan : takes (when, what, person, about)
    """

    def __init__(self, rng: Random, plan: Plan) -> None:
        self._rng = rng
        self._plan = plan

    def receive(self, person: Person, message: Received, now_ms: int) -> None:
        """Take a message in; it is read later, if at all."""
        if message.channel in ("call-centre", "pos"):
            # An employee reads it at once and speaks to the customer, who is there.
            self._move(person, message, now_ms)
            return
        delay = self._rng.expovariate(1.0 / DELAY_HOURS.get(message.channel, 5.0)) * HOUR_MS
        self._plan(now_ms + int(delay), "answer", person.number, message)

    def answer(self, person: Person, message: Received, at_ms: int, unsubscribes: list[Unsubscribe]) -> list[Doing]:
        """Return what the customer does about a message at the moment of seeing it."""
        rng = self._rng
        if message.action in MARKETING:
            halves = (at_ms - person.pressure_at_ms) / PRESSURE_HALF_MS
            person.pressure = person.pressure * 0.5 ** max(0.0, halves) + 1.0
            person.pressure_at_ms = at_ms
            fed_up = self._fed_up(person, message, at_ms, unsubscribes)
            if fed_up:
                return fed_up
        if rng.random() > person.reads:
            return []
        opened, clicked = _EVENTS.get(message.channel, _EVENTS["email"])
        found = [_doing(person, message, at_ms, opened)]
        if message.action == "service-follow-up":
            return found + self._survey(person, at_ms)
        if self._move(person, message, at_ms):
            found.append(_doing(person, message, at_ms + MINUTE_MS, clicked))
        return found

    def _fed_up(self, person: Person, message: Received, at_ms: int, unsubscribes: list[Unsubscribe]) -> list[Doing]:
        """Return a complaint, or unsubscribe, when it is too much."""
        too_much = person.pressure - person.patience
        if message.channel == "web" or self._rng.random() > 0.004 + max(0.0, 0.06 * too_much):
            return []
        person.mind(-0.25)
        if message.unsubscribe and self._rng.random() < 0.8:
            person.unsubscribed.add(message.channel)
            unsubscribes.append(Unsubscribe(person.number, message.unsubscribe))
            return []
        return [_doing(person, message, at_ms, "Email Marked As Spam")] if message.channel == "email" else []

    def _survey(self, person: Person, at_ms: int) -> list[Doing]:
        person.mind(MOODS["service-follow-up"])
        if self._rng.random() > 0.55:
            return []
        score = min(5, max(1, round(3.2 + 1.6 * person.mood + self._rng.gauss(0, 0.7))))
        ids = {"user_id": person.user_id}
        answer = {"score": score, "scale_max": 5}
        when = at_ms + 3 * MINUTE_MS
        return [Doing(when, "email", "track", "CSAT Answered", ids, answer, {}, context_of(person))]

    def _move(self, person: Person, message: Received, at_ms: int) -> bool:
        """Let a message work; return whether it moved the customer to come."""
        rng, action = self._rng, message.action
        person.mind(MOODS.get(action, 0.0))
        if action == "after-order-care":
            person.cared_until_ms = at_ms + 10 * DAY_MS
            return rng.random() < 0.15
        if rng.random() > MOVES.get(action, 0.0) * (0.4 + person.receptive) * (1.0 + 0.3 * person.mood):
            return False
        person.boost = BOOSTS[action]
        if message.treatment in ("ten-percent", "voucher", "offer"):
            person.boost += 0.15  # money speaks
        days = 12 if action == "loyalty-offer" else 1.2
        person.boost_until_ms = at_ms + int(days * DAY_MS)
        soon = rng.expovariate(1.0 / (3.0 * DAY_MS)) if action == "loyalty-offer" else rng.uniform(5, 90) * MINUTE_MS
        self._plan(at_ms + int(soon), "come-back", person.number, 0)
        return True


def _doing(person: Person, message: Received, at_ms: int, event: str) -> Doing:
    properties = {"action_id": message.action_id, "action": message.action, "channel": message.channel}
    ids = {"user_id": person.user_id} if person.registered else {"anonymous_id": person.browsers[0]}
    channel = message.channel if message.channel in ("web", "app") else "email"
    if channel == "app":
        ids["anonymous_id"] = person.app or person.browsers[0]
    return Doing(at_ms, channel, "track", event, ids, properties, {}, context_of(person))
