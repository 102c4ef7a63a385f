"""The customers agent in a rebuild: a partition of a new generation takes the past in, one of the old gives over.

What a rebuild tells a partition comes in one topic, ``replay``, in order. A generation that is built decides nothing:
for signals that are replayed, and for timers while it is building, effects go nowhere. Where each signal is decided is
in the log: everything before a partition's *drain* by the old generation, the rest by the new one, after its *live*.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from schemas import topics
from schemas.identifiers import Identifier
from schemas.views import DecisionView, Signal
from schemas.wire import WireError
from streams.core import identity
from streams.core.done import take_done
from streams.core.facet_state import ConsentGiven
from streams.core.links import Deliver, Done, Message
from streams.core.state import PHASE_KEY, Erased, Kept, NodeRecord, Phase, Root, Withdrawn
from streams.core.validate import check
from streams.lane.job import Output, Record

if TYPE_CHECKING:
    from streams.agents.customers import _Run

BUILDING, DRAINING, LIVE = "building", "draining", "live"
_PHASES = {"build": BUILDING, "drain": DRAINING, "live": LIVE}
# Header of a ruling that lies in a generation's topic for readers only: it was obeyed in the replay.
CARRIED = "carried"
# What a partition that is draining leaves to the next generation, and what one that builds gets by replay only.
_LEFT = frozenset({topics.TICKS, topics.RULINGS, *(topics.signals(channel) for channel in topics.CHANNELS)})


class Past(NamedTuple):
    """Where a replayed signal comes from: what an Arrival needs."""

    name: str
    signal: Signal
    raw: bytes
    origin: str
    at_ms: int
    arrived_at_ms: int


def phase_of(run: "_Run") -> str:
    """Return a partition's phase: LIVE where there never was a rebuild."""
    found = cast("Phase | None", run.known.get(PHASE_KEY))
    return LIVE if found is None else found.phase


def is_left_out(run: "_Run", name: str, record: Record) -> bool:
    """Say whether a record is another generation's, or has been replayed."""
    if name == topics.RULINGS and any(header == CARRIED for header, _ in record.headers):
        return True
    if run.phase == DRAINING:
        return name in _LEFT
    return run.phase == BUILDING and name == topics.TICKS


def take(run: "_Run", record: Record, raw: bytes) -> None:
    """Take in what a rebuild tells."""
    said = run.agent.wire.codec(topics.REPLAY).decode(raw)
    kind = said["kind"]
    if kind in _PHASES or kind == "pass":
        _change_phase(run, record, said)
    elif kind == "tick":
        run.stream_ms = max(run.stream_ms, said["at_ms"])
    elif kind == "signal":
        _replay(run, said)
    elif kind == "ruling":
        run.take_ruling(said["value"])
    elif kind == "decision":
        take_decision(run, Message(said["node"], said["node"], Done(said["node"], said["value"])))
    elif kind == "mark":
        _mark(run, said["node"], said["at_ms"], said["mark"])
    else:
        raise WireError("bad-replay", f"kind {kind[:40]!r} is none that a rebuild tells")


def _change_phase(run: "_Run", record: Record, said: Mapping[str, Any]) -> None:
    """Enter a phase, and answer: the answer is committed with all that was done before it."""
    kind = said["kind"]
    if kind == "drain" and run.phase == DRAINING:
        return  # its first answer counts: what came since is not this generation's
    if kind == "pass":
        run.stream_ms = max(run.stream_ms, said["at_ms"])
    else:
        run.phase = _PHASES[kind]
        phase = Phase(run.phase, said["generation"])
        run.records[PHASE_KEY] = cast("NodeRecord", phase)
        run.changed.add(PHASE_KEY)
    read = dict(run.batch.read)
    for earlier in run.batch.records:
        if earlier is record:
            break
        read[earlier.topic] = earlier.offset + 1
    answer = {
        "generation": said["generation"],
        "partition": record.partition,
        "phase": kind,
        "stream_ms": run.stream_ms,
        "due": len(run.batch.due),
        "read": read,
    }
    wire, key = run.agent.wire, f"{said['generation']}/{record.partition}/{kind}".encode()
    value = wire.codec(topics.GENERATIONS).encode({"answer": answer})
    run.answers.append(Output(wire.topic(topics.GENERATIONS), key, value, partition=0))


