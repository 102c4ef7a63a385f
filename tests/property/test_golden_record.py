"""Order does not matter: of signals within a facet, of facets within a customer, of who absorbs whom."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.views import Signal
from streams.core.facet import fold, new_facet
from streams.core.facet_state import Facet
from streams.core.features import vector
from streams.core.golden_record import merge
from streams.core.profile import profile_of
from streams.core.rules import KEEPS, Rules
from streams.core.state import Member, Root, decode, encode
from streams.core.survival import survivors
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

# No deadline: CI's cores are shared, and a slow example is no wrong one.
IN_ANY_ORDER = settings(max_examples=200, deadline=None)

# Dense enough for ties, half-hour gaps and retries; wide enough for decay.
TIMES = [T + ms for ms in (*range(4), *(n * 13 * MINUTE for n in range(12)), *(n * DAY for n in range(0, 60, 4)))]
WORDS = ["great, thanks", "this is terrible", "where is it"]


class _Dice:
    """Chooses from lists by the digits of one number: one draw of Hypothesis makes a whole signal, which is fast."""

    def __init__(self, number: int) -> None:
        self.number = number

    def of(self, *choices: Any) -> Any:
        self.number, digit = divmod(self.number, len(choices))
        return choices[digit]


def _signal(number: int) -> Signal:
    """Return the signal of a number: the kind in its lowest digits, so that small numbers give simple signals."""
    dice = _Dice(number)
    kind, at, item = dice.of(*range(9)), dice.of(*TIMES), dice.of("a", "b", "c")
    made = (
        lambda: look(item, at, channel=dice.of("web", "app", "email")),
        lambda: cart(dice.of("product_added", "product_removed"), item, at, dice.of(1, 2, 0, -1, None)),
        lambda: order(
            at,
            type=dice.of("order", "order", "return", "refund", "payment"),
            amount=dice.of(0, 7, 9999),
            lines=dice.of(0, 1, 3),
            channel=dice.of("web", "pos"),
            currency=dice.of("EUR", "IRR"),
        ),
        lambda: message(dice.of(*WORDS), at),
        lambda: service(
            dice.of("opened", "updated", "closed"),
            at,
            ticket_id=item,
            reason=dice.of(None, "quality", "delivery"),
            priority=dice.of(None, "low", "high"),
        ),
        lambda: consent(dice.of(True, False), at, dice.of("marketing", "*"), dice.of("email", "*")),
        lambda: outcome(dice.of("delivered", "opened", "complained", "unsubscribed"), at),
        lambda: traits({item: dice.of("x", "y"), dice.of("d", "e"): "z"}, at, source=dice.of("crm", "web")),
        lambda: make("survey", {"survey": "nps", "score": dice.of(0.0, 5.0, 10.0)}, at=at),
    )
    return made[kind]()


def _numbered(numbers: list[int], first: str = "s") -> list[Signal]:
    """Return the signals of numbers, with ids of their own."""
    return [_signal(number) | {"id": f"{first}{place}"} for place, number in enumerate(numbers)]


NUMBERS = st.integers(0, 2**31)


def signals(most: int = 30) -> st.SearchStrategy[list[Signal]]:
    """Return lists of signals with ids of their own."""
    return st.lists(NUMBERS, max_size=most).map(_numbered)


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


@IN_ANY_ORDER
@given(signals(), st.randoms(use_true_random=False))
def test_a_facet_is_the_same_whatever_order_its_signals_arrive_in(arrived: list[Signal], rnd: Any) -> None:
    """Any permutation of the signals of a facet folds to the same facet."""
    shuffled = list(arrived)
    rnd.shuffle(shuffled)
    assert _history(_fold_all(shuffled)) == _history(_fold_all(arrived))


@IN_ANY_ORDER
@given(st.lists(st.builds(look, st.integers(0, 40).map(str), st.integers(0, 3000).map(lambda n: T + n * MINUTE))))
def test_bounded_lists_and_sessions_do_not_depend_on_order(arrived: list[Signal]) -> None:
    """Beyond every bound, the newest first or the oldest first come to the same."""
    own = [signal | {"id": f"s{number}"} for number, signal in enumerate(arrived)]
    newest_first = sorted(own, key=lambda signal: -signal["occurred_at_ms"])
    oldest_first = newest_first[::-1]
    assert _history(_fold_all(newest_first)) == _history(_fold_all(oldest_first))


@IN_ANY_ORDER
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


@IN_ANY_ORDER
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
# What came in through up to three identifiers.
GROUPS = st.lists(NUMBERS, min_size=1, max_size=20).map(
    lambda numbers: [_numbered(numbers[place::3], f"g{place}-") for place in range(min(3, len(numbers)))]
)


@IN_ANY_ORDER
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
    for keep in KEEPS:
        rules = Rules(dict.fromkeys("abcde", keep), trust={"crm": 1})
        assert profile_of(one, merge(one, NOW, rules)) == profile_of(other, merge(other, NOW, rules))


@IN_ANY_ORDER
@given(GROUPS, GROUPS, st.sampled_from(TIMES))
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


@IN_ANY_ORDER
@given(GROUPS)
def test_nothing_is_lost_or_doubled_by_a_merge(groups: list[list[Signal]]) -> None:
    """Counts, money and fading sums of the record are those of one facet that had seen every signal."""
    facets = _customers(groups, 1)
    merged = merge(Root(b"r" * 16, T, _members(facets, T), {facet.node: facet for facet in facets}), NOW)
    whole = _fold_all([signal for group in groups for signal in group])
    single = merge(Root(b"r" * 16, T, {}, {whole.node: whole}), NOW)
    assert merged.history.counts == single.history.counts
    assert merged.history.per_channel == single.history.per_channel
    assert merged.history.decayed == pytest.approx(single.history.decayed)
    assert merged.value == single.value
    assert _plain(merged.traits) == _plain(single.traits)
    for keep in KEEPS:
        rules = Rules(dict.fromkeys("abcde", keep), trust={"crm": 1})
        assert _plain(survivors(merged.traits, rules)) == _plain(survivors(single.traits, rules))
    # Looks in the same millisecond: a facet orders them by text, the merge by node.
    assert sorted(merged.activity.viewed) == sorted(single.activity.viewed)
    assert _plain(merged.activity.cart) == _plain(single.activity.cart)
    assert _plain(merged.activity.open_tickets) == _plain(single.activity.open_tickets)
