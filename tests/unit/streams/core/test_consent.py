import pytest

from schemas.views import Signal
from streams.core.consent import allowed
from streams.core.golden_record import merge
from tests.unit.streams.core.making import T, consent, customer, folded, look, traits


def _may(*signals: Signal, purpose: str = "marketing", channel: str = "email") -> bool:
    return allowed(merge(customer(folded(look("a"), *signals)), T + 9), purpose, channel)


def test_marketing_needs_a_grant_and_service_does_not() -> None:
    assert not _may()
    assert not _may(purpose="profiling")
    assert not _may(purpose="anything else")
    assert _may(purpose="service")


@pytest.mark.parametrize(
    ("purpose", "channel"), [("marketing", "email"), ("marketing", "*"), ("*", "email"), ("*", "*")]
)
def test_a_grant_counts_for_its_purpose_and_channel_or_every_one(purpose: str, channel: str) -> None:
    assert _may(consent(True, purpose=purpose, channel=channel))


@pytest.mark.parametrize(("purpose", "channel"), [("marketing", "sms"), ("service", "email"), ("service", "*")])
def test_a_grant_for_something_else_does_not_count(purpose: str, channel: str) -> None:
    assert not _may(consent(True, purpose=purpose, channel=channel))


@pytest.mark.parametrize(
    ("purpose", "channel"), [("marketing", "email"), ("marketing", "*"), ("*", "email"), ("*", "*")]
)
@pytest.mark.parametrize(("granted_for", "granted_on"), [("marketing", "email"), ("*", "*"), ("marketing", "*")])
def test_any_withdrawal_that_applies_beats_any_other_grant(
    purpose: str, channel: str, granted_for: str, granted_on: str
) -> None:
    if (purpose, channel) == (granted_for, granted_on):
        granted, withdrawn = (
            consent(True, at=T, purpose=purpose, channel=channel),
            consent(False, at=T + 1, purpose=purpose, channel=channel),
        )
    else:
        withdrawn = consent(False, at=T, purpose=purpose, channel=channel)
        granted = consent(True, at=T + 1, purpose=granted_for, channel=granted_on)
    assert not _may(granted, withdrawn)


def test_a_withdrawal_on_another_channel_does_not_apply() -> None:
    assert _may(consent(True), consent(False, channel="sms"))


def test_service_can_be_withdrawn() -> None:
    assert not _may(consent(False, purpose="service", channel="sms"), purpose="service", channel="sms")
    assert _may(consent(False, purpose="service", channel="sms"), purpose="service", channel="email")


def test_do_not_contact_forbids_all() -> None:
    stated = traits({"do_not_contact": "true"})
    assert not _may(consent(True), stated)
    assert not _may(stated, purpose="service")


def test_bereavement_stops_all_but_service_whatever_was_granted() -> None:
    """Nobody may be sold to; an order on its way is still told of, until service is withdrawn, too."""
    gone = traits({"bereaved": "yes"}, at=T + 1)
    granted = consent(True, at=T + 2, purpose="*", channel="*")
    assert _may(granted)
    for purpose in ("marketing", "profiling", "anything else"):
        assert not _may(granted, gone, purpose=purpose)
    assert _may(granted, gone, purpose="service")
    assert not _may(gone, consent(False, at=T + 3, purpose="service"), purpose="service")
    assert _may(granted, gone, traits({"bereaved": "no"}, at=T + 4)), "a mistake can be taken back"
