"""What follows a contact: outcomes climb, goals settle rewards, time settles the rest, control is measured alike."""

from collections.abc import Sequence
from typing import Any

import pytest

from schemas import wire
from schemas.features import FEATURE_NAMES, FEATURE_SET
from schemas.views import Signal
from streams.core.attribution import NOTHING, ORDER, Attributed, goals_of, on_outcome, on_signal, on_time
from streams.core.decide import pack_features
from streams.core.facet_state import Contact
from streams.core.state import Root
from tests.unit.streams.core.deciding import DAY_MS, HOUR_MS, NODE, NOON_MS, contact, facet, root, signal

SENT_MS = NOON_MS - HOUR_MS
ORDERED = signal(
    "transaction", "order_completed", type="order", order_id="o1", amount_minor=1, currency="EUR", items=[]
)


def told(customer: Root, event: str, of: Contact, at_ms: int = NOON_MS) -> Attributed:
    """Report an outcome."""
    return on_outcome(
        customer, {"action_id": of.action_id, "event": event}, at_ms, source="smtp", signal_id=f"o-{event}"
    )


def one(**fields: Any) -> tuple[Root, Contact]:
    """Return a customer with one contact an hour ago, whose window is two days."""
    made = contact(at_ms=SENT_MS, **fields)
    return root(contacts=[made]), made


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (["delivered", "opened", "clicked", "converted"], "converted"),
        (["clicked", "opened", "delivered"], "clicked"),
        (["opened", "opened"], "opened"),
        (["opened", "failed"], "opened"),
        (["clicked", "bounced"], "clicked"),
        (["delivered", "bounced"], "bounced"),
        (["bounced", "delivered"], "bounced"),
        (["failed", "opened"], "failed"),
        (["complained", "clicked"], "complained"),
        (["clicked", "complained"], "complained"),
        (["unsubscribed", "complained"], "complained"),
        (["converted", "unsubscribed"], "unsubscribed"),
        (["nonsense", "opened"], "opened"),
    ],
)
def test_outcomes_only_climb(events: Sequence[str], expected: str) -> None:
    """Late and repeated events do no harm; a channel's failure says nothing of what was seen; a refusal stays."""
    customer, sent = one()
    for event in events:
        told(customer, event, sent)
    assert sent.outcome == expected


def test_order_of_events_does_not_matter_for_what_customers_do() -> None:
    """Every order of the customer's own events ends in the same outcome."""
    from itertools import permutations

    own = ["delivered", "opened", "clicked", "unsubscribed"]
    ends = set()
    for events in permutations(own):
        customer, sent = one()
        for event in events:
            told(customer, event, sent)
        ends.add(sent.outcome)
    assert ends == {"unsubscribed"}
    assert [*sorted(own, key=ORDER.__getitem__)] == own


def test_the_contact_is_found_in_any_facet() -> None:
    """After a merge the contact may lie in the other half's facet."""
    customer, _ = one()
    other = facet()
    other.node = b"o" * 16
    theirs = contact("theirs", at_ms=SENT_MS)
    other.contacts = [theirs]
    customer.facets[other.node] = other
    told(customer, "clicked", theirs)
    assert theirs.outcome == "clicked"
    assert len(on_signal(customer, ORDERED, NOON_MS).settled) == 2


def test_an_unknown_action_is_told() -> None:
    """An outcome of no contact of ours changes nothing and says so: the caller counts it."""
    customer, sent = one()
    found = on_outcome(customer, {"action_id": "x", "event": "opened"}, NOON_MS, source="s", signal_id="i")
    assert found.unknown
    assert sent.outcome == ""


def test_what_was_never_sent_has_no_outcome() -> None:
    """A forged outcome on a control contact changes nothing: it would bias the uplift."""
    customer, sent = one(control=True, features=b"")
    assert told(customer, "converted", sent) == NOTHING
    assert told(customer, "complained", sent) == NOTHING
    assert (sent.outcome, sent.reward_due_ms) == ("", SENT_MS + 2 * DAY_MS)


