import pytest

from schemas.identity_rules import IdentityRules
from streams.core.absorb import on_absorb
from streams.core.conditions import compile_condition
from streams.core.facet import remember_contact
from streams.core.facet_state import Contact
from streams.core.features import vector
from streams.core.golden_record import merge
from streams.core.links import Absorb
from streams.core.moment import Moment, Scores
from streams.core.state import Promise, Proof, Root, encode
from streams.core.suspicion import SUSPICIOUS_SIGNALS_1D
from streams.core.turn import Turn
from tests.unit.streams.core.making import (
    DAY,
    HOUR,
    MINUTE,
    T,
    cart,
    consent,
    customer,
    folded,
    look,
    message,
    order,
    service,
    traits,
)

A, B, C = b"a" * 16, b"b" * 16, b"c" * 16


def test_a_customer_who_did_nothing_yet_has_an_empty_record() -> None:
    record = merge(Root(A, T), T)
    assert record.history.signals == 0
    assert record.activity.session is None
    assert record.flags.mood == 0.0
    assert record.value.mean_order_minor == 0.0


def test_what_two_browsers_and_a_till_did_is_one_history() -> None:
    web = folded(look("a"), look("b", at=T + 2), node=A)
    app = folded(look("a", at=T + 5, channel="app"), cart("product_added", "z", at=T + 1), node=B)
    till = folded(order(at=T + 3, amount=700, channel="pos", lines=4), order(at=T - DAY, amount=300), node=C)
    record = merge(customer(web, app, till), T + 6)
    assert record.history.signals == 6
    assert record.history.counts == {"views": 3, "orders": 2}
    assert record.history.per_channel == {"web": 4, "app": 1, "pos": 1}
    assert (record.history.first_ms, record.history.last_ms, record.history.before_ms) == (T - DAY, T + 5, T + 3)
    assert [entry.at_ms for entry in record.history.timeline] == [T + 5, T + 3, T + 2, T + 1, T, T - DAY]
    assert record.activity.viewed == ["a", "b"]
    assert set(record.activity.cart) == {"z"}
    value = record.value
    assert (value.currency, value.spent_minor, value.orders, value.priced_orders) == ("EUR", 1000, 2, 2)
    assert value.order_times_ms == [T + 3, T - DAY]
    assert (value.last_order_items, value.mean_order_minor, value.mean_gap_ms) == (4, 500.0, float(DAY + 3))


def test_the_order_of_one_facet_empties_the_cart_of_another() -> None:
    browser = folded(cart("product_added", "old", at=T), cart("product_added", "new", at=T + 9), node=A)
    record = merge(customer(browser, folded(order(at=T + 5), node=B)), T + 10)
    assert set(record.activity.cart) == {"new"}


def test_a_cart_of_a_month_ago_is_no_intention() -> None:
    root = customer(folded(cart("product_added", "a", at=T)))
    assert set(merge(root, T + 29 * DAY).activity.cart) == {"a"}
    assert merge(root, T + 30 * DAY).activity.cart == {}


def test_money_of_other_currencies_is_counted_but_not_added() -> None:
    root = customer(folded(order(amount=100), order(at=T + 1, amount=300), order(at=T + 2, amount=9, currency="IRR")))
    value = merge(root, T + 3).value
    assert (value.currency, value.spent_minor, value.orders, value.mean_order_minor) == ("EUR", 400, 3, 200.0)


def test_a_session_spans_facets_and_ends_after_half_an_hour() -> None:
    one = folded(look("a", at=T), look("b", at=T + 50 * MINUTE), look("early", at=T - HOUR), node=A)
    two = folded(look("c", at=T + 25 * MINUTE, channel="app"), node=B)
    now = T + 60 * MINUTE
    session = merge(customer(one, two), now).activity.session
    assert session is not None
    assert (session.started_ms, session.last_ms, session.signals, session.channel) == (T, T + 50 * MINUTE, 3, "web")
    assert merge(customer(one, two), T + 81 * MINUTE).activity.session is None
    alone = merge(customer(one), now).activity.session
    assert alone is not None
    assert alone.signals == 1


def test_open_tickets_and_a_ticket_closed_through_another_facet() -> None:
    phone = folded(
        service("opened", ticket_id="t", reason="quality"), service("opened", at=T + 1, ticket_id="u"), node=A
    )
    mail = folded(service("closed", at=T + 5, ticket_id="t"), node=B)
    assert set(merge(customer(phone, mail), T + 6).activity.open_tickets) == {"u"}


def test_traits_newest_wins_between_facets_with_its_source() -> None:
    web = folded(traits({"city": "Shiraz", "vip": "yes"}, at=T), node=A)
    crm = folded(traits({"city": "Tabriz"}, at=T + 1, source="crm"), node=B)
    record = merge(customer(web, crm), T + 2)
    assert (record.trait("city"), record.traits["city"].source) == ("Tabriz", "crm")
    assert record.flags.vip


@pytest.mark.parametrize("stated", ["true", " Yes ", "1"])
def test_do_not_contact_is_a_trait_or_a_withdrawal_of_everything(stated: str) -> None:
    assert merge(customer(folded(traits({"do_not_contact": stated}))), T).flags.do_not_contact
    assert merge(customer(folded(consent(False, purpose="*", channel="*"))), T).flags.do_not_contact
    assert not merge(customer(folded(traits({"do_not_contact": "false"}))), T).flags.do_not_contact


def test_mood_and_complaints_fade() -> None:
    root = customer(folded(message("terrible, awful, a scam")))
    fresh, old = merge(root, T).flags, merge(root, T + 120 * DAY).flags
    assert fresh.mood < -0.6
    assert fresh.complained
    assert -0.15 < old.mood < 0
    assert not old.complained


