"""Batches that raise: the records to blame become dead letters, all others count, whatever the job did in place."""

import json
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from streams.lane.apply import ENVELOPE_BYTES, Applied, Applier
from streams.lane.due import checked
from streams.lane.job import Batch, Failure, Output, Record, Result, Stage, State
from streams.lane.position import POSITION_KEY
from streams.lane.store import MemoryStore

MOST = 20_000


def count_in_place(state: State[list[int]], batch: Batch) -> Result[list[int]]:
    """Count per key, changing values in place; raises on a record 'poison' after it has done damage."""
    changes: dict[bytes, list[int] | None] = {}
    outputs = []
    for key in batch.due:
        if key == b"poison-due":
            raise ValueError("due")
        changes[key] = [-1]
    for record in batch.records:
        key = record.key or b""
        value = changes.get(key) or state.get(key) or [0]
        value[0] += 1
        if record.value == b"poison":
            raise KeyError("bad record")
        changes[key] = value
        outputs.append(Output("out", key, b"%d" % value[0]))
    return Result(changes, outputs, stream_ms=max((r.timestamp_ms for r in batch.records), default=None))


def dead_letter(failure: Failure) -> Output:
    detail = json.dumps([failure.code, failure.detail]).encode()
    return Output("dead", failure.record.key, (failure.record.value or b"") + b"|" + detail)


def make(job: Any = count_in_place, **state: int) -> tuple[Applier[list[int]], MemoryStore]:
    store = MemoryStore()
    store.write({key.encode(): json.dumps([n]).encode() for key, n in state.items()}, 1)
    stage = Stage("s", ("src",), "log", job, lambda v: json.dumps(v).encode(), json.loads, dead_letter)
    return Applier(stage, store, message_max_bytes=MOST, decoded_bytes=100), store


def batch_of(*records: tuple[bytes | None, bytes | None], due: tuple[bytes, ...] = ()) -> Batch:
    return Batch(0, [Record("src", 0, i, 1000 + i, key, value) for i, (key, value) in enumerate(records)], due, 5)


def dead_of(applied: Applied[Any]) -> list[Output]:
    return [output for output in applied.outputs if output.topic == "dead"]


def test_a_good_batch_is_encoded_whole() -> None:
    applier, _ = make(a=5)
    applied = applier.apply(batch_of((b"a", b""), (b"b", b""), (b"a", b""), due=(b"d",)))
    assert applied.changes == {b"a": b"[7]", b"b": b"[1]", b"d": b"[-1]"}
    assert [o.value for o in applied.outputs] == [b"6", b"1", b"7"]
    assert (applied.failures, applied.stream_ms) == (0, 1002)


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.sampled_from([b"ok", b"ok", b"poison"])), max_size=40))
def test_only_the_poison_is_left_out(records: list[tuple[bytes, bytes]]) -> None:
    """However the poison lies, what counts is exactly the rest, in order, over the committed state."""
    applier, _ = make(a=5)
    applied = applier.apply(batch_of(*records))
    good = [key for key, value in records if value == b"ok"]
    assert applied.failures == len(records) - len(good) == len(dead_of(applied))
    expected = {key: b"[%d]" % ((5 if key == b"a" else 0) + good.count(key)) for key in set(good)}
    assert applied.changes == expected
    assert [o.key for o in applied.outputs if o.topic == "out"] == good


def test_dead_letter_tells_type_and_message() -> None:
    applier, _ = make()
    applied = applier.apply(batch_of((b"a", b"ok"), (b"a", b"poison")))
    assert [o.value for o in dead_of(applied)] == [b'poison|["job-error", "KeyError: \'bad record\'"]']


def test_a_due_key_that_raises_becomes_a_dead_letter_and_costs_no_other() -> None:
    applier, store = make()
    store.write({b"poison-due": b"[4]"}, 2)
    applied = applier.apply(batch_of((b"a", b"ok"), due=(b"x", b"poison-due", b"y")))
    assert applied.changes == {b"x": b"[-1]", b"y": b"[-1]", b"a": b"[1]"}
    assert [o.value for o in dead_of(applied)] == [b'[4]|["job-error", "ValueError: due"]']