def test_unsubscribing_withdraws_and_settles() -> None:
    """The withdrawal is for the contact's purpose and channel, with its proof; the reward is 0 at once."""
    customer, sent = one()
    found = told(customer, "unsubscribed", sent)
    assert found.withdrawal is not None
    assert found.withdrawal.key == "marketing|email"
    assert not found.withdrawal.consent.granted
    assert (found.withdrawal.consent.at_ms, found.withdrawal.consent.proof) == (NOON_MS, "o-unsubscribed")
    assert [(s.reward, s.treated) for s in found.settled] == [(0, True)]
    assert found.examples[0]["reward"] == 0
    assert not found.silence


def test_a_complaint_silences_all_marketing() -> None:
    """A complaint about one channel is about all marketing."""
    customer, sent = one()
    found = told(customer, "complained", sent)
    assert found.withdrawal is not None
    assert found.withdrawal.key == "marketing|*"
    assert found.silence
    assert found.settled[0].reward == 0


@pytest.mark.parametrize(
    ("goal", "event", "reward"),
    [
        ("click", "clicked", 1), ("click", "opened", None), ("click", "converted", 1), ("reply", "replied", 1),
        ("reply", "clicked", None), ("order", "converted", 1), ("order", "clicked", None), ("calm", "clicked", None),
        ("calm", "complained", 0), ("survey", "dismissed", None),
    ],
)  # fmt: skip
def test_outcomes_that_are_the_goal(goal: str, event: str, reward: int | None) -> None:
    """A click is a goal only where a click is what was wanted."""
    customer, sent = one(goal=goal)
    assert [s.reward for s in told(customer, event, sent).settled] == ([] if reward is None else [reward])
    assert (sent.reward_due_ms == 0) == (reward is not None)


def test_an_outcome_after_the_window_settles_nothing() -> None:
    """What comes too late is the timer's, whichever of them is processed first."""
    customer, sent = one(goal="click")
    late = sent.reward_due_ms + 1
    assert told(customer, "clicked", sent, late).settled == ()
    assert [s.reward for s in on_time(customer, late).settled] == [0.0]


COMPLAINT = signal("service", "ticket_opened", "call-centre", event="opened", reason="damaged")


@pytest.mark.parametrize(
    ("of", "goals"),
    [
        (ORDERED, {"order"}),
        (signal("transaction", "returned", type="return", order_id="o"), set()),
        (signal("behaviour", "page_viewed"), {"session"}),
        (signal("behaviour", "complaint_submitted"), {"session"}),
        (signal("survey", "answered", survey="nps", score=9.0), {"survey"}),
        (signal("message", "received", direction="inbound"), {"reply"}),
        (signal("message", "sent", direction="outbound"), set()),
        (COMPLAINT, set()),
        (signal("traits", "stated", values={}), set()),
        (signal("outcome", "clicked", action_id="x", event="clicked"), set()),
    ],
)
def test_goals_of_a_signal(of: Signal, goals: set[str]) -> None:
    """Each kind of signal reaches the goals that it is."""
    assert goals_of(of) == goals


@pytest.mark.parametrize(
    ("at_ms", "expected"),
    [
        (SENT_MS - 1, []),
        (SENT_MS, []),
        (SENT_MS + 1, [1.0]),
        (SENT_MS + 2 * DAY_MS, [1.0]),
        (SENT_MS + 2 * DAY_MS + 1, []),
    ],
)
def test_the_window(at_ms: int, expected: list[float]) -> None:
    """Only what comes after the contact and within its window can follow from it."""
    customer, _ = one()
    assert [s.reward for s in on_signal(customer, ORDERED, at_ms).settled] == expected


def test_another_goal_is_not_reached() -> None:
    """An order does not answer a survey."""
    customer, sent = one(goal="survey")
    assert on_signal(customer, ORDERED, NOON_MS) == NOTHING
    assert sent.reward_due_ms


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (COMPLAINT, [0.0]),
        (signal("behaviour", "complaint_submitted"), [0.0]),
        (signal("survey", "answered", survey="csat", score=1.0, scale_max=5.0), [0.0]),
        (signal("survey", "answered", survey="csat", score=5.0, scale_max=5.0), []),
        (signal("service", "ticket_opened", event="opened", reason="size_question"), []),
        (signal("service", "ticket_closed", event="closed", reason="damaged"), []),
        (ORDERED, []),
    ],
)
def test_calm_ends_with_a_complaint(of: Signal, expected: list[float]) -> None:
    """Where the goal is that nothing goes wrong, a complaint of the customer's ends it."""
    customer, _ = one(goal="calm")
    assert [s.reward for s in on_signal(customer, of, NOON_MS).settled] == expected


