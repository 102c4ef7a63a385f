"""Where the time of the loop goes: the customers job alone, in this process, sampled on its CPU time.

A timer of the process's CPU time interrupts the job, and the innermost stage on the stack takes the sample: unlike a
tracing profiler that makes small functions look large. What the worker spends besides (the lane, Faust, both Kafka
clients, learners) is the rest of the CPU time measured on it.
"""

import signal as signals
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from deploy.local.topology import LOCAL_PARTITIONS
from models.scorers import ScorerSet
from schemas import topics, wire
from schemas.codecs import Codecs
from streams.agents import customers, naming, outgoing
from streams.agents.catalogue_command import read_file
from streams.agents.customers import Customers, stage
from streams.agents.routing import Owner
from streams.agents.tally import Tally
from streams.app import MAX_BATCH
from streams.core import (
    attribution,
    customer,
    decide,
    facet,
    features,
    golden_record,
    identity,
    labels,
    profile,
    validate,
)
from streams.lane.job import Batch, Record
from tests.bench import rig
from tests.bench.traffic import Sent

# The kernel's own tick is no finer.
EVERY_S = 0.004
REST = "lane, Faust, Kafka clients, learners"

STAGES: dict[Callable[..., Any], str] = {
    wire.Codec.decode: "decode signals and messages",
    validate.check: "check",
    naming.Namer.name: "name",
    facet.fold: "fold",
    golden_record.merge: "golden record",
    features.vector: "features",
    ScorerSet.score: "score",
    labels.open_labels: "labels",
    labels.close_by_time: "labels",
    labels.close_by_signal: "labels",
    attribution.on_time: "attribution",
    attribution.on_outcome: "attribution",
    attribution.on_signal: "attribution",
    customer._decide: "decide",
    decide.decide: "decide",
    identity.claim: "identity",
    identity.handle: "identity",
    identity.open_root: "identity",
    identity.forward: "identity",
    identity.shorten: "identity",
    profile.profile_of: "profile",
    wire.Codec.encode: "encode outputs",
    outgoing.of_message: "encode outputs",
    Tally.batch: "metrics",
    customers._Run.result: "route and keep books",
}


class Sampler:
    """Counts by stage what the interrupted stack was in."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._stages: dict[CodeType, str] = {function.__code__: name for function, name in STAGES.items()}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Sample while the block runs; only in the main thread."""
        before = signals.signal(signals.SIGPROF, self._take)
        signals.setitimer(signals.ITIMER_PROF, EVERY_S, EVERY_S)
        try:
            yield
        finally:
            signals.setitimer(signals.ITIMER_PROF, 0)
            signals.signal(signals.SIGPROF, before)

    def _take(self, _number: int, frame: FrameType | None) -> None:
        while frame is not None:
            found = self._stages.get(frame.f_code) or _LOCAL.get(frame.f_code)
            if found is not None:
                self.counts[found] += 1
                return
            frame = frame.f_back
        self.counts["other"] += 1


def job() -> Customers:
    """Return the customers job as a worker runs it before it has models."""
    brain = customer.Brain(ScorerSet(), read_file(rig.CATALOGUE))
    return Customers(
        wire=outgoing.Wire(Codecs(lambda name: name)),
        namer=naming.Namer(rig.hasher(), "DE"),
        owner=Owner(LOCAL_PARTITIONS),
        brain=lambda: brain,
        tally=Tally(),
    )


def run(agent: Customers, sent: list[Sent], kept: dict[bytes, Any] | None = None) -> Counter[str]:  # noqa: C901 - one loop, read top to bottom
    """Run signals through the job, batch by batch as the lane does, messages between partitions included.

    Parameters
    ----------
    kept : gets all partitions' records at the end

    Returns
    -------
    outputs by topic
    """
    staged = stage(agent, max_batch=MAX_BATCH)
    count = agent.owner.partitions
    known: list[dict[bytes, Any]] = [{} for _ in range(count)]
    due: list[dict[bytes, int]] = [{} for _ in range(count)]
    waiting: list[list[Record]] = [[] for _ in range(count)]
    stream_ms = [0] * count
    now_ms = int(time.time() * 1000)
    outputs: Counter[str] = Counter()
    for offset, (topic, key, value, _) in enumerate(sent):
        number = agent.owner.partition_of(key)
        waiting[number].append(Record(topic, number, offset, now_ms, key, value))
    while any(waiting):
        for number in range(count):
            records, waiting[number] = waiting[number][:MAX_BATCH], waiting[number][MAX_BATCH:]
            ran_out = [key for key, at in due[number].items() if at <= stream_ms[number]][:MAX_BATCH]
            if not records and not ran_out:
                continue
            result = agent(known[number], Batch(number, records, ran_out, stream_ms[number]))
            if result.failures:
                raise RuntimeError(f"{len(result.failures)} signals failed, first: {result.failures[0].detail}")
            stream_ms[number] = result.stream_ms or 0
            _apply(staged, result.changes, known[number], due[number])
            arrived: list[list[Record]] = [[] for _ in range(count)]
            for output in result.outputs:
                outputs[output.topic] += 1
                if output.topic == topics.INBOX and output.key is not None:
                    owner = agent.owner.partition_of(output.key)
                    arrived[owner].append(Record(topics.INBOX, owner, 0, now_ms, output.key, output.value))
            for owner in range(count):
                waiting[owner][:0] = arrived[owner]
    if kept is not None:
        for part in known:
            kept.update(part)
    return outputs


def _apply(staged: Any, changes: Any, known: dict[bytes, Any], due: dict[bytes, int]) -> None:
    """Encode and keep the changed state, as the lane's applier does."""
    for key, value in changes.items():
        if value is None:
            known.pop(key, None)
            due.pop(key, None)
            continue
        staged.encode(value)
        known[key] = value
        at = staged.due_ms(value)
        if at is None:
            due.pop(key, None)
        else:
            due[key] = at


_LOCAL: dict[CodeType, str] = {_apply.__code__: "encode state", run.__code__: "the bench itself"}


def measure(sent: list[Sent], *, whole_us: float) -> dict[str, dict[str, float]]:
    """Return by stage the CPU microseconds per signal and the share of the worker's whole, largest first.

    Parameters
    ----------
    whole_us : CPU time per signal of a worker, as measured on it; 0 when it was not
    """
    agent, sampler = job(), Sampler()
    began = time.process_time()
    with sampler.running():
        run(agent, sent)
    job_us = (time.process_time() - began) / len(sent) * 1e6
    counted = sum(sampler.counts.values())
    by_stage = {
        name: job_us * count / counted for name, count in sampler.counts.most_common() if name != "the bench itself"
    }
    whole = max(whole_us, sum(by_stage.values()))
    by_stage[REST] = whole - sum(by_stage.values())
    ordered = sorted(by_stage.items(), key=lambda entry: -entry[1])
    return {name: {"us": round(us, 1), "share": round(us / whole, 3)} for name, us in ordered}
