"""What a run comes to: the numbers of ``var/reports/chaos.json``, and whether it proves anything."""

from collections.abc import Iterator
from typing import Any

from tests.chaos.faults import Done, Wanted
from tests.chaos.truth import Truth
from tests.chaos.verifier import Verdict
from tests.chaos.world import World

# Of all signals so many must tie what nothing has tied before, and so many must make one of two with a history.
LEAST_LINKS = 0.4
LEAST_MERGES = 0.1
# So many merges must be done before the last fault is over, not when workers catch up in peace.
LEAST_UNDER_FIRE = 100

MOST_NOTES = 40


def of(truth: Truth, world: World, verdict: Verdict, *, wanted: Wanted, done: Done, moved: int) -> dict[str, Any]:
    """Return the report.

    Parameters
    ----------
    moved : how often a partition came to another worker
    """
    missing = list(_missing(truth, world, wanted, done, moved))
    return {
        "signals": truth.written,
        "unique": len(truth.ids),
        "retries": truth.retries,
        "garbage": truth.garbage,
        "outcomes": world.outcomes.total(),
        "links": truth.links,
        "links_share": round(truth.links / max(1, len(truth.ids)), 3),
        "identifiers": len(world.identities),
        "customers": len(world.profiles),
        "merges": _merges(world),
        "merges_under_fire": done.merges,
        "rulings": len(truth.rulings),
        "erased": len(truth.erased()),
        "households": len(truth.households),
        "kills": done.kills,
        "pauses": done.pauses,
        "broker_restarts": done.broker_restarts,
        "redis_restarts": done.redis_restarts,
        "rebalances": done.rebalances,
        "partitions_moved": moved,
        **verdict.findings,
        "notes": (missing + verdict.notes)[:MOST_NOTES],
        "ok": verdict.ok and not missing,
    }


def _merges(world: World) -> int:
    return sum(each["kind"] == "merged" for each in world.merges)


def _missing(truth: Truth, world: World, wanted: Wanted, done: Done, moved: int) -> Iterator[str]:
    """Say what did not happen, and had to, for the run to prove anything."""
    signals, merges = len(truth.ids), _merges(world)
    if truth.links < LEAST_LINKS * signals:
        yield f"only {truth.links} of {signals} signals link, not {LEAST_LINKS:.0%}"
    if merges < LEAST_MERGES * signals:
        yield f"only {merges} merges in {signals} signals, not {LEAST_MERGES:.0%}"
    if done.merges < LEAST_UNDER_FIRE:
        yield f"only {done.merges} of {merges} merges under fire"
    if done.kills < wanted.kills or done.pauses < wanted.pauses:
        yield f"only {done.kills} of {wanted.kills} kills, {done.pauses} of {wanted.pauses} pauses"
    if wanted.restarts and not (done.broker_restarts and done.redis_restarts):
        yield f"{done.broker_restarts} restarts of the broker, {done.redis_restarts} of Redis"
    if not world.outcomes:
        yield "nothing came of any action: no outcome is a signal"
    # One way up moves two partitions at least, the way back as many.
    if done.rebalances < 2 * wanted.rescales or moved < 4 * wanted.rescales:
        yield f"only {done.rebalances} of {2 * wanted.rescales} rebalances, {moved} partitions moved"
    for kind in ("cut", "split", "merge", "erase"):
        if not any(ruled.kind == kind for ruled in truth.rulings):
            yield f"no {kind} was ruled"
    yield from done.missed