def _replay(run: "_Run", said: Mapping[str, Any]) -> None:
    name, raw, arrived_at_ms = said["topic"], said["value"], said["at_ms"]
    if not name.startswith("signals."):
        raise WireError("bad-replay", f"{name[:80]!r} holds no signals")
    signal = cast("Signal", run.agent.wire.codec(name).decode(raw))
    at_ms = min(check(signal), arrived_at_ms)
    run.brain.rules.admit(signal, run.past.broken)
    run.stream_ms = max(run.stream_ms, at_ms)
    origin = f"{run.agent.wire.topic(name)}/{said['origin']}"
    named = run.agent.namer.name(signal, name)
    if run.find(named.node) is None and not run.owns(named.node):
        deliver = Deliver(named.node, raw, origin, arrived_at_ms)
        run.travelling.append(Message(named.node, named.node, deliver))
    else:
        run.bring_past(named, Past(name, signal, raw, origin, at_ms, arrived_at_ms))


def take_decision(run: "_Run", message: Message) -> None:
    """Bring a decision of another generation to its customer, along the pointers as far as they stay here."""
    body = cast("Done", message.body)
    to, hops = message.to, message.hops
    while True:
        if not run.owns(to):
            run.travelling.append(Message(to, body.node, body, hops))
            return
        found = run.find(to)
        if isinstance(found, Erased):
            return
        if found is None:
            _decided_for_nobody(run, body)
            return
        if isinstance(found, Root) and body.node in found.members:
            break
        (onward,) = identity.onward(found, body.node, Message(to, body.node, body, hops)).messages
        if onward.by_log:
            run.travelling.append(onward)
            return
        to, hops = onward.to, onward.hops
    decision = _decision(run, body)
    if take_done(found, body.node, decision):
        _pass_on(run, body, decision["customer"])
    run.changed.add(found.node)
    run.touched[found.node] = None


def _decided_for_nobody(run: "_Run", body: Done) -> None:
    """Try the customer that the action was sent to; of him, too, no signal may be kept any more."""
    customer = _decision(run, body)["customer"]
    if customer == body.node:
        run.noted["decision-of-nobody"] += 1
    else:
        _pass_on(run, body, customer)


def _pass_on(run: "_Run", body: Done, customer: bytes) -> None:
    take_decision(run, Message(customer, customer, Done(customer, body.decision)))


def _decision(run: "_Run", body: Done) -> DecisionView:
    return cast("DecisionView", run.agent.wire.codec(topics.DECISIONS).decode(body.decision, strict=False))


def _mark(run: "_Run", node: bytes, at_ms: int, mark: Mapping[str, Any]) -> None:
    """Open a customer for a node that operators have parted from others, before any signal can tie it again."""
    if run.find(node) is not None:
        return
    identifier = Identifier(mark["kind"], mark["value"], mark["original"])
    step = identity.open_root(node, identifier, signal_id=mark["signal_id"], source=mark["source"], now_ms=at_ms)
    root = cast("Root", step.record)
    root.members[node].cuts = dict(zip(mark["cuts"], mark["sides"], strict=True))
    root.kept = _kept(mark["withdrawn"])
    run.step(node, step)


def _kept(withdrawn: Sequence[Mapping[str, Any]]) -> Kept | None:
    """Return what each side of a split keeps: the whole's withdrawals. Its contacts come as decisions."""
    held = {}
    for each in withdrawn:
        given = ConsentGiven(granted=False, at_ms=each["at_ms"], source=each["source"], proof="")
        held[f"{each['purpose']}|{each['channel']}"] = Withdrawn(given, each["since_ms"])
    return Kept(held) if held else None
