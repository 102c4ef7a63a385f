"""Order does not matter: of signals within a facet, of facets within a customer, of who absorbs whom."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.views import Signal
from streams.core.facet import fold, new_facet
from streams.core.features import vector
from streams.core.golden_record import merge
from streams.core.profile import profile_of
from streams.core.state import Facet, Member, Root, decode, encode
from tests.unit.streams.core.making import (
    DAY,
    HOUR,
    MINUTE,
    T,
    cart,
    consent,
    look,
    make,
    message,
    order,
    outcome,
    service,
    traits,
)

ITEMS = st.sampled_from("abc")
# Dense enough for ties, half-hour gaps and retries; wide enough for decay.
TIMES = st.one_of(
    st.integers(0, 4), st.integers(0, 12).map(lambda n: n * 13 * MINUTE), st.integers(0, 60).map(lambda n: n * DAY)
).map(lambda ms: T + ms)
WORDS = st.sampled_from(["great, thanks", "this is terrible", "where is it"])


def _any_signal() -> st.SearchStrategy[Signal]:
    return st.one_of(
        st.builds(look, ITEMS, TIMES, channel=st.sampled_from(["web", "app", "email"])),
        st.builds(cart, st.sampled_from(["product_added", "product_removed"]), ITEMS, TIMES, st.integers(-1, 3)),
        st.builds(
            order,
            TIMES,
            st.integers(0, 9999),
            st.integers(0, 3),
            channel=st.sampled_from(["web", "pos"]),
            type=st.sampled_from(["order", "return", "refund", "payment"]),
            currency=st.sampled_from(["EUR", "IRR"]),
        ),
        st.builds(message, WORDS, TIMES),
        st.builds(
            service,
            st.sampled_from(["opened", "updated", "closed"]),
            TIMES,
            ticket_id=ITEMS,
            reason=st.sampled_from([None, "quality", "delivery"]),
            priority=st.sampled_from([None, "low", "high"]),
        ),
        st.builds(consent, st.booleans(), TIMES, st.sampled_from(["marketing", "*"]), st.sampled_from(["email", "*"])),
        st.builds(outcome, st.sampled_from(["delivered", "opened", "complained", "unsubscribed"]), TIMES),
        st.builds(traits, st.dictionaries(ITEMS, ITEMS, max_size=2), TIMES, source=st.sampled_from(["crm", "web"])),
        st.builds(
            lambda at, score: make("survey", {"survey": "nps", "score": score}, at=at), TIMES, st.integers(0, 10)
        ),
    )


@st.composite
def signals(draw: st.DrawFn, most: int = 30) -> list[Signal]:
    """Draw signals with ids of their own."""
    drawn = draw(st.lists(_any_signal(), max_size=most))
    return [signal | {"id": f"s{number}"} for number, signal in enumerate(drawn)]


def _fold_all(arrivals: list[Signal], node: bytes = b"n" * 16) -> Facet:
    facet = new_facet(node)
    for signal in arrivals:
        fold(facet, signal, signal["occurred_at_ms"])
    return facet


def _plain(value: object) -> Any:
    """Return state as plain values, sums rounded: additions of floats commute only nearly."""
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, msgspec.Struct):
        return [_plain(getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def _history(facet: Facet) -> Any:
    """Return a facet without its memory for retries, which is in order of arrival by design."""
    return _plain(msgspec.structs.replace(facet, recent_ids=b""))


@given(signals(), st.randoms(use_true_random=False))
def test_a_facet_is_the_same_whatever_order_its_signals_arrive_in(arrived: list[Signal], rnd: Any) -> None:
    """Any permutation of the signals of a facet folds to the same facet."""
    shuffled = list(arrived)
    rnd.shuffle(shuffled)
    assert _history(_fold_all(shuffled)) == _history(_fold_all(arrived))


@given(st.lists(st.builds(look, st.integers(0, 40).map(str), st.integers(0, 3000).map(lambda n: T + n * MINUTE))))
def test_bounded_lists_and_sessions_do_not_depend_on_order(arrived: list[Signal]) -> None:
    """Beyond every bound, the newest first or the oldest first come to the same."""
    own = [signal | {"id": f"s{number}"} for number, signal in enumerate(arrived)]
    newest_first = sorted(own, key=lambda signal: -signal["occurred_at_ms"])
    oldest_first = newest_first[::-1]
    assert _history(_fold_all(newest_first)) == _history(_fold_all(oldest_first))


@given(st.lists(st.integers(0, 200).map(lambda n: n * 5), min_size=1, max_size=25), st.randoms(use_true_random=False))
def test_a_session_is_what_the_gap_says(minutes: list[int], rnd: Any) -> None:
    """The session equals the one found by walking all times back from the newest, within the four hours kept."""
    rnd.shuffle(minutes)
    arrived = [look("a", T + minute * MINUTE, id=f"s{n}") for n, minute in enumerate(minutes)]
    newest = max(minutes)
    kept = [m for m in minutes if (T + m * MINUTE) // (HOUR // 2) > (T + newest * MINUTE) // (HOUR // 2) - 8]
    start, count = newest, 0
    for minute in sorted(kept, reverse=True):
        if start - minute > 30:
            break
        start, count = minute, count + 1
    facet = _fold_all(arrived)
    session = merge(Root(facet.node, T, {}, {facet.node: facet}), T + newest * MINUTE).activity.session
    assert session is not None
    assert (session.started_ms, session.signals) == (T + start * MINUTE, count)


@given(signals(most=40), st.integers(0, 39))
def test_retries_within_the_window_add_nothing(arrived: list[Signal], which: int) -> None:
    """A signal that a sender sends again is dropped and leaves the facet as it was."""
    facet = _fold_all(arrived)
    if not arrived:
        return
    before = encode(Root(facet.node, T, {}, {facet.node: facet}))
    again = arrived[which % len(arrived)]
    assert not fold(facet, again, again["occurred_at_ms"])
    assert encode(Root(facet.node, T, {}, {facet.node: facet})) == before


def _customers(groups: list[list[Signal]], first: int) -> list[Facet]:
    return [_fold_all(group, bytes([first + number]) * 16) for number, group in enumerate(groups)]


def _members(facets: list[Facet], since_ms: int) -> dict[bytes, Member]:
    return {facet.node: Member("email", facet.node.hex(), since_ms, "s") for facet in facets}


NOW = T + 61 * DAY
GROUPS = st.lists(signals(most=8), min_size=1, max_size=3)


@given(GROUPS, st.randoms(use_true_random=False))
def test_a_golden_record_is_the_same_whatever_order_its_facets_are_in(groups: list[list[Signal]], rnd: Any) -> None:
    """The record, its features and its profile do not depend on the order in which facets came together."""
    facets = _customers(groups, 1)
    members = _members(facets, T)
    shuffled = list(facets)
    rnd.shuffle(shuffled)
    one = Root(b"r" * 16, T, members, {facet.node: facet for facet in facets})
    other = Root(b"r" * 16, T, members, {facet.node: facet for facet in shuffled})
    assert _plain(merge(one, NOW)) == _plain(merge(other, NOW))
    assert vector(merge(one, NOW)) == pytest.approx(vector(merge(other, NOW)))
    assert profile_of(one, merge(one, NOW)) == profile_of(other, merge(other, NOW))


@given(GROUPS, GROUPS, TIMES)
def test_whoever_absorbs_the_other_the_record_is_the_same_and_a_split_gives_back_both(
    mine: list[list[Signal]], theirs: list[list[Signal]], merged_at: int
) -> None:
    """The union of two customers is one record either way; taking the facets apart gives both, to the byte."""
    ours, others = _customers(mine, 1), _customers(theirs, 101)
    members = _members([*ours, *others], merged_at)
    before = [encode(Root(b"r" * 16, T, {}, {facet.node: facet})) for facet in (*ours, *others)]
    absorbed = Root(b"r" * 16, T, members, {facet.node: facet for facet in (*ours, *others)})
    absorbing = Root(b"r" * 16, T, members, {facet.node: facet for facet in (*others, *ours)})
    assert _plain(merge(absorbed, NOW)) == _plain(merge(absorbing, NOW))

    stored = decode(encode(absorbing))
    assert isinstance(stored, Root)
    after = [encode(Root(b"r" * 16, T, {}, {facet.node: stored.facets[facet.node]})) for facet in (*ours, *others)]
    assert after == before


@settings(max_examples=50)
@given(GROUPS)
def test_nothing_is_lost_or_doubled_by_a_merge(groups: list[list[Signal]]) -> None:
    """Counts, money and fading sums of the record are those of one facet that had seen every signal."""
    numbered = [
        [signal | {"id": f"g{number}-{signal['id']}"} for signal in group] for number, group in enumerate(groups)
    ]
    facets = _customers(numbered, 1)
    merged = merge(Root(b"r" * 16, T, _members(facets, T), {facet.node: facet for facet in facets}), NOW)
    whole = _fold_all([signal for group in numbered for signal in group])
    single = merge(Root(b"r" * 16, T, {}, {whole.node: whole}), NOW)
    assert merged.history.counts == single.history.counts
    assert merged.history.per_channel == single.history.per_channel
    assert merged.history.decayed == pytest.approx(single.history.decayed)
    assert merged.value == single.value
    assert _plain(merged.traits) == _plain(single.traits)
    assert merged.activity.viewed == single.activity.viewed
    assert _plain(merged.activity.cart) == _plain(single.activity.cart)
    assert _plain(merged.activity.open_tickets) == _plain(single.activity.open_tickets)