@pytest.mark.parametrize("failure", [KafkaException(KafkaError(KafkaError._FATAL)), MemoryError()])
def test_what_is_not_the_records_fault_is_raised(failure: Exception) -> None:
    def job(_state: Any, _batch: Batch) -> Result[list[int]]:
        raise failure

    with pytest.raises(type(failure)):
        make(job)[0].apply(batch_of((b"a", b"ok")))


def test_an_output_too_large_blames_its_record_and_its_dead_letter_is_cut() -> None:
    """A record as large as a message may be still gets a dead letter, cut, saying how large it was."""

    def job(_state: Any, batch: Batch) -> Result[list[int]]:
        return Result({}, [Output("out", r.key, (r.value or b"") * 2) for r in batch.records])

    applied = make(job)[0].apply(batch_of((b"a", b"x"), (b"a", b"y" * (MOST - 10)), (b"b", b"z")))
    assert [o.value for o in applied.outputs if o.topic == "out"] == [b"xx", b"zz"]
    (dead,) = dead_of(applied)
    assert len(dead.value or b"") <= MOST - ENVELOPE_BYTES
    assert b"OversizeError" in (dead.value or b"")
    assert b"record of 19991 bytes cut to fit" in (dead.value or b"")


def test_a_value_too_large_blames_its_record() -> None:
    def job(_state: Any, batch: Batch) -> Result[list[int]]:
        return Result({r.key or b"": [0] * 100_000 if r.value == b"big" else [1] for r in batch.records})

    applied = make(job)[0].apply(batch_of((b"a", b"big"), (b"b", b"ok")))
    assert (applied.changes, applied.failures) == ({b"b": b"[1]"}, 1)


def test_the_lanes_own_keys_are_refused() -> None:
    def job(_state: Any, _batch: Batch) -> Result[list[int]]:
        return Result({POSITION_KEY: [1]})

    applied = make(job)[0].apply(batch_of((b"a", b"ok")))
    assert (applied.changes, applied.failures) == ({}, 1)


def test_null_keys_and_tombstones_reach_the_job() -> None:
    seen: list[tuple[bytes | None, bytes | None]] = []

    def job(_state: Any, batch: Batch) -> Result[list[int]]:
        seen.extend((r.key, r.value) for r in batch.records)
        return Result()

    make(job)[0].apply(batch_of((None, b"v"), (b"k", None), (None, None)))
    assert seen == [(None, b"v"), (b"k", None), (None, None)]


def test_due_times_follow_the_values() -> None:
    stage = Stage("s", ("src",), "log", count_in_place, lambda v: json.dumps(v).encode(), json.loads, dead_letter,
                  due_ms=lambda v: v[0] * 10)  # fmt: skip
    applier = Applier(stage, MemoryStore(), message_max_bytes=MOST, decoded_bytes=10)
    assert applier.apply(batch_of((b"a", b""), (b"a", b""))).due == {b"a": checked(20)}


def sealing(job: Any = count_in_place) -> tuple[Applier[list[int]], MemoryStore]:
    store = MemoryStore()
    stage = Stage("s", ("src",), "log", job, lambda v: json.dumps(v).encode(), json.loads, dead_letter, vault="vault")
    return Applier(stage, store, message_max_bytes=MOST, decoded_bytes=100), store


def test_sealed_state_is_in_no_dead_letter() -> None:
    """A dead letter outlives the secret that its state is sealed with."""
    applier, store = sealing()
    store.write({b"poison-due": b'["ANNA"]'}, 2)
    (dead,) = dead_of(applier.apply(batch_of(due=(b"poison-due",))))
    assert dead.key == b"poison-due"
    assert b"ANNA" not in (dead.value or b"")


def test_what_is_renewed_is_written_again() -> None:
    """Else its value would lie under the secret that is gone; of a batch in parts, every renewal counts."""

    def job(_state: Any, batch: Batch) -> Result[list[int]]:
        if any(r.value == b"bad" for r in batch.records):
            return Result({b"x": [1]}, renew=[b"y"])
        return Result({r.key or b"": [1] for r in batch.records}, renew=[r.key or b"" for r in batch.records])

    applied = sealing(job)[0].apply(batch_of((b"a", b""), (b"b", b"bad"), (b"c", b"")))
    assert applied.renew == {b"a", b"c"}
    assert (set(applied.changes), applied.failures) == ({b"a", b"c"}, 1)
    assert b"must be among the changes" in (dead_of(applied)[0].value or b"")
