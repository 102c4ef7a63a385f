"""A word count, exactly once, whole: ``python -m streams.lane.examples.word_count BOOTSTRAP PREFIX``.

It reads ``{PREFIX}lines``, keeps its totals in ``{PREFIX}words-changelog`` (compacted, as many partitions), tells each
new total in ``{PREFIX}counts`` and what it cannot read in ``{PREFIX}dead-letters``.
Run it twice and kill one: it counts on.
"""

import logging
import sys

from streams.lane.app import build, run
from streams.lane.config import LaneConfig
from streams.lane.job import Batch, Failure, Output, Result, Stage, State


def stage(prefix: str, *, max_batch: int = 1000) -> Stage[int]:
    """Return the word count of some topics."""

    def count(state: State[int], batch: Batch) -> Result[int]:
        totals: dict[bytes, int] = {}
        for record in batch.records:
            for word in (record.value or b"").decode().split():
                key = word.encode()
                totals[key] = totals.get(key, state.get(key) or 0) + 1
        return Result(totals, [Output(f"{prefix}counts", word, b"%d" % n) for word, n in totals.items()])

    def dead_letter(failure: Failure) -> Output:
        detail = f"{failure.code}: {failure.detail}".encode()
        return Output(f"{prefix}dead-letters", failure.record.key, failure.record.value, headers=(("reason", detail),))

    return Stage(
        name="words",
        sources=(f"{prefix}lines",),
        changelog=f"{prefix}words-changelog",
        job=count,
        encode=lambda total: b"%d" % total,
        decode=int,
        dead_letter=dead_letter,
        max_batch=max_batch,
    )


def main(bootstrap: str, prefix: str) -> int:
    """Run one worker."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return run(build(LaneConfig(app=f"{prefix}word-count", bootstrap=bootstrap), [stage(prefix)]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
