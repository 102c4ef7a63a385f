"""Every filter takes out what it must, says so, and lets through what it may: consent, caps, cooldowns, quiet hours."""

from typing import Any

import pytest

from streams.core.eligibility import REASONS, hold_reason
from streams.core.facet_state import ConsentGiven, Facet
from streams.core.quiet import minute_of_day, zone
from streams.core.state import Member, Root
from tests.unit.streams.core.deciding import (
    DAY_MS,
    HOUR_MS,
    NODE,
    NOON_MS,
    action,
    catalogue,
    contact,
    decided,
    facet,
    reasons,
    root,
    signal,
    treatment,
)

CAPS = {"caps": {"total": {"day": 2, "week": 3}, "channels": {"email": {"day": 1}}}}
ONE = ("greet", "t1")


def reason(of: Any, customer: Root | None = None, **other: Any) -> str | None:
    """Return why the one treatment fell, None when it stayed; the hold tells the same."""
    made = decided(of, customer, **other)
    found = reasons(made).get(ONE)
    if found is not None:
        assert made.decision["hold"] == found
        assert made.action is None
        assert made.decision["propensity"] == 1.0
    return found


def without(*kinds: str) -> Root:
    """Return a customer without identifiers of some kinds."""
    customer = root()
    customer.members = {node: m for node, m in customer.members.items() if m.kind not in kinds}
    return customer


def consenting(words: dict[str, bool]) -> Root:
    """Return a customer who said just this."""
    customer = root()
    customer.facets[NODE].consent = {
        key: ConsentGiven(granted=granted, at_ms=NOON_MS - DAY_MS, source="test", proof="")
        for key, granted in words.items()
    }
    return customer


def test_nothing_bars() -> None:
    """The plain customer is sent the plain action."""
    made = decided(catalogue())
    assert made.action is not None
    assert made.action["address"] == "sara@example.com"
    assert made.decision["filtered"] == []


@pytest.mark.parametrize("which", ["eligibility", "applicability", "suitability"])
def test_conditions_name_themselves(which: str) -> None:
    """Which of an action's conditions failed is told; the whole action falls."""
    made = decided(catalogue(action(**{which: "record.counts.orders > 3"})))
    assert reasons(made) == {("greet", ""): which}
    assert made.decision["hold"] == "no-eligible-action"


def test_a_condition_that_cannot_be_told_is_false() -> None:
    """A missing trait takes out its action, not its neighbours, and not the batch."""
    made = decided(catalogue(action(eligibility='record.traits.city == "Rey"'), action("other")))
    assert reasons(made) == {("greet", ""): "condition-error"}
    assert made.decision["action"] == "other"


@pytest.mark.parametrize(
    ("words", "purpose", "expected"),
    [
        ({}, "marketing", "no-consent"),
        ({}, "service", None),
        ({"marketing|email": True}, "marketing", None),
        ({"marketing|sms": True}, "marketing", "no-consent"),
        ({"marketing|*": True, "marketing|email": False}, "marketing", "no-consent"),
        ({"service|email": False}, "service", "no-consent"),
    ],
)
def test_consent(words: dict[str, bool], purpose: str, expected: str | None) -> None:
    """Consent is asked per purpose and channel."""
    assert reason(catalogue(action(purpose=purpose)), consenting(words)) == expected


@pytest.mark.parametrize(
    ("channel", "missing", "expected"),
    [
        ("email", "email", "no-address"),
        ("sms", "phone", "no-address"),
        ("whatsapp", "phone", "no-address"),
        ("web", "email", None),
        ("call-centre", "phone", None),
    ],
)
def test_address(channel: str, missing: str, expected: str | None) -> None:
    """Where a channel needs an address the customer must have one."""
    of = catalogue(action(treatments=[treatment(channel=channel)]))
    assert reason(of, without(missing)) == expected
    assert reason(of) is None


def test_the_newest_address_is_used() -> None:
    """A customer who changed the e-mail address gets it there."""
    customer = root()
    customer.members[b"n" * 16] = Member("email", "new@example.com", 99, "s")
    sent = decided(catalogue(), customer).action
    assert sent is not None
    assert sent["address"] == "new@example.com"


def test_a_webhook_goes_where_the_catalogue_says() -> None:
    """The name of a webhook stands in the catalogue."""
    sent = decided(catalogue(action(treatments=[treatment(channel="webhook", address="crm-hook")]))).action
    assert sent is not None
    assert sent["address"] == "crm-hook"


