"""The faults of `make chaos`: their plan, where partitions were, and what a run must have done to prove anything."""

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos import report
from tests.chaos.faults import Done, Wanted, plan
from tests.chaos.placement import moves, owners, recovered
from tests.chaos.truth import Ruled, Truth
from tests.chaos.verifier import Verdict
from tests.chaos.world import World

FULL = Wanted(kills=8, pauses=4, rescales=3, restarts=True)
SHORT = Wanted(kills=2, pauses=1, rescales=1, restarts=True)


@pytest.mark.parametrize("wanted", [FULL, SHORT], ids=["full", "short"])
@pytest.mark.parametrize("seed", range(5))
def test_a_plan_does_all_that_is_wanted(wanted: Wanted, seed: int) -> None:
    """Workers come and go in turn; each way down kills one; who pauses has others to take over."""
    steps = plan(wanted, random.Random(seed))
    did = Counter(steps)
    assert did["kill"] + did["down"] == wanted.kills
    assert (did["pause"], did["broker"], did["redis"]) == (wanted.pauses, 1, 1)
    assert [step for step in steps if step in ("up", "down")] == ["up", "down"] * wanted.rescales
    workers = 1
    for step in steps:
        workers = {"up": 3, "down": 1}.get(step, workers)
        assert step != "pause" or workers == 3


def test_a_plan_without_rescales_leaves_the_workers_alone() -> None:
    steps = plan(Wanted(kills=3, pauses=1, rescales=0, restarts=False), random.Random(1))
    assert Counter(steps) == {"kill": 3, "pause": 1}


def line(event: str, at: str) -> str:
    return json.dumps({"event": event, "timestamp": at}) + "\n"


def took(partition: int, at: str) -> str:
    return line(f"customers[{partition}]: 7 keys recovered in 0.5 s", at)


def test_logs_tell_where_partitions_were(tmp_path: Path) -> None:
    """Over rotated logs and torn lines; a worker that takes its own partition again has moved nothing."""
    (tmp_path / "worker-1.log.1").write_text(took(0, "T1") + took(1, "T1"))
    (tmp_path / "worker-1.log").write_text(
        took(1, "T2") + line("learners[0]: 1 keys recovered in 0.5 s", "T3") + took(1, "T9")[:60] + "\n" + took(0, "T5")
    )
    (tmp_path / "worker-2.log").write_text(took(0, "T4"))
    (tmp_path / "serve.log").write_text(took(1, "T8"))
    found = recovered(tmp_path)
    assert [each.at for each in found] == ["T1", "T1", "T2", "T4", "T5"]
    assert owners(found) == {0: "worker-1", 1: "worker-1"}
    assert owners(found[:-1]) == {0: "worker-2", 1: "worker-1"}
    assert moves(found) == 2


def good() -> tuple[Truth, World, Done]:
    truth = Truth(ids={str(number) for number in range(100)}, links=40)
    one, other = ("email", "a"), ("email", "b")
    truth.rulings = [Ruled(kind, kind, one, other, 1) for kind in ("cut", "split", "merge", "erase")]
    world = World(merges=[{"kind": "merged"}] * 10, outcomes=Counter([b"customer"]))
    return truth, world, Done(kills=2, pauses=1, broker_restarts=1, redis_restarts=1, rebalances=2, merges=100)


def test_a_good_run_is_ok() -> None:
    truth, world, done = good()
    told = report.of(truth, world, Verdict(), wanted=SHORT, done=done, moved=4)
    assert told["ok"], told["notes"]
    assert (told["links"], told["identity_differences"], told["merges"]) == (40, 0, 10)


@pytest.mark.parametrize("name", list(Verdict().findings))
def test_no_finding_is_ok(name: str) -> None:
    truth, world, done = good()
    verdict = Verdict()
    setattr(verdict, name, 1)
    told = report.of(truth, world, verdict, wanted=SHORT, done=done, moved=4)
    assert (told["ok"], told[name]) == (False, 1)


@pytest.mark.parametrize(
    ("less", "note"),
    [
        ({"kills": 1}, "only 1 of 2 kills"),
        ({"pauses": 0}, "0 of 1 pauses"),
        ({"broker_restarts": 0}, "0 restarts of the broker"),
        ({"redis_restarts": 0}, "0 of Redis"),
        ({"merges": 99}, "only 99 of 10 merges under fire"),
        ({"rebalances": 1}, "only 1 of 2 rebalances"),
        ({"missed": ["worker-3 had none"]}, "worker-3 had none"),
    ],
)
def test_a_run_without_its_faults_proves_nothing(less: dict[str, object], note: str) -> None:
    truth, world, done = good()
    told = report.of(truth, world, Verdict(), wanted=SHORT, done=replace(done, **less), moved=4)  # type: ignore[arg-type]  # table
    assert not told["ok"]
    assert note in told["notes"][0]


def test_a_run_without_its_merges_proves_nothing() -> None:
    truth, world, done = good()

    def notes(truth: Truth = truth, world: World = world, moved: int = 4) -> str:
        told = report.of(truth, world, Verdict(), wanted=SHORT, done=done, moved=moved)
        assert not told["ok"]
        return str(told["notes"])

    assert "only 39 of 100 signals link" in notes(truth=replace(truth, links=39))
    assert "nothing came of any action" in notes(world=replace(world, outcomes=Counter()))
    assert "only 9 merges" in notes(world=replace(world, merges=world.merges[1:]))
    assert "3 partitions moved" in notes(moved=3)
    assert "no split was ruled" in notes(truth=replace(truth, rulings=truth.rulings[:1]))
