import pytest

from streams.core.facet_state import MAX_CART, MAX_CURRENCIES, MAX_ORDER_TIMES, MAX_RECENT, MAX_TICKETS, Facet
from streams.core.fading import COMPLAINTS_30D, MOOD_30D, MOOD_WEIGHT_30D, RESPONSES_30D
from tests.unit.streams.core.making import (
    T,
    cart,
    consent,
    folded,
    look,
    make,
    message,
    order,
    outcome,
    service,
)


def _sum(facet: Facet, position: int) -> float:
    assert facet.faded is not None
    return facet.faded.sums[position]


def test_what_was_seen_is_kept_once_newest_first() -> None:
    facet = folded(look("a"), look("b", at=T + 1), look("a", at=T + 2), look("c", at=T - 1))
    assert [(seen.text, seen.at_ms) for seen in facet.viewed] == [("a", T + 2), ("b", T + 1), ("c", T - 1)]
    many = folded(*(look(f"i{n}", at=T + n) for n in range(30)))
    assert len(many.viewed) == MAX_RECENT


def test_searches_are_kept_by_foreign_names_too() -> None:
    facet = folded(make(payload={"query": "red shoes"}, name="Products Searched"))
    assert [seen.text for seen in facet.searches] == ["red shoes"]
    assert facet.counts["searches"] == 1
    assert "shoes" not in facet.timeline[0].summary


def test_the_cart_is_what_the_newest_signal_says_of_each_line() -> None:
    facet = folded(
        cart("product_removed", "b", at=T + 9),
        cart("product_added", "a", at=T + 1, quantity=2),
        cart("addToCart", "b", at=T + 2),
        cart("product_added", "a", at=T, quantity=7),
        cart("product_added", "c", at=T + 3, quantity=-1),
    )
    assert {item: line.quantity for item, line in facet.cart.items()} == {"a": 2, "b": 0, "c": 0}


def test_an_order_empties_the_cart_as_it_was_then_but_the_till_does_not() -> None:
    late = [cart("product_added", "new", at=T + 9), order(at=T + 5), cart("product_added", "old", at=T)]
    assert set(folded(*late).cart) == {"new"}
    assert set(folded(cart("product_added", "a"), order(at=T + 1, channel="pos")).cart) == {"a"}
    assert folded(cart("product_added", "a"), make(payload={}, name="Order Completed", at=T + 1)).cart == {}


def test_a_cart_is_bounded() -> None:
    facet = folded(*(cart("product_added", f"i{n}", at=T + n) for n in range(MAX_CART + 5)))
    assert len(facet.cart) == MAX_CART
    assert "i0" not in facet.cart


def test_money_by_type_and_currency() -> None:
    facet = folded(
        order(at=T, amount=1000, margin=300),
        order(at=T + 1, amount=500, currency="IRR"),
        order(at=T + 2, amount=100, type="return"),
        order(at=T + 3, amount=50, type="refund"),
        order(at=T + 4, amount=1000, type="payment"),
    )
    euros = facet.purses["EUR"]
    assert (euros.spent_minor, euros.returned_minor, euros.margin_minor, euros.orders) == (1000, 150, 300, 1)
    assert facet.purses["IRR"].spent_minor == 500
    assert facet.counts == {"orders": 2, "returns": 1, "refunds": 1, "payments": 1}


def test_currencies_are_bounded_and_the_oldest_goes() -> None:
    codes = [f"A{chr(65 + n)}A" for n in range(MAX_CURRENCIES + 2)]
    facet = folded(*(order(at=T + n, currency=code) for n, code in enumerate(codes)))
    assert set(facet.purses) == set(codes[2:])


def test_the_timeline_says_money_as_people_do() -> None:
    facet = folded(order(at=T, amount=6_000, lines=0), order(at=T + 1, amount=60_000, currency="IRR", lines=2))
    assert [entry.summary for entry in facet.timeline] == ["60,000 IRR (2 x)", "60.00 EUR"]


def test_order_times_newest_first_and_the_first_ever() -> None:
    facet = folded(*(order(at=T + n, lines=n) for n in (3, 1, 2)), *(order(at=T + 10 + n) for n in range(8)))
    assert facet.order_times_ms == [T + 17 - n for n in range(MAX_ORDER_TIMES)]
    assert facet.first_order_ms == T + 1
    assert folded(order(at=T + 1, lines=5), order(at=T, lines=9)).last_order_items == 5


def test_words_make_mood_and_strongly_negative_ones_a_complaint() -> None:
    bad, kind = folded(message("this is terrible")), folded(message("great, thank you"))
    assert _sum(bad, MOOD_30D) < -0.7
    assert _sum(kind, MOOD_30D) > 0.7
    assert (bad.counts["complaints"], kind.counts.get("complaints", 0)) == (1, 0)
    assert _sum(bad, COMPLAINTS_30D) == 1.0


