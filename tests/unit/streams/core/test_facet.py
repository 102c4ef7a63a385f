import pytest

from streams.core.facet import COUNTS, MAX_SLOTS, fold, remember_contact
from streams.core.facet_state import MAX_CONTACTS, MAX_RECENT_IDS, MAX_TIMELINE, MAX_TRAITS, Contact, Facet
from streams.core.fading import CONTACTS_7D, NAMES, SIGNALS_7D
from tests.unit.streams.core.making import DAY, HOUR, MINUTE, T, folded, look, make, message, order, outcome, traits


def test_a_retry_changes_nothing() -> None:
    facet = folded(look("sku"))
    before = repr(facet)
    assert not fold(facet, look("sku"), T)
    assert repr(facet) == before


def test_an_id_counts_per_source() -> None:
    facet = folded(look("sku"), look("sku", source="shop-app"))
    assert facet.signals == 2


def test_the_window_of_retries_is_64_signals() -> None:
    facet = folded(*(look("sku", at=T + n) for n in range(MAX_RECENT_IDS)))
    assert not fold(facet, look("sku", at=T), T)
    assert fold(facet, look("sku", at=T - 1), T)
    assert fold(facet, look("sku", at=T), T), "the oldest id has left the window"
    assert len(facet.recent_ids) == 8 * MAX_RECENT_IDS


def test_counts_channels_and_times() -> None:
    facet = folded(look("a", at=T + 5), look("b", at=T, channel="app"), order(at=T + 9))
    assert (facet.signals, facet.first_ms, facet.last_ms, facet.before_ms) == (3, T, T + 9, T + 5)
    assert facet.per_channel == {"web": 2, "app": 1}
    assert facet.counts == {"views": 2, "orders": 1}
    assert set(facet.counts) <= set(COUNTS)


def test_a_mailing_does_not_make_a_silent_customer_look_alive() -> None:
    facet = folded(look("a"), outcome("delivered", at=T + DAY), message("hi", at=T + DAY, direction="outbound"))
    assert facet.signals == 3
    assert facet.last_ms == T
    assert facet.faded is not None
    assert facet.faded.sums[SIGNALS_7D] == pytest.approx(2 ** (-1 / 7))


def test_the_timeline_keeps_the_newest_and_no_words_of_the_customer() -> None:
    secret = message("my password is hunter2 and all is terrible", at=T + DAY)
    facet = folded(*(look(f"i{n}", at=T + n) for n in range(30)), secret, look("late", at=T - 1))
    assert len(facet.timeline) == MAX_TIMELINE
    assert [entry.at_ms for entry in facet.timeline] == [T + DAY, *range(T + 29, T + 10, -1)]
    assert facet.timeline[0].summary == "inbound, mood -0.8"
    assert "hunter2" not in repr(facet)


def test_a_session_bridged_by_a_late_signal_is_one() -> None:
    facet = folded(look("a"), look("b", at=T + 50 * MINUTE), look("c", at=T + 25 * MINUTE))
    assert sum(slot.signals for slot in facet.slots) == 3
    assert [slot.last_ms for slot in facet.slots] == sorted((slot.last_ms for slot in facet.slots), reverse=True)


def test_a_bot_that_never_pauses_is_looked_back_upon_for_four_hours() -> None:
    facet = folded(*(look("a", at=T + n * 10 * MINUTE) for n in range(200)))
    assert len(facet.slots) <= MAX_SLOTS
    assert facet.slots[-1].first_ms > facet.last_ms - 4 * HOUR - 30 * MINUTE


def test_traits_newest_wins_and_context_states_zone_and_locale() -> None:
    facet = folded(
        traits({"city": "Tabriz"}, at=T + 2),
        traits({"city": "Shiraz", "vip": "true"}, at=T + 1),
        look("a", at=T + 3, context={"time_zone": "Asia/Tehran", "locale": "fa-IR"}),
    )
    assert {name: trait.value for name, trait in facet.traits.items()} == {
        "city": "Tabriz",
        "vip": "true",
        "time_zone": "Asia/Tehran",
        "locale": "fa-IR",
    }
    assert facet.traits["city"].at_ms == T + 2


def test_junk_does_not_push_out_what_rules_read() -> None:
    facet = folded(
        traits({"do_not_contact": "true"}),
        *(traits({f"junk{n}": "x"}, at=T + n, id=f"j{n}") for n in range(1, MAX_TRAITS + 20)),
    )
    assert len(facet.traits) == MAX_TRAITS
    assert "do_not_contact" in facet.traits
    assert "junk1" not in facet.traits


def _contact(at_ms: int, *, control: bool = False, due: int = 0) -> Contact:
    return Contact(
        f"a{at_ms}",
        "d",
        "win_back",
        "mail",
        "email",
        "marketing",
        at_ms,
        control,
        "",
        0,
        due,
        "order",
        b"",
        0.5,
        0.1,
        1,
    )


def test_contacts_are_counted_but_not_those_of_the_control_group() -> None:
    facet = folded(look("a"))
    remember_contact(facet, _contact(T))
    remember_contact(facet, _contact(T + 1, control=True))
    assert [contact.at_ms for contact in facet.contacts] == [T + 1, T]
    assert facet.counts["contacts"] == 1
    assert facet.faded is not None
    assert facet.faded.sums[CONTACTS_7D] == 1.0


def test_a_full_contact_history_forgets_the_oldest_that_is_settled() -> None:
    facet = Facet(b"n", 0)
    for n in range(MAX_CONTACTS + 1):
        remember_contact(facet, _contact(T + n, due=T + DAY if n == 0 else 0))
    assert len(facet.contacts) == MAX_CONTACTS
    kept = [contact.at_ms for contact in facet.contacts]
    assert T in kept, "its reward is still open"
    assert T + 1 not in kept


def test_a_facet_has_all_fading_sums() -> None:
    facet = folded(make(payload={}))
    assert facet.faded is not None
    assert len(facet.faded.sums) == len(NAMES)
