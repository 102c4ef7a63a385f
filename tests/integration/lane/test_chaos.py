"""Two workers under load, killed and paused past their session: nothing lost, nothing told twice."""

import random
import signal
import threading
import time
from typing import Any

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

Floor = Any  # the fixture's class lives in conftest.py, which tests cannot import

LINES = 12_000
LOAD_S = 16.0
# Longer than the workers' session timeout of 2 s, so that the group gives a paused worker's partitions away.
PAUSE_S = 3.0
KILLS = 4
PAUSES = 2


def _supervise(floor: Floor, workers: list[Any], ended: threading.Event, codes: list[int]) -> None:
    """Start again whatever ends, as a supervisor does."""
    while not ended.wait(0.1):
        for place, worker in enumerate(workers):
            if (code := worker.poll()) is not None:
                codes.append(code)
                workers[place] = floor.start()


def test_kills_and_pauses_under_load(floor: Floor) -> None:
    """Every line is counted once, whatever happens to the workers, and every total is told once."""
    floor.create_word_count(4)
    codes: list[int] = []
    ended = threading.Event()
    workers = [floor.start(), floor.start()]
    load = threading.Thread(target=floor.send_lines, args=(LINES,), kwargs={"each_s": LOAD_S / LINES})
    supervisor = threading.Thread(target=_supervise, args=(floor, workers, ended, codes))
    draws = random.Random(7)
    load.start()
    supervisor.start()
    try:
        time.sleep(3)
        for accident in draws.sample(["kill"] * KILLS + ["pause"] * PAUSES, KILLS + PAUSES):
            victim = workers[draws.randrange(2)]
            if accident == "kill":
                victim.kill()
                time.sleep(1.5)
            else:
                victim.send_signal(signal.SIGSTOP)
                time.sleep(PAUSE_S)
                victim.send_signal(signal.SIGCONT)
        load.join()
        floor.wait_counted(within_s=30)
    finally:
        ended.set()
        supervisor.join()
    assert codes.count(-signal.SIGKILL) == KILLS
    assert set(codes) <= {-signal.SIGKILL, 70}, "a worker ends by a kill or a fence, and by nothing else"
    assert floor.state() == floor.truth
    assert floor.repeated_outputs() == 0
    assert floor.read("dead-letters") == []