def test_calm_succeeds_with_time() -> None:
    """No complaint within the window is the goal itself."""
    customer, sent = one(goal="calm")
    assert [s.reward for s in on_time(customer, sent.reward_due_ms + 1).settled] == [1.0]


def test_time_settles_once() -> None:
    """A window that has run out is 0, once; one that ends now is still open; the example is of its end."""
    customer, sent = one()
    due = sent.reward_due_ms
    assert on_time(customer, due) == NOTHING
    found = on_time(customer, due + 5 * DAY_MS)
    assert [(s.reward, s.treated) for s in found.settled] == [(0.0, True)]
    assert found.examples[0]["labelled_at_ms"] == due
    assert on_time(customer, due + 6 * DAY_MS) == NOTHING
    assert on_signal(customer, ORDERED, NOON_MS) == NOTHING
    assert (sent.features, sent.reward_due_ms) == (b"", 0)


def test_a_late_timer_and_a_late_signal_agree() -> None:
    """Whether the timer or the order after the window is processed first, the example is the same."""
    by_timer, sent = one()
    late = sent.reward_due_ms + 1
    first = on_time(by_timer, late).examples
    by_signal, _ = one()
    second = on_time(by_signal, late).examples + on_signal(by_signal, ORDERED, late).examples
    assert first == second


def test_the_example() -> None:
    """The bandit learns the arm, the features as they were, the reward, and what it had predicted."""
    vector = [n / 4 for n in range(len(FEATURE_NAMES))]
    customer, sent = one(features=pack_features(vector))
    (example,) = on_signal(customer, ORDERED, NOON_MS).examples
    assert example == {
        "id": f"{sent.action_id}.propensity",
        "model": "propensity",
        "arm": "greet/t1",
        "feature_set": FEATURE_SET,
        "features": vector,
        "label": "",
        "reward": 1.0,
        "propensity": 0.4,
        "predicted": {"p": 0.3},
        "predicted_version": 7,
        "scored_at_ms": SENT_MS,
        "labelled_at_ms": NOON_MS,
    }
    codec = wire.codec_of("example")
    assert codec.decode(codec.encode(example)) == example


def test_control_is_measured_and_teaches_nothing() -> None:
    """A control contact is an observation of uplift, not an example of the arm."""
    customer, _ = one(control=True, features=b"")
    found = on_signal(customer, ORDERED, NOON_MS)
    assert [(s.reward, s.treated) for s in found.settled] == [(1.0, False)]
    assert found.examples == ()


@pytest.mark.parametrize(("event", "examples"), [("failed", 0), ("expired", 0), ("bounced", 1), ("delivered", 1)])
def test_what_never_arrived_stays_in_the_uplift(event: str, examples: int) -> None:
    """A failed sending teaches nothing about its arm, but was meant as a treatment; a bounce is the arm's fault."""
    customer, sent = one()
    told(customer, event, sent)
    found = on_time(customer, sent.reward_due_ms + 1)
    assert [s.treated for s in found.settled] == [True]
    assert len(found.examples) == examples


def test_every_open_contact_is_asked() -> None:
    """Two contacts before one order: each was followed by its goal; a settled one is not asked again."""
    first, second, old = contact("a", at_ms=SENT_MS), contact("b", at_ms=SENT_MS - HOUR_MS), contact("c")
    old.reward_due_ms = 0
    customer = root(contacts=[first, second, old])
    found = on_signal(customer, ORDERED, NOON_MS)
    assert {s.contact.action for s in found.settled} == {"a", "b"}
    assert bool(found)
    assert not NOTHING
    assert customer.facets[NODE].contacts == [first, second, old]
