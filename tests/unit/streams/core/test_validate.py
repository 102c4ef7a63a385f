from typing import Any

import pytest

from schemas.views import Signal
from streams.core import validate
from streams.core.errors import CoreError, SignalError
from streams.core.validate import check
from tests.unit.streams.core.making import DAY, T, consent, look, make, message, order, outcome, service, traits

VALID = [
    look("sku"),
    order(),
    message("salam"),
    make("survey", {"survey": "nps", "score": 9.0, "scale_max": 10.0}),
    service("opened", ticket_id="t1", reason="quality", duration_s=3),
    consent(True),
    outcome("clicked"),
    traits({"city": "Shiraz"}),
    look("sku", traits={"values": {"city": "Shiraz"}}),  # traits accompany any kind
    look("sku", id="x" * 100),
]


@pytest.mark.parametrize("signal", VALID, ids=lambda signal: signal["kind"])
def test_a_good_signal_occurred_when_it_says(signal: Signal) -> None:
    assert check(signal) == T


def _filled(kind: str, payload: dict[str, Any], **changes: Any) -> Signal:
    return make(kind, {**payload, **changes})


def _behaviour(**changes: Any) -> Signal:
    return make("behaviour", changes)


def _transaction(**changes: Any) -> Signal:
    return _filled("transaction", dict(order()["transaction"] or {}), **changes)


def _survey(**changes: Any) -> Signal:
    return _filled("survey", {"survey": "nps"}, **changes)


def _item(**changes: Any) -> Signal:
    return _transaction(items=[{"item_id": "i", "quantity": 1, "price_minor": 1, **changes}])


BAD: list[tuple[str, str, Signal]] = [
    ("bad-id", "id", look("x", id="")),
    ("bad-id", "id", look("x", id="x" * 101)),
    ("bad-id", "control", look("x", id="a\nb")),
    ("bad-name", "name", make(payload={}, name="")),
    ("bad-name", "name", make(payload={}, name="n" * 101)),
    ("bad-source", "source", look("x", source="")),
    ("bad-kind", "gossip", look("x", kind="gossip")),
    ("bad-channel", "pigeon", look("x", channel="pigeon")),
    ("bad-identifiers", "0 identifiers", look("x", identifiers=[])),
    ("bad-identifiers", "17 identifiers", look("x", identifiers=[{"kind": "email", "value": "a"}] * 17)),
    ("bad-identifiers", "0 characters", look("x", identifiers=[{"kind": "email", "value": ""}])),
    ("bad-identifiers", "10000 characters", look("x", identifiers=[{"kind": "email", "value": "a" * 10_000}])),
    ("kind-mismatch", "behaviour is empty", look("x", behaviour=None)),
    ("kind-mismatch", "traits is empty", make("traits", {"values": {}}, traits=None)),
    ("kind-mismatch", "survey is filled", look("x", survey={"survey": "nps"})),
    ("bad-clock", "received_at_ms", look("x", received_at_ms=1_700_000_000)),
    ("bad-clock", "received_at_ms", look("x", received_at_ms=4_102_444_800_000)),
    ("bad-behaviour", "item_id", _behaviour(item_id="x" * 257)),
    ("bad-behaviour", "query", _behaviour(query="x" * 257)),
    ("bad-behaviour", "url", _behaviour(url="x" * 2049)),
    ("bad-behaviour", "value_minor", _behaviour(value_minor=-1)),
    ("bad-behaviour", "value_minor", _behaviour(value_minor=10**13 + 1)),
    ("bad-behaviour", "quantity", _behaviour(quantity=1_000_001)),
    ("bad-transaction", "type", _transaction(type="gift")),
    ("bad-transaction", "order_id", _transaction(order_id="")),
    ("bad-transaction", "amount_minor", _transaction(amount_minor=-5)),
    ("bad-transaction", "currency", _transaction(currency="eur")),
    ("bad-transaction", "currency", _transaction(currency="EURO")),
    ("bad-transaction", "items", _transaction(items=[{"item_id": "i", "quantity": 1, "price_minor": 1}] * 1001)),
    ("bad-transaction", "item_id", _item(item_id="x" * 257)),
    ("bad-transaction", "quantity", _item(quantity=-1)),
    ("bad-transaction", "price_minor", _item(price_minor=-1)),
    ("bad-transaction", "margin_minor", _transaction(margin_minor=-(10**13) - 1)),
    ("bad-transaction", "coupon", _transaction(coupon="x" * 257)),
    ("bad-message", "direction", make("message", {"direction": "sideways"})),
    ("bad-message", "text", make("message", {"direction": "inbound", "text": "x" * 8001})),
    ("bad-message", "subject", make("message", {"direction": "inbound", "subject": "x" * 1001})),
    ("bad-survey", "survey", _survey(survey="")),
    ("bad-survey", "text", _survey(text="x" * 8001)),
    ("bad-survey", "score", _survey(score=11.0, scale_max=10.0)),
    ("bad-survey", "score", _survey(score=-1.0)),
    ("bad-survey", "score", _survey(score=float("nan"))),
    ("bad-survey", "scale_max", _survey(scale_max=0.0)),
    ("bad-survey", "scale_max", _survey(scale_max=float("inf"))),
    ("bad-service", "event", make("service", {"event": "sang"})),
    ("bad-service", "ticket_id", make("service", {"event": "opened", "ticket_id": "x" * 257})),
    ("bad-service", "text", make("service", {"event": "opened", "text": "x" * 8001})),
    ("bad-service", "duration_s", make("service", {"event": "call_ended", "duration_s": -1})),
    ("bad-consent", "purpose", make("consent", {"purpose": "world peace", "channel": "*", "granted": True})),
    ("bad-consent", "channel", make("consent", {"purpose": "*", "channel": "pigeon", "granted": True})),
    ("bad-outcome", "event", make("outcome", {"action_id": "a", "event": "shrugged"})),
    ("bad-outcome", "action_id", make("outcome", {"action_id": "", "event": "opened"})),
    ("bad-traits", "201 traits", traits({f"t{n}": "" for n in range(201)})),
    ("bad-traits", "trait's name", traits({"": "x"})),
    ("bad-traits", "city", traits({"city": "x" * 1001})),
    ("bad-context", "extra", look("x", context={"extra": {str(n): "" for n in range(51)}})),
    ("bad-context", "time_zone", look("x", context={"time_zone": "x" * 101})),
]


@pytest.mark.parametrize(("code", "says", "signal"), BAD, ids=[f"{code}:{says}" for code, says, _ in BAD])
def test_a_broken_rule_is_named(code: str, says: str, signal: Signal) -> None:
    with pytest.raises(SignalError) as caught:
        check(signal)
    assert caught.value.code == code
    assert says in str(caught.value)
    assert isinstance(caught.value, CoreError)


def test_a_message_about_a_bad_signal_holds_no_value_of_the_customer() -> None:
    secret = "s" * 300
    with pytest.raises(SignalError) as caught:
        check(look("x", identifiers=[{"kind": "email", "value": secret}]))
    assert "sss" not in str(caught.value)


def test_a_clock_a_year_ahead_does_not_move_time() -> None:
    assert check(look("x", at=T + 365 * DAY, received_at_ms=T)) == T


def test_a_late_signal_keeps_its_time_and_an_impossible_one_becomes_the_oldest() -> None:
    assert check(look("x", at=T - 365 * DAY, received_at_ms=T)) == T - 365 * DAY
    assert check(look("x", at=-5, received_at_ms=T)) == validate.OLDEST_MS


def test_margins_may_be_losses() -> None:
    assert check(_transaction(margin_minor=-7)) == T
