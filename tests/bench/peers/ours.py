"""Count per key in the lane: ``ours.py BOOTSTRAP SOURCE RUN``; the changelog is ``{RUN}-changelog``."""

import sys

from streams.lane.app import build, run
from streams.lane.config import LaneConfig
from streams.lane.job import Batch, Failure, Output, Result, Stage, State


def count(state: State[int], batch: Batch) -> Result[int]:
    totals: dict[bytes, int] = {}
    for record in batch.records:
        key = record.key or b""
        total = totals.get(key)
        totals[key] = (state.get(key) or 0) + 1 if total is None else total + 1
    return Result(totals)


def dead_letter(failure: Failure) -> Output:
    raise AssertionError(f"no record fails here: {failure.detail}")


if __name__ == "__main__":
    bootstrap, source, name = sys.argv[1:4]
    stage = Stage(
        "count", (source,), f"{name}-changelog", count, lambda n: b"%d" % n, int, dead_letter,
        # 5,000: some 100 ms of records at this rate; Kafka Streams commits each 100 ms by default.
        max_batch=5_000,
    )  # fmt: skip
    sys.exit(run(build(LaneConfig(app=name, bootstrap=bootstrap), [stage])))