def test_do_not_contact_bars_all() -> None:
    """Who wants no contact gets none, whatever the purpose."""
    for purpose in ("marketing", "service"):
        assert reason(catalogue(action(purpose=purpose)), root(traits={"do_not_contact": "yes"})) == "do-not-contact"


def test_a_complaint_silences_marketing_only() -> None:
    """After a complaint about a contact there is no marketing for the silence, but an apology may go."""
    complained = contact("other", outcome="complained", outcome_at_ms=NOON_MS - 13 * DAY_MS)
    assert reason(catalogue(), root(contacts=[complained])) == "complaint"
    assert reason(catalogue(action(purpose="service")), root(contacts=[complained])) is None
    complained.outcome_at_ms = NOON_MS - 15 * DAY_MS
    assert reason(catalogue(), root(contacts=[complained])) is None


def test_a_bounced_channel_rests() -> None:
    """An address that bounced is left alone on its channel for a month."""
    bounced = contact("other", outcome="bounced", outcome_at_ms=NOON_MS - 29 * DAY_MS)
    assert reason(catalogue(), root(contacts=[bounced])) == "bounced"
    assert reason(catalogue(action(treatments=[treatment(channel="web")])), root(contacts=[bounced])) is None
    bounced.outcome_at_ms = NOON_MS - 31 * DAY_MS
    assert reason(catalogue(), root(contacts=[bounced])) is None


@pytest.mark.parametrize(
    ("contacts", "expected"),
    [
        ([], None),
        ([contact("a", channel="email", at_ms=NOON_MS - HOUR_MS)], "capped"),
        ([contact("a", channel="email", at_ms=NOON_MS - DAY_MS)], None),
        ([contact("a", channel="web", at_ms=NOON_MS - HOUR_MS)], None),
        ([contact(x, channel="web", at_ms=NOON_MS - HOUR_MS) for x in "ab"], "capped"),
        ([contact(x, channel="web", at_ms=NOON_MS - 2 * DAY_MS) for x in "ab"], None),
        ([contact(x, channel="web", at_ms=NOON_MS - 2 * DAY_MS) for x in "abc"], "capped"),
        ([contact(x, channel="web", at_ms=NOON_MS - 7 * DAY_MS) for x in "abc"], None),
        ([contact("a", purpose="service")], None),
        ([contact("a", outcome="failed")], None),
        ([contact("a", outcome="expired")], None),
        ([contact("a", control=True)], None),
    ],
)
def test_caps(contacts: list[Any], expected: str | None) -> None:
    """Caps count what reached the customer for capped purposes, per channel and in total, per day and week."""
    assert reason(catalogue(policy=CAPS), root(contacts=contacts)) == expected
    assert reason(catalogue(action(purpose="service"), policy=CAPS), root(contacts=contacts)) is None


def test_caps_hold_after_a_merge() -> None:
    """Two halves of one customer have had one contact each: together that is two."""
    customer = root(contacts=[contact("a", channel="web")])
    other: Facet = facet()
    other.node = b"o" * 16
    other.contacts = [contact("b", channel="app")]
    assert reason(catalogue(policy=CAPS), customer) is None
    customer.facets[other.node] = other
    assert reason(catalogue(policy=CAPS), customer) == "capped"


def test_the_control_group_is_held_to_the_same_rhythm() -> None:
    """A control customer's would-be contacts cap and cool down: both groups are measured at the same moments."""
    everybody = {"control": {"share": 0.5, "salt": "s"}, **CAPS}
    of = catalogue(policy=everybody)
    customer = root(contacts=[contact("a", control=True)])
    for number in range(64):  # a node of each group is among them
        node = bytes([number]) * 16
        customer.node = node
        made = decided(of, customer)
        assert (reasons(made).get(ONE) == "capped") == made.decision["control"]


@pytest.mark.parametrize(("ago_ms", "expected"), [(3 * DAY_MS - 1, "cooldown"), (3 * DAY_MS, None)])
def test_cooldown(ago_ms: int, expected: str | None) -> None:
    """The same action waits for its cooldown, whatever became of the last one; another does not."""
    for outcome in ("", "failed", "bounced"):
        of = catalogue(action(treatments=[treatment(channel="web")]))
        past = contact("greet", at_ms=NOON_MS - ago_ms, outcome=outcome)
        assert reason(of, root(contacts=[past])) == expected
        past.action = "another"
        assert reason(of, root(contacts=[past])) is None


QUIET = {"quiet_hours": {"email": {"from": "21:00", "to": "08:00"}}}