def test_sums_of_facets_add_up_at_the_moment_asked() -> None:
    root = customer(folded(look("a", at=T), node=A), folded(look("b", at=T + 7 * DAY), node=B))
    decayed = merge(root, T + 7 * DAY).history.decayed
    assert decayed["signals_7d"] == pytest.approx(1.5)
    assert decayed["views_7d"] == pytest.approx(1.5)
    assert merge(root, T).history.decayed["signals_7d"] <= 2.0, "nothing grows back when asked for the past"


def test_more_than_a_human_hand_makes_is_suspicious() -> None:
    busy = folded(*(look("a", at=T + n, id=str(n)) for n in range(SUSPICIOUS_SIGNALS_1D + 1)))
    assert merge(customer(busy), busy.last_ms).flags.suspicious
    assert not merge(customer(folded(look("a"))), T).flags.suspicious


def _contact(at_ms: int) -> Contact:
    return Contact("a", "d", "x", "t", "email", "marketing", at_ms, False, "", 0, 0, "order", b"", 0.5, 0.1, 1)


def test_contacts_of_all_facets_newest_first() -> None:
    one, two = folded(look("a"), node=A), folded(look("b"), node=B)
    for facet, at_ms in ((one, T), (two, T + 2), (one, T + 1)):
        remember_contact(facet, _contact(at_ms))
    record = merge(customer(one, two), T + 3)
    assert [contact.at_ms for contact in record.contacts] == [T + 2, T + 1, T]
    assert record.history.decayed["contacts_7d"] == pytest.approx(3.0)


# Consent between facets. Both became one customer at T + 100.


def _holds(mine: bool, mine_at: int, theirs: bool, theirs_at: int) -> bool:
    one = folded(consent(mine, at=T + mine_at), node=A)
    two = folded(consent(theirs, at=T + theirs_at), node=B)
    root = customer(one, two)
    root.members[B].since_ms = T + 100
    return merge(root, T + 1000).consent["marketing|email"].granted


def test_the_most_restrictive_wins_between_facets() -> None:
    assert _holds(True, 10, True, 20)
    assert not _holds(True, 10, False, 20)
    assert not _holds(False, 10, True, 20), "granted later, but before both were one customer"


def test_a_grant_after_the_merge_and_after_the_withdrawal_counts() -> None:
    assert _holds(False, 10, True, 100)
    assert _holds(False, 150, True, 151)
    assert not _holds(False, 150, True, 150)
    assert not _holds(False, 200, True, 150)
    assert not _holds(False, 10, True, 99)


def test_a_facet_whose_node_is_no_member_lifts_nothing() -> None:
    root = customer(folded(consent(False, at=T), node=A), folded(consent(True, at=T + 500), node=B))
    assert merge(root, T + 600).consent["marketing|email"].granted
    del root.members[B]
    assert not merge(root, T + 600).consent["marketing|email"].granted


def test_a_grant_must_be_later_than_every_withdrawal() -> None:
    facets = (
        folded(consent(False, at=T + 10), node=A),
        folded(consent(True, at=T + 20), node=B),
        folded(consent(False, at=T + 30), node=C),
    )
    assert not merge(customer(*facets), T + 40).consent["marketing|email"].granted


def test_merging_leaves_the_facets_as_they_were() -> None:
    facets = (folded(look("a"), consent(True), node=A), folded(look("b"), order(), node=B))
    before = repr(facets)
    merge(customer(*facets), T + DAY)
    assert repr(facets) == before


def test_a_grant_from_before_another_customer_was_absorbed_lifts_nothing() -> None:
    one, two = folded(consent(False, at=T), node=A), folded(consent(True, at=T + 50), node=B)
    root = customer(one, two)
    assert merge(root, T + 200).consent["marketing|email"].granted
    root.members[B].joined_ms = T + 100
    assert not merge(root, T + 200).consent["marketing|email"].granted


def test_absorbing_notes_when_the_identifiers_came_over() -> None:
    withdrew, granted = folded(consent(False, at=T), node=A), folded(consent(True, at=T + 50), node=B)
    home, moving = customer(withdrew), customer(granted)
    moving.created_at_ms = T + 1
    home.promises[B] = Promise({}, Proof(A, B, "s"))
    turn = Turn(home, IdentityRules(), T + 100)
    on_absorb(turn, Absorb(B, encode(moving), "s"))
    assert set(home.facets) == {A, B}
    assert home.members[B].joined_ms == T + 100
    assert not merge(home, T + 200).consent["marketing|email"].granted


def test_facets_in_any_order_give_ties_the_same_order() -> None:
    one, two = folded(look("x"), node=A), folded(look("a"), node=B)
    assert merge(customer(one, two), T).activity.viewed == ["x", "a"]
    assert merge(customer(two, one), T).activity.viewed == ["x", "a"]


def test_conditions_read_rolling_windows() -> None:
    """Windows are names of the catalogue: counts, channels and money, each by its span."""
    record = merge(customer(folded(order(T - 10 * DAY, 700), order(T, 900))), T)
    moment = Moment(record, vector(record), Scores(0.0, {}, {}), look("a"))
    for source in (
        "record.windows.orders.days_7 == 1 && record.windows.orders.days_30 == 2",
        "record.windows.spent_minor.days_7 == 900 && record.windows.spent_minor.days_90 == 1600",
        'record.channel_windows.web.days_30 == 2 && record.channel_windows["call-centre"].days_90 == 0',
    ):
        assert compile_condition(source).holds(moment) is True, source
