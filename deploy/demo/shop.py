"""The living shop: simulated time passes, customers do what they like, and answer what reaches them. Pure.

Customers buy till they die (of interest): while *keen* they come in a rhythm of their own; at each visit the interest
may begin to fade (*slipping*: rarer, shorter visits), and then end (*gone*). A good offer can bring back who is
slipping or gone, care repairs moods, and too many messages wear out patience. Nothing of this is told to Sada.

References
----------
Fader, Hardie and Lee 2005, "Counting Your Customers the Easy Way", Marketing Science 24: buying until inactive
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from deploy.demo import visits
from deploy.demo.answers import Answers
from deploy.demo.doings import Doing, Look, Received, Unsubscribe
from deploy.demo.people import DAY_MS, HOUR_MS, Person
from deploy.demo.visits import Scene

# Who is slipping comes so much more rarely, and is gone after so many visits.
SLOWER = 1.9
SLIPS = 2
# Visits of those who have bought before that begin with a review.
REVIEWS = 0.05
# Shape of the time between two visits: at 5 its deviation is 45 % of its mean.
REGULARITY = 5.0
# Mood fades towards neutral by so much at each visit.
MOOD_KEPT = 0.94


@dataclass(slots=True)
class Step:
    """What happened in one step of simulated time, in order of time."""

    doings: list[Doing] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    unsubscribes: list[Unsubscribe] = field(default_factory=list)


class Shop:
    """The shop and its customers.

    Parameters
    ----------
    people : of ``populate``
    rng : every draw
    """

    def __init__(self, people: Sequence[Person], rng: Random) -> None:
        self.people = people
        self._rng = rng
        # When, a number that keeps the order, what, and about what.
        self._plans: list[tuple[int, int, str, int, int | str | Received]] = []
        # Doings that lie in the future: a visit goes on beyond the step in which it began.
        self._later: list[tuple[int, int, Doing]] = []
        self._count = 0
        self._step = Step()
        self._answers = Answers(rng, self._plan)
        for person in people:
            self._plan(person.joins_at_ms, "visit", person.number, person.visit)

    def until(self, end_ms: int) -> Step:
        """Let time pass up to a moment and return what happened before it."""
        self._step = Step()
        while self._plans and self._plans[0][0] < end_ms:
            at_ms, _, what, number, about = heapq.heappop(self._plans)
            self._happen(at_ms, what, self.people[number], about)
        while self._later and self._later[0][0] < end_ms:
            self._step.doings.append(heapq.heappop(self._later)[2])
        return self._step

    def receive(self, message: Received, now_ms: int) -> None:
        """Hand a message to its customer, who answers in a while or not at all."""
        self._answers.receive(self.people[message.person], message, now_ms)

    def _plan(self, at_ms: int, what: str, number: int, about: int | str | Received) -> None:
        self._count += 1
        heapq.heappush(self._plans, (at_ms, self._count, what, number, about))

    def _do(self, doings: Sequence[Doing]) -> None:
        for doing in doings:
            self._count += 1
            heapq.heappush(self._later, (doing.at_ms, self._count, doing))

    def _happen(self, at_ms: int, what: str, person: Person, about: int | str | Received) -> None:
        if what == "visit":
            if about == person.visit:
                self._visit(person, at_ms)
        elif what == "trouble":
            self._trouble(person, at_ms)
        elif what == "resolve":
            self._do([visits.resolution(person, at_ms, str(about))])
        elif what == "come-back":
            self._come_back(person, at_ms)
        elif what == "answer" and isinstance(about, Received):
            self._do(self._answers.answer(person, about, at_ms, self._step.unsubscribes))

    def _visit(self, person: Person, at_ms: int) -> None:
        rng = self._rng
        person.mood *= MOOD_KEPT
        where = visits.place(person, rng)
        if where == "pos":
            if rng.random() < 0.55 + (0.3 if at_ms < person.boost_until_ms else 0.0):
                self._do([visits.till(person, rng, at_ms)])
                self._after_order(person, at_ms)
        else:
            anonymous_id = (person.app or "") if where == "app" else rng.choice(person.browsers)
            scene = Scene(person, rng, at_ms, where, anonymous_id)
            if person.orders and rng.random() < REVIEWS:
                visits.review(scene)
            if visits.browse(scene):
                self._after_order(person, scene.at_ms)
            self._do(scene.done)
            self._step.looks.append(Look(scene.at_ms, person.number, where, anonymous_id))
        self._age(person)
        if person.stage != "gone":
            self._plan_visit(person, at_ms)

    def _age(self, person: Person) -> None:
        """Let the interest fade, sooner in a bad mood."""
        if person.stage == "slipping":
            person.slips += 1
            if person.slips >= SLIPS:
                person.stage = "gone"
        elif self._rng.random() < person.hazard * (1.0 - 0.8 * person.mood):
            person.stage, person.slips = "slipping", 0

    def _plan_visit(self, person: Person, at_ms: int) -> None:
        rhythm = person.rhythm_days * (SLOWER if person.stage == "slipping" else 1.0)
        # Gamma: regular, but not a clock.
        wait = int(self._rng.gammavariate(REGULARITY, rhythm / REGULARITY) * DAY_MS)
        person.visit += 1
        again_ms = visits.by_day(person, self._rng, at_ms + max(wait, 3 * HOUR_MS))
        self._plan(again_ms, "visit", person.number, person.visit)

    def _come_back(self, person: Person, at_ms: int) -> None:
        """Visit now, brought by a message: who was slipping or gone is keen again, for a while at least."""
        if person.stage != "keen":
            person.stage, person.slips = "keen", 0
        person.visit += 1
        self._visit(person, at_ms)

    def _after_order(self, person: Person, at_ms: int) -> None:
        share = visits.TROUBLE
        if self._rng.random() < share:
            self._plan(at_ms + int(self._rng.uniform(1.5, 7) * DAY_MS), "trouble", person.number, 0)

    def _trouble(self, person: Person, at_ms: int) -> None:
        rng = self._rng
        if at_ms < person.cared_until_ms and rng.random() > visits.CARED_TROUBLE:
            return
        at_ms = visits.by_day(person, rng, at_ms)
        person.mind(-0.6)
        if rng.random() < 0.25:
            scene = Scene(person, rng, at_ms, "web", person.browsers[0])
            visits.returned(scene)
            self._do(scene.done)
            return
        doings = list(visits.trouble(person, rng, at_ms))
        self._do(doings)
        ticket = str(doings[0].properties["ticket_id"])
        self._plan(at_ms + int(rng.uniform(0.3, 3.0) * DAY_MS), "resolve", person.number, ticket)
