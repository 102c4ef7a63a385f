"""A worker with the learners' stage only: ``python learners_worker.py BOOTSTRAP PREFIX KILL_AT_BATCH``.

With a number above 0 it dies by SIGKILL when that batch's transaction lies at the broker and is not committed.
"""

import logging
import os
import signal
import sys

from streams.agents.learners import PublishRules, learners_stage
from streams.lane.app import build, run
from streams.lane.config import LaneConfig
from streams.lane.job import Failure, Output
from streams.lane.transactions import Transactions

KEY = bytes(range(32))


def die_before_commit(nth: int) -> None:
    real, seen = Transactions.commit, [0]

    def commit(self: Transactions) -> None:
        seen[0] += 1
        if seen[0] == nth:
            self._producer.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        real(self)

    Transactions.commit = commit  # type: ignore[method-assign]  # an accident


def main(bootstrap: str, prefix: str, kill_at: str) -> int:
    logging.basicConfig(level=logging.INFO)
    if int(kill_at):
        die_before_commit(int(kill_at))

    def dead_letter(failure: Failure) -> Output:
        return Output(f"{prefix}dead-letters", failure.record.key, failure.code.encode())

    stage = learners_stage(
        KEY,
        topic=prefix.__add__,
        dead_letter=dead_letter,
        rules=PublishRules(first_examples=50, every_examples=200),
    )
    config = LaneConfig(app=f"{prefix}learners", bootstrap=bootstrap, session_timeout_s=2, heartbeat_s=0.5)
    return run(build(config, [stage]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