@pytest.mark.parametrize(
    ("time_zone", "hour", "expected"),
    [
        ("UTC", 20, None),
        ("UTC", 21, "quiet-hours"),
        ("UTC", 7, "quiet-hours"),
        ("UTC", 8, None),
        ("Asia/Tehran", 17, None),  # 20:30 there
        ("Asia/Tehran", 18, "quiet-hours"),  # 21:30 there
        ("America/New_York", 3, "quiet-hours"),  # 23:00 there
        ("America/New_York", 12, None),  # 08:00 there, summer time
        ("Mars/Olympus", 12, None),  # the default zone, Berlin: 14:00
        ("../../etc/passwd", 19, "quiet-hours"),  # Berlin: 21:00
    ],
)
def test_quiet_hours_in_the_customers_zone(time_zone: str, hour: int, expected: str | None) -> None:
    """It is quiet when it is night where the customer lives; an unknown zone is the default's."""
    of = catalogue(policy=QUIET, defaults={"time_zone": "Europe/Berlin"})
    at = NOON_MS + (hour - 12) * HOUR_MS
    assert reason(of, root(traits={"time_zone": time_zone}), now_ms=at) == expected


def test_quiet_hours_by_the_browsers_zone() -> None:
    """Who stated no zone is where the browser says."""
    of = catalogue(policy=QUIET)
    night = signal(context={"time_zone": "Pacific/Auckland"})  # 00:00 there
    assert reason(of, upon=night) == "quiet-hours"
    assert reason(of, root(traits={"time_zone": "UTC"}), upon=night) is None


def test_quiet_hours_are_the_channels() -> None:
    """A page that the customer looks at is never quiet."""
    of = catalogue(action(treatments=[treatment(channel="web")]), policy=QUIET)
    assert reason(of, now_ms=NOON_MS + 12 * HOUR_MS) is None


def test_quiet_hours_follow_summer_time() -> None:
    """The same instant of the day lies an hour later in summer."""
    january = NOON_MS - 260 * DAY_MS
    assert minute_of_day(january, "Europe/Berlin", "UTC") == 13 * 60
    assert minute_of_day(NOON_MS, "Europe/Berlin", "UTC") == 14 * 60


@pytest.mark.parametrize("now_ms", [-(10**15), 0, 10**17, 2**62])
def test_wild_clocks_are_survived(now_ms: int) -> None:
    """A stream time far off is some minute of some day, not an exception."""
    assert 0 <= minute_of_day(now_ms, "Asia/Tehran", "UTC") < 1440


@pytest.mark.parametrize("name", ["", "a" * 200, "/etc/passwd", "..", "Asia", "America", "Ünix", "A\0B", "zone.tab"])
def test_what_is_no_zone(name: str) -> None:
    """Traits are written by anybody: a name is a zone or nothing."""
    assert zone(name) is None


def test_an_ended_action_falls() -> None:
    """An action with an end is not done after it."""
    ends = "2026-09-21T12:00:00Z"
    of = catalogue(action(until=ends))
    noon = 1_789_992_000_000
    assert reason(of, now_ms=noon - 1) is None
    assert reason(of, now_ms=noon) == "expired"


def test_each_treatment_falls_by_its_own_rule() -> None:
    """A decision shows for every treatment why it could not be; the hold names the furthest reached."""
    of = catalogue(
        action(treatments=[treatment("mail"), treatment("text", "sms"), treatment("page", "web")]),
        action("never", eligibility="false"),
        policy=QUIET,
    )
    customer = consenting({"marketing|email": True, "marketing|sms": True})
    customer.members = {n: m for n, m in customer.members.items() if m.kind != "phone"}
    made = decided(of, customer, now_ms=NOON_MS + 11 * HOUR_MS)
    assert reasons(made) == {
        ("greet", "mail"): "quiet-hours",
        ("greet", "text"): "no-address",
        ("greet", "page"): "no-consent",
        ("never", ""): "eligibility",
    }
    assert made.decision["hold"] == "quiet-hours"


def test_hold_reason_knows_every_reason() -> None:
    """Each reason alone is the hold's reason; conditions are summed up."""
    for name in REASONS:
        held = hold_reason([{"action": "a", "treatment": "", "reason": name}])
        assert held == ("no-eligible-action" if name in REASONS[:4] else name)
    assert hold_reason([]) == "no-eligible-action"


def test_bereavement_bars_all_but_service() -> None:
    """Marketing is held with its reason, service goes out."""
    gone = root(traits={"bereaved": "true"})
    assert reason(catalogue(action(purpose="marketing")), gone) == "bereaved"
    assert reason(catalogue(action(purpose="service")), gone) is None
