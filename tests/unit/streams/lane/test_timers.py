"""Timers against a plain dict."""

from hypothesis import given
from hypothesis import strategies as st

from streams.lane.timers import Timers

KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS, st.one_of(st.none(), st.integers(0, 20))),
        st.tuples(st.just("take"), st.integers(0, 20), st.integers(1, 3)),
        st.tuples(st.just("abort"), st.integers(0, 20), st.integers(1, 3)),
    ),
    max_size=60,
)


@given(STEPS)
def test_timers_are_a_dict_of_due_times(steps: list[tuple[str, object, object]]) -> None:
    """Whatever is set, moved, removed, taken or given back, due is what a dict says is due."""
    timers, plain = Timers(), dict[bytes, int]()
    for step, first, second in steps:
        if step == "set":
            assert isinstance(first, bytes)
            assert second is None or isinstance(second, int)
            timers.set(first, second)
            plain.pop(first, None)
            if second is not None:
                plain[first] = second
        else:
            assert isinstance(first, int)
            assert isinstance(second, int)
            expected = sorted(at for at in plain.values() if at <= first)[:second]
            taken = timers.take(first, second)
            assert [at for at, _ in taken] == expected
            assert all(plain[key] == at for at, key in taken)
            if step == "abort":
                timers.give_back(taken)
            else:
                for _, key in taken:
                    del plain[key]
        assert len(timers) == len(plain)
        assert timers.any_due(10) == any(at <= 10 for at in plain.values())


def test_rebuilt_timers_are_due_again() -> None:
    timers = Timers()
    timers.rebuild([(b"late", 9), (b"early", 3)])
    assert timers.take(5, 10) == [(3, b"early")]
    assert timers.take(9, 10) == [(9, b"late")]


def test_a_timer_that_moves_often_does_not_fill_the_heap() -> None:
    timers = Timers()
    for at in range(10_000):
        timers.set(b"hot", at)
    assert len(timers._heap) < 100
    assert timers.take(10_000, 10) == [(9_999, b"hot")]
