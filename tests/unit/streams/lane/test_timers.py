"""Timers against a plain dict."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from streams.lane.due import checked
from streams.lane.timers import Timers

KEYS = st.sampled_from([b"a", b"b", b"c", b"longer"])
# Within one hour of the calendar, and over some.
TIMES = st.sampled_from([1, 500_000])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, st.one_of(st.none(), st.integers(0, 20))),
        st.tuples(st.just("take"), st.integers(0, 20), st.integers(1, 3)),
        st.tuples(st.just("abort"), st.integers(0, 20), st.integers(1, 3)),
    ),
    max_size=60,
)


@given(STEPS, TIMES)
def test_timers_are_a_dict_of_due_times(steps: list[tuple[str, object, object]], unit: int) -> None:
    """Whatever is set, moved, removed, taken or given back, due is what a dict says is due."""
    timers, plain = Timers(), dict[bytes, int]()
    for step, first, second in steps:
        if step == "set":
            assert isinstance(first, bytes)
            assert second is None or isinstance(second, int)
            due_ms = None if second is None else second * unit
            timers.set(first, checked(due_ms))
            plain.pop(first, None)
            if due_ms is not None:
                plain[first] = due_ms
        else:
            assert isinstance(first, int)
            assert isinstance(second, int)
            now_ms = first * unit
            expected = sorted(at for at in plain.values() if at <= now_ms)[:second]
            taken = timers.take(now_ms, second)
            assert [at for at, _ in taken] == expected
            assert all(plain[key] == at for at, key in taken)
            if step == "abort":
                timers.give_back(taken)
            else:
                for _, key in taken:
                    del plain[key]
        assert len(timers) == len(plain)
        assert timers.any_due(10 * unit) == any(at <= 10 * unit for at in plain.values())


def test_rebuilt_timers_are_due_again() -> None:
    timers = Timers()
    timers.rebuild([{b"late": checked(9), b"early": checked(3)}])
    assert timers.take(5, 10) == [(3, b"early")]
    assert timers.take(9, 10) == [(9, b"late")]


def test_a_timer_that_moves_often_does_not_fill_the_heap() -> None:
    timers = Timers()
    for at in range(10_000):
        timers.set(b"hot", checked(at))
    assert timers._lines < 100
    assert timers.take(10_000, 10) == [(9_999, b"hot")]


def test_keys_of_any_length_before_and_after_the_epoch() -> None:
    timers = Timers()
    due = {b"": -5, b"k": -(2**63), b"key": 2**63 - 1, b"x" * 70: 0}
    for key, at in due.items():
        timers.set(key, checked(at))
    assert timers.take(2**63 - 1, 10) == sorted((at, key) for key, at in due.items())


@given(st.lists(st.dictionaries(KEYS, st.one_of(st.none(), st.integers(0, 20))), max_size=9), TIMES)
def test_many_at_once_are_as_one_after_another(steps: list[dict[bytes, int | None]], unit: int) -> None:
    """As recovery sets them, chunk by chunk: the last word counts."""
    timers, plain = Timers(), dict[bytes, int | None]()
    for step in steps:
        due = {key: None if at is None else at * unit for key, at in step.items()}
        timers.set_all({key: checked(at) for key, at in due.items()})
        plain |= due
    left = sorted((at, key) for key, at in plain.items() if at is not None)
    assert len(timers) == len(left)
    assert sorted(timers.take(20 * unit, 10)) == left


@given(st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 4)), min_size=1, max_size=4), TIMES)
def test_a_chunk_of_a_changelog_is_as_one_after_another(chunks: list[tuple[int, int]], unit: int) -> None:
    """Hundreds of keys of one length, hour by hour; again, moved and removed; between them some go off."""
    timers, plain = Timers(), dict[bytes, int]()
    for seed, until in chunks:
        rnd = Random(seed)
        due: dict[bytes, int | None] = {
            bytes(rnd.choices(b"ab", k=8)): rnd.choice([None, rnd.randrange(20) * unit]) for _ in range(300)
        }
        timers.set_all({key: checked(at) for key, at in due.items()})
        plain |= {key: at for key, at in due.items() if at is not None}
        for key in due.keys() - {key for key, at in due.items() if at is not None}:
            plain.pop(key, None)
        gone = sorted((at, key) for key, at in plain.items() if at <= until * unit)
        assert sorted(timers.take(until * unit, 1_000)) == gone
        for _, key in gone:
            del plain[key]
    assert sorted(timers.take(20 * unit, 1_000)) == sorted((at, key) for key, at in plain.items())
    assert not timers.any_due(20 * unit)
