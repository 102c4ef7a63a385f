"""The customers agent: signals, messages between nodes, and ticks of one partition, a batch at a time.

A batch reads as: let time pass for whom it is due → take each record in → write each changed customer once, and its
profile. Everything that is decided is decided in ``streams.core``; here it is found, routed and encoded.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, cast

import msgspec

from schemas import topics
from schemas.identifiers import Identifier
from schemas.views import Signal
from schemas.wire import WireError
from streams.agents import replaying
from streams.agents.naming import Named, Namer
from streams.agents.near_outgoing import of_near
from streams.agents.outgoing import Wire, is_node, of_effects, of_events, of_message, without_bytes
from streams.agents.replaying import BUILDING, LIVE, Past
from streams.agents.routing import Owner
from streams.agents.tally import Tally
from streams.agents.words import state_words
from streams.core import identity, split, state
from streams.core.ceiling import keep_below
from streams.core.customer import Brain, Effects, decide_on, observe, pass_time
from streams.core.errors import ErasedError, SignalError
from streams.core.golden_record import merge, moment_of
from streams.core.links import Deliver, Done, Event, Forgotten, Joined, Merged, Message, Parted, Rule, Step, from_wire
from streams.core.near.carding import recard
from streams.core.profile import profile_of
from streams.core.relations.messages import Place
from streams.core.relations.related import Groups, seek
from streams.core.state import Erased, Group, NodeRecord, Root
from streams.core.turn import ProtocolError
from streams.core.validate import check
from streams.core.view import GoldenRecord
from streams.lane.job import Batch, Failure, Output, Record, Result, Stage, State

STAGE = "customers"


class Arrival(NamedTuple):
    """A signal on its way to its customer. ``raw`` is its wire format, ``origin`` topic/partition/offset.

    ``replayed_at_ms``: when it first arrived, if a rebuild replays it.
    """

    named: Named
    signal: Signal
    at_ms: int
    raw: bytes
    origin: str
    replayed_at_ms: int = 0


class Customers:
    """The job: what it needs besides state and batch. One per worker, shared by its partitions.

    Parameters
    ----------
    wire : codecs and topics
    namer : identifiers to nodes
    owner : nodes to partitions
    brain : returns rules, catalogue and models as they are now; asked once per batch
    tally : counts for the metrics
    """

    def __init__(self, *, wire: Wire, namer: Namer, owner: Owner, brain: Callable[[], Brain], tally: Tally) -> None:
        self.wire = wire
        self.namer = namer
        self.owner = owner
        self.brain = brain
        self.tally = tally
        self.bare = {wire.topic(name): name for name in topics.CUSTOMER_SOURCES}

    def __call__(self, known: State[NodeRecord], batch: Batch) -> Result[NodeRecord]:
        """Run a batch."""
        return _Run(self, known, batch).result()


class _Run:
    """One batch: the records it touched and what comes of it."""

    def __init__(self, agent: Customers, known: State[NodeRecord], batch: Batch) -> None:
        self.agent = agent
        self.known = known
        self.batch = batch
        brain = agent.brain()
        relations = brain.rules.relations
        groups = Groups(relations, agent.namer.group, agent.namer.node_of) if relations else None
        self.brain = replace(brain, groups=groups)
        self.refers = groups if any(relation.identifier for relation in relations) else None
        self.near = self.brain.identity.near is not None
        # What decides nothing: for the past.
        self.quiet = replace(self.brain, catalogue=None)
        self.phase = LIVE
        self.stream_ms = batch.stream_ms
        self.records: dict[bytes, NodeRecord | None] = {}
        self.changed: set[bytes] = set()
        # Customers whose profile is to be written, with the golden record where it is fresh.
        self.touched: dict[bytes, GoldenRecord | None] = {}
        self.queue: deque[Message] = deque()
        self.travelling: list[Message] = []
        self.events: list[Event] = []
        self.effects = Effects()
        # What the past comes to: another generation has done it. Groups are told all the same: they are this one's.
        self.past = Effects(messages=self.effects.messages)
        self.answers: list[Output] = []
        self.failures: list[Failure] = []
        self.noted: Counter[str] = Counter()

    def result(self) -> Result[NodeRecord]:
        """Do the work of the batch."""
        self.phase = replaying.phase_of(self)
        building = self.phase == BUILDING
        for key in self.batch.due:
            self._let_time_pass(key)
        self._drain()
        for record in self.batch.records:
            try:
                self._take(record)
            except ErasedError as exc:
                self.failures.append(without_bytes(record, exc))
            except (WireError, SignalError) as exc:
                self.failures.append(Failure(record, exc.code, str(exc)))
            except ProtocolError as exc:  # pointers that lead nowhere; nothing was changed
                self.failures.append(Failure(record, "bad-message", str(exc)))
            self._drain()
        for node in self.changed:
            if isinstance(changed := self.records[node], Root):
                self.noted["facet-gave-up"] += keep_below(changed)
        wire = self.agent.wire
        self._drop_effects_on_erased()
        outputs = [of_message(wire, message, self.stream_ms) for message in self.travelling]
        outputs += of_events(wire, self.events, self.stream_ms)
        outputs += of_near(wire, self.events, self.stream_ms, self.agent.owner.partitions)
        outputs += of_effects(wire, self.effects)
        outputs += [self._profile(node, fresh) for node, fresh in self.touched.items()]
        outputs += self.answers
        merged = {event.customer for event in self.events if isinstance(event, Merged)}
        sizes = [len(root.members) for node in merged if isinstance(root := self.records.get(node), Root)]
        if not building:  # what comes of the past was counted when it came
            self.agent.tally.merged(sizes)
            self.agent.tally.batch(self.effects, self.events, self.noted, self.failures)
        return Result(
            changes={key: self.records[key] for key in self.changed},
            # What was written of the whole must not outlive a part of it that is erased one day.
            renew={event.customer for event in self.events if isinstance(event, Parted)},
            outputs=outputs,
            failures=self.failures,
            stream_ms=self.stream_ms,
        )

    # ── state ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, node: bytes) -> NodeRecord | None:
        if node in self.records:
            return self.records[node]
        found = self.records[node] = self.known.get(node)
        return found

    def owns(self, node: bytes) -> bool:
        return self.agent.owner.partition_of(node) == self.batch.partition

    def step(self, node: bytes, step: Step) -> None:
        """Take in what identity says of a node: its record, its messages, its events."""
        if step.changed:
            self.records[node] = step.record
            self.changed.add(node)
            if isinstance(step.record, Root):
                self.touched[node] = None
            else:
                self.touched.pop(node, None)
        self.events.extend(step.events)
        if self.refers:
            self.queue.extend(m for e in step.events if isinstance(e, Joined) for m in seek(e, self.refers))
        self.queue.extend(step.messages)

    def _drop_effects_on_erased(self) -> None:
        """Keep to ourselves what was decided for customers who are erased by the end of the batch."""
        gone = {node for event in self.events if isinstance(event, Forgotten) for node in event.nodes}
        if gone:
            effects = self.effects
            effects.decisions = [each for each in effects.decisions if each["customer"] not in gone]
            effects.actions = [each for each in effects.actions if each["customer"] not in gone]

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _let_time_pass(self, node: bytes) -> None:
        record = self.find(node)
        if isinstance(record, Root):
            brain, effects = (self.quiet, self.past) if self.phase == BUILDING else (self.brain, self.effects)
            pass_time(record, self.stream_ms, brain, effects)
            self.touched[node] = None  # what is published is as of its newest signal, not of the timer
            self.changed.add(node)

    # ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, record: Record) -> None:
        name = self.agent.bare[record.topic]
        if record.value is None:
            raise WireError("empty", f"a record without a value means nothing on {name}")
        if replaying.is_left_out(self, name, record):
            return
        if name == topics.TICKS:
            tick = self.agent.wire.codec(name).decode(record.value)
            self.stream_ms = max(self.stream_ms, min(tick["at_ms"], record.timestamp_ms))
        elif name == topics.INBOX:
            self._take_message(record, record.value)
        elif name == topics.RULINGS:
            self.take_ruling(record.value)
        elif name == topics.REPLAY:
            replaying.take(self, record, record.value)
        else:
            self._take_signal(record, name, record.value)

    def _take_signal(self, record: Record, name: str, raw: bytes) -> None:
        """Take a signal in where it first arrives: check it, name it, and bring it to its customer."""
        signal = cast("Signal", self.agent.wire.codec(name).decode(raw))
        origin = f"{record.topic}/{record.partition}/{record.offset}"
        try:
            # Stream time follows the customers' clocks as corrected, but never past the broker's own: a signal dated
            # 2099 must not run out every customer's labels.
            at_ms = min(check(signal), record.timestamp_ms)
            self.brain.rules.admit(signal, self.effects.broken)
            named = self.agent.namer.name(signal, name)
        except SignalError:
            self._refuse_of_erased(signal, name, origin)
            raise
        for code in named.unusable:
            self.noted[f"identifier-{code}"] += 1
        self.stream_ms = max(self.stream_ms, at_ms)
        arrival = Arrival(named, signal, at_ms, raw, origin)
        if self.find(named.node) is None and not self.owns(named.node):
            self.travelling.append(Message(named.node, named.node, Deliver(named.node, raw, arrival.origin)))
            self.noted["forwarded"] += 1
        else:
            self._bring(named.node, arrival, hops=0)

    def _refuse_of_erased(self, signal: Signal, name: str, origin: str) -> None:
        """See to it that the dead letter of a signal that cannot be taken holds nothing of an erased customer.

        As far as this partition knows: producers key by the strongest identifier, whose mark lies here.
        """
        try:
            named = self.agent.namer.name(signal, name)
        except SignalError:
            return
        for node in (named.node, *(node for node, _ in named.others)):
            if isinstance(self.find(node), Erased):
                raise ErasedError(node, origin)

    def take_ruling(self, raw: bytes) -> None:
        """Bring an operator's ruling to the customer of its node."""
        ruling = self.agent.wire.codec(topics.RULINGS).decode(raw)
        rule = Rule(ruling["id"], ruling["kind"], ruling["node"], ruling["other"])
        if ruling["kind"] not in split.RULINGS:
            raise WireError("bad-ruling", f"kind {rule.kind[:40]!r} is not one of {', '.join(sorted(split.RULINGS))}")
        if not (is_node(rule.node) and (is_node(rule.other) or rule.kind not in split.OF_TWO)):
            raise WireError("bad-ruling", f"a {rule.kind} names nodes of 16 bytes")
        self.queue.append(Message(rule.node, rule.node, rule))

    def _take_message(self, record: Record, raw: bytes) -> None:
        wired = self.agent.wire.codec(topics.INBOX).decode(raw, strict=False, max_bytes=topics.STATE_MAX_BYTES)
        try:
            message = from_wire(wired)
        except ValueError as exc:
            raise WireError("bad-message", str(exc)) from None
        if not is_node(message.to):
            raise WireError("bad-message", "the receiving node does not have 16 bytes")
        body = message.body
        if isinstance(body, Deliver):
            name = self.agent.bare.get(body.origin.split("/", 1)[0], "")
            if not name.startswith("signals."):
                raise WireError("bad-message", f"a delivered signal names no topic of signals: {body.origin[:80]!r}")
            signal = cast("Signal", self.agent.wire.codec(name).decode(body.signal, strict=False))
            at_ms = min(check(signal), body.replayed_at_ms or record.timestamp_ms)
            named = self.agent.namer.name(signal, name)
            arrival = Arrival(named, signal, at_ms, body.signal, body.origin, body.replayed_at_ms)
            self._bring(message.to, arrival, hops=message.hops)
        elif isinstance(body, Done):
            replaying.take_decision(self, message)
        else:
            try:
                step = self._handle(message)
            except (ProtocolError, msgspec.DecodeError) as exc:  # raised before anything was changed
                raise WireError("bad-message", f"{type(exc).__name__}: {exc}") from None
            self.step(message.to, step)

    def _handle(self, message: Message) -> Step:
        found, body = self.find(message.to), message.body
        if isinstance(body, Place) and isinstance(found, Root) and body.node in found.members:
            decide_on(found, body, stream_ms=self.stream_ms, brain=self.brain, effects=self.effects)
            return Step(found)
        return identity.handle(self.find(message.to), message, now_ms=self.stream_ms, rules=self.brain.identity)

    def _drain(self) -> None:
        """Handle messages for nodes of this partition at once, first in first out; the others travel."""
        queue, told = self.queue, self.effects.messages
        while queue or told:
            queue.extend(told)
            told.clear()
            message = queue.popleft()
            if self.owns(message.to) and not message.by_log:
                self.step(message.to, self._handle(message))
            else:
                self.travelling.append(message)

    # ── a signal at its customer ─────────────────────────────────────────────────────────────────────────────────────

    def _bring(self, to: bytes, arrival: Arrival, *, hops: int) -> None:
        """Follow the pointers from a node to its root, as far as they stay on this partition, and fold the signal."""
        own = arrival.named.node
        found = self.find(to)
        while not isinstance(found, Root) or own not in found.members:
            if found is None:
                found = self._open(to, arrival)
                break
            if isinstance(found, Group):
                raise SignalError("unknown-customer", f"{to.hex()} is no customer but a group of them")
            if isinstance(found, Erased) and to == own:
                raise ErasedError(own, arrival.origin)
            deliver = Deliver(own, arrival.raw, arrival.origin, arrival.replayed_at_ms)
            message = Message(to, own, deliver, hops)
            (onward,) = identity.onward(found, own, message).messages
            if onward.by_log or not self.owns(onward.to):
                self.travelling.append(onward)
                return
            to, hops = onward.to, onward.hops
            found = self.find(to)
        self.queue.extend(identity.shorten(found, own, hops))
        self._observe(found, arrival)

    def bring_past(self, named: Named, past: Past) -> None:
        """Bring a replayed signal to its customer."""
        arrival = Arrival(named, past.signal, past.at_ms, past.raw, past.origin, past.arrived_at_ms)
        self._bring(named.node, arrival, hops=0)

    def _open(self, to: bytes, arrival: Arrival) -> Root:
        named = arrival.named
        if named.identifier is None or to != named.node:
            raise SignalError("unknown-customer", f"there is no customer {to.hex()}")
        signal = arrival.signal
        step = identity.open_root(
            to, named.identifier, signal_id=signal["id"], source=signal["source"], now_ms=self.stream_ms
        )
        self.step(to, step)
        return cast("Root", step.record)

    def _observe(self, root: Root, arrival: Arrival) -> None:
        named, signal = arrival.named, arrival.signal
        fresh = observe(
            root,
            named.node,
            signal,
            arrival.at_ms,
            stream_ms=self.stream_ms,
            brain=self.quiet if arrival.replayed_at_ms else self.brain,
            effects=self.past if arrival.replayed_at_ms else self.effects,
        )
        if fresh is not None:
            self.changed.add(root.node)
            self.touched[root.node] = fresh
        others = self._that_may_tie(named, signal["source"]) if named.others else ()
        if others:
            step = identity.claim(
                root,
                named.node,
                others,
                signal_id=signal["id"],
                source=signal["source"],
                now_ms=self.stream_ms,
                rules=self.brain.identity,
            )
            if step.changed:
                self.step(root.node, step)
        if self.near and fresh is not None and signal.get("traits"):
            told = recard(root, named.node, self.agent.namer.block)
            self.events.extend(told)

    def _that_may_tie(self, named: Named, source: str) -> Sequence[tuple[bytes, Identifier]]:
        """Return the other identifiers that the rules let a source tie to the signal's own."""
        if named.identifier is None:
            return ()
        own, may_link = named.identifier.kind, self.brain.identity.may_link
        others = [(node, other) for node, other in named.others if may_link(own, other.kind, source)]
        self.noted["link-not-trusted"] += len(named.others) - len(others)
        return others

    def _profile(self, node: bytes, fresh: GoldenRecord | None) -> Output:
        root = cast("Root", self.records[node])
        record = merge(root, moment_of(root), self.brain.rules) if fresh is None else fresh
        return self.agent.wire.output(topics.PROFILES, node, profile_of(root, record))


def stage(agent: Customers, *, max_batch: int, name: str = STAGE) -> Stage[NodeRecord]:
    """Return the agent as a stage of the lane; each generation's has a name of its own."""
    wire = agent.wire
    return Stage(
        name=name,
        sources=tuple(wire.topic(name) for name in topics.CUSTOMER_SOURCES),
        changelog=wire.topic(topics.CUSTOMERS_CHANGELOG),
        vault=wire.topic(topics.VAULT),
        personal=state.is_personal,
        words=state_words(),
        job=agent,
        encode=state.encode,
        decode=state.decode,
        due_ms=state.due_ms,
        dead_letter=partial(wire.dead_letter, stage=STAGE),
        max_batch=max_batch,
    )