def test_our_own_words_and_words_without_opinion_make_no_mood() -> None:
    for signal in (message("this is terrible", direction="outbound"), message("where is order 7")):
        assert _sum(folded(signal), MOOD_WEIGHT_30D) == 0.0


def test_a_message_named_a_complaint_is_one() -> None:
    facet = folded(message("see attachment") | {"name": "complaint_received"})
    assert facet.counts["complaints"] == 1


@pytest.mark.parametrize(
    ("survey", "mood", "complaint"),
    [
        ({"survey": "nps", "score": 10.0}, 1.0, False),
        ({"survey": "nps", "score": 6.0, "scale_max": 10.0}, -0.6, False),
        ({"survey": "NPS", "score": 2.0, "scale_max": 10.0}, -1.0, True),
        ({"survey": "csat", "score": 5.0}, 1.0, False),
        ({"survey": "csat", "score": 2.0, "scale_max": 5.0}, -0.2, True),
    ],
)
def test_scores_of_surveys(survey: dict[str, object], mood: float, complaint: bool) -> None:
    facet = folded(make("survey", survey))
    assert _sum(facet, MOOD_30D) == pytest.approx(mood)
    assert ("complaints" in facet.counts) == complaint


def test_a_score_without_a_scale_says_nothing_but_counts() -> None:
    facet = folded(make("survey", {"survey": "our own", "score": 3.0}))
    assert _sum(facet, MOOD_WEIGHT_30D) == 0.0
    assert facet.counts == {"surveys": 1}
    assert facet.timeline[0].summary == "our own 3"


def test_score_and_words_of_a_survey_count_half_each() -> None:
    facet = folded(make("survey", {"survey": "csat", "score": 5.0, "text": "terrible"}))
    assert _sum(facet, MOOD_30D) == pytest.approx((1.0 - 3 / 13**0.5) / 2)
    assert _sum(facet, MOOD_WEIGHT_30D) == 1.0


def test_a_ticket_is_what_the_newest_word_on_each_part_says() -> None:
    facet = folded(
        service("closed", at=T + 9, ticket_id="t"),
        service("opened", at=T, ticket_id="t", reason="quality", priority="low"),
        service("updated", at=T + 5, ticket_id="t", priority="high"),
        service("opened", at=T + 1, ticket_id="u"),
    )
    ticket = facet.tickets["t"]
    assert (ticket.reason, ticket.priority, ticket.opened_at_ms, ticket.at_ms, ticket.closed) == (
        "quality", "high", T, T + 9, True,
    )  # fmt: skip
    assert not facet.tickets["u"].closed
    assert facet.counts == {"tickets": 2, "complaints": 1}


def test_a_call_counts_and_its_reason_may_complain() -> None:
    facet = folded(service("call_started", reason="Late delivery"), service("call_ended", at=T + 1, duration_s=60))
    assert facet.counts == {"calls": 1, "complaints": 1}
    assert folded(service("call_started", reason="opening hours")).counts == {"calls": 1}


def test_tickets_are_bounded() -> None:
    facet = folded(*(service("opened", at=T + n, ticket_id=f"t{n}") for n in range(MAX_TICKETS + 3)))
    assert len(facet.tickets) == MAX_TICKETS


def test_consent_newest_wins_and_ties_withdraw() -> None:
    facet = folded(consent(True, at=T + 5), consent(False, at=T), consent(True, at=T + 9, channel="sms"))
    assert {key: given.granted for key, given in facet.consent.items()} == {
        "marketing|email": True,
        "marketing|sms": True,
    }
    for pair in ((consent(True), consent(False)), (consent(False), consent(True))):
        assert not folded(*pair).consent["marketing|email"].granted


def test_who_unsubscribes_or_reports_spam_has_withdrawn_marketing_there() -> None:
    for event, key in (("unsubscribed", "marketing|email"), ("complained", "marketing|*")):
        facet = folded(consent(True), outcome(event, at=T + 1))
        assert not facet.consent[key].granted
        assert facet.consent[key].proof == "action ab12"
    assert not folded(outcome("unsubscribed", delivered_on=None)).consent["marketing|*"].granted
    assert folded(outcome("complained")).counts == {"complaints": 1}


def test_answers_to_actions_are_responses_and_deliveries_are_not() -> None:
    facet = folded(outcome("opened"), outcome("clicked", at=T + 1), outcome("delivered"), outcome("dismissed"))
    assert facet.counts == {"responses": 2}
    assert _sum(facet, RESPONSES_30D) == pytest.approx(2.0)


def test_of_two_orders_in_one_millisecond_the_larger_is_the_last() -> None:
    small, large = order(lines=1, id="small"), order(lines=4, id="large")
    assert folded(small, large).last_order_items == folded(large, small).last_order_items == 4
