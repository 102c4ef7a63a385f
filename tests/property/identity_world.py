"""A world of partitions for the identity protocol: signals come in, messages travel, any order that Kafka allows.

What Kafka and the lane guarantee is all that holds here: exactly once, messages for the own partition handled at once,
first in first out, and for the others one log per partition: what caused a record stands before it. Half of the worlds
without rulings do with less: in order per pair of partitions. Everything else is drawn.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from schemas.identifiers import KINDS, Hasher, Identifier, strongest
from schemas.identity_rules import IdentityRules
from streams.core import identity, ties
from streams.core.cuts import SUSPENDED, count
from streams.core.facet_state import Facet
from streams.core.limits import broken_limit, count_members
from streams.core.links import (
    Compress,
    Deliver,
    Erase,
    Event,
    Forgotten,
    Joined,
    Merged,
    Message,
    Parted,
    Postponed,
    Reconsider,
    Refused,
    Repoint,
    Rule,
    Step,
    Void,
)
from streams.core.state import Alias, Erased, Group, NodeRecord, Root, decode, encode
from streams.core.turn import Stage

NO_LIMITS = IdentityRules({})
TIGHT = IdentityRules({"user_id": 1, "crm_id": 1, "loyalty_id": 2, "email": 2, "phone": 2, "device_id": 3})

Signal = tuple[str, tuple[Identifier, ...]]
Graph = Sequence[Sequence[Identifier]]


class ViolationError(AssertionError):
    """A property does not hold."""


def demand(holds: bool, what: str) -> None:
    if not holds:
        raise ViolationError(what)


@dataclass
class World:
    """Partitions, their records, the channels between them, and what came out."""

    partitions: int
    rules: IdentityRules
    random: Random
    records: dict[bytes, NodeRecord] = field(default_factory=dict)
    sources: list[deque[Signal | Rule]] = field(default_factory=list)
    channels: dict[tuple[int, int], deque[Message]] = field(default_factory=dict)
    clocks: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    nodes: dict[bytes, Identifier] = field(default_factory=dict)
    on_both: set[Refused] = field(default_factory=set)
    messages: int = 0
    budget: int = 0
    handshakes: int = 0
    most_hops: int = 0
    one_log: bool = False
    # Links that an operator's merge has honoured although they break a limit: from then on any limit may be broken.
    overruled: bool = False
    rulings: dict[str, Rule] = field(default_factory=dict)
    # Signals that came to an erased node: each is refused there.
    turned_away: int = 0

    def __post_init__(self) -> None:
        self.hasher = Hasher(self.random.randbytes(32))
        self.sources = [deque() for _ in range(self.partitions)]
        self.clocks = [self.random.randint(1, 3) for _ in range(self.partitions)]

    def node(self, identifier: Identifier) -> bytes:
        node = self.hasher.node(identifier)
        self.nodes[node] = identifier
        return node

    def partition_of(self, node: bytes) -> int:
        return node[0] % self.partitions

    def run(self, graph: Graph) -> None:
        """Let every signal of the graph come in, and go on until nothing travels any more."""
        for number, identifiers in enumerate(graph):
            signal = (f"s{number}", tuple(identifiers))
            owner = self.partition_of(self.node(strongest(identifiers)))
            stray = self.random.random() < 0.1
            self.sources[self.random.randrange(self.partitions) if stray else owner].append(signal)
        self.settle(sum(map(len, graph)))

    def rule(self, kind: str, one: Identifier, other: Identifier | None = None) -> str:
        """Let an operator rule; it is heard somewhere among the signals that wait. Return the ruling's id."""
        ruling = Rule(f"r{len(self.rulings)}", kind, self.node(one), self.node(other) if other else b"")
        self.rulings[ruling.id] = ruling
        self.overruled |= kind == "merge"
        source = self.sources[self.random.randrange(self.partitions)]
        source.insert(self.random.randint(0, len(source)), ruling)
        return ruling.id

    def settle(self, identifiers: int = 0) -> None:
        """Go on until nothing travels any more."""
        # Far above what the protocol needs (see the mean that fuzz prints): only a quarrel without end reaches it.
        rulings = sum(isinstance(each, Rule) for source in self.sources for each in source)
        self.budget = self.messages + 60 * (identifiers + 10) + 30 * rulings * (len(self.records) + 10)
        while self._turn():
            demand(self.messages <= self.budget, "the protocol does not end")

    def _turn(self) -> bool:
        busy: list[tuple[int, deque[Signal | Rule] | None, deque[Message] | None]] = [
            (p, source, None) for p, source in enumerate(self.sources) if source
        ]
        busy += [(q, None, channel) for (_, q), channel in self.channels.items() if channel]
        if not busy:
            return False
        partition, source, channel = self.random.choice(busy)
        self.clocks[partition] += self.random.choice((0, 0, 1, 5))
        for _ in range(self.random.choice((1, 1, 2, 5))):
            if source:
                self._take(partition, self._entered(source.popleft()))
            elif channel:
                self._take(partition, channel.popleft())
        return True

    def _entered(self, signal: Signal | Rule) -> Message:
        if isinstance(signal, Rule):
            return Message(signal.node, signal.node, signal)
        node = self.node(strongest(signal[1]))
        text = "|".join((signal[0], *(f"{kind}={value}" for kind, value, _ in signal[1])))
        return Message(node, node, Deliver(node, text.encode(), ""), hops=0)

    def _take(self, partition: int, first: Message) -> None:
        local = deque([first])
        while local:
            message = local.popleft()
            for sent in self._handled(partition, message):
                self.messages += 1
                owner = self.partition_of(sent.to)
                if owner == partition and not sent.by_log:
                    local.append(sent)
                else:
                    self.channels.setdefault((0 if self.one_log else partition, owner), deque()).append(sent)
            demand(self.messages <= self.budget, "the protocol does not end")

    def _handled(self, partition: int, message: Message) -> tuple[Message, ...]:
        if self.partition_of(message.to) != partition:
            return (message,)  # a signal that landed on the wrong partition
        now_ms = self.clocks[partition]
        record = self.records.get(message.to)
        if self.random.random() < 0.1 and record is not None:
            record = decode(encode(record))  # as after a restart
        if isinstance(message.body, Deliver) and not isinstance(record, (Alias, Group)):
            return self._folded(message, message.body, record, now_ms)
        return self._written(message.to, identity.handle(record, message, now_ms=now_ms, rules=self.rules))

    def _folded(
        self, message: Message, deliver: Deliver, record: Root | Erased | None, now_ms: int
    ) -> tuple[Message, ...]:
        if isinstance(record, Erased):
            if deliver.facet != message.to:
                return identity.onward(record, deliver.facet, message).messages
            self.turned_away += 1
            return ()
        signal_id, *texts = deliver.signal.decode().split("|")
        named = [Identifier(*text.split("=")) for text in texts]
        if record is None:
            demand(message.to == deliver.facet, "a signal reached a node without a record")
            step = identity.open_root(message.to, strongest(named), signal_id=signal_id, source="shop", now_ms=now_ms)
            self._written(message.to, step)
            assert isinstance(step.record, Root)
            record = step.record
        if deliver.facet not in record.members:
            return identity.onward(record, deliver.facet, message).messages
        facet = record.facets.setdefault(deliver.facet, Facet(deliver.facet, now_ms))
        facet.signals += 1
        others = [(self.node(identifier), identifier) for identifier in named]
        others = [(node, identifier) for node, identifier in others if node != deliver.facet]
        step = identity.claim(
            record, deliver.facet, others, signal_id=signal_id, source="shop", now_ms=now_ms, rules=self.rules
        )
        shortcuts = identity.shorten(record, deliver.facet, message.hops)
        return shortcuts + self._written(message.to, step)

    def _written(self, node: bytes, step: Step) -> tuple[Message, ...]:
        if step.record is not None:
            self.records[node] = step.record
            if isinstance(step.record, Root):
                self.check_root(step.record)
        self.events.extend(step.events)
        self.handshakes += sum(
            not isinstance(message.body, (Deliver, Compress, Repoint, Reconsider, Erase)) for message in step.messages
        )
        self.most_hops = max([self.most_hops, *(message.hops for message in step.messages)])
        # A customer that comes to be only after the refusal cannot remember it.
        self.on_both.update(e for e in step.events if isinstance(e, Refused) and e.other in self.records)
        return step.messages

    # ── what must hold ──────────────────────────────────────────────────────────────────────────────────────────

    def broken(self, counts: Mapping[str, int]) -> str | None:
        limits = self.rules.limits
        return next((kind for kind, count in counts.items() if count > limits.get(kind, count)), None)

    def check_root(self, root: Root) -> None:
        """Demand what holds of a customer at every moment."""
        counts = count(root)
        demand(self.overruled or not self.broken(count_members(root)), "a limit is broken")
        sides = [kind for kind in counts if kind.startswith("cut:")]
        demand(len({kind[:-1] for kind in sides}) == len(sides), "both sides of a cut are in one customer")
        demand(len(ties.parts(root)) == 1, "the ties do not hold the members together")
        demand(all(set(ties.ends(key)) <= root.members.keys() for key in root.ties), "a tie leads to a stranger")
        demand(root.facets.keys() <= root.members.keys(), "a facet is not a member's")

    def root_of(self, node: bytes) -> Root | None:
        record = self.records.get(node)
        for _ in range(len(self.records) + 1):
            if not isinstance(record, Alias):
                return record if isinstance(record, Root) else None
            record = self.records.get(record.to)
        raise ViolationError("pointers form a circle")

    def erased(self) -> set[bytes]:
        """Return the nodes that were erased."""
        return {node for node, record in self.records.items() if isinstance(record, Erased)}

    def roots(self) -> list[Root]:
        return [record for record in self.records.values() if isinstance(record, Root)]

    def members_of(self, node: bytes) -> tuple[bytes | None, dict[str, int]]:
        """Return the node's root and its identifiers by kind; a node that nobody holds counts as itself."""
        root = self.root_of(node)
        return (None, {self.nodes[node].kind: 1}) if root is None else (root.node, count_members(root))

    def check(self, graph: Graph) -> None:
        """Demand every property of the final state."""
        self.check_always(graph)
        self.check_links(graph)
        demand(not self.postponed(), "a link was put off although nothing was full")

    def check_always(self, graph: Graph) -> None:
        """Demand what holds even where bounded lists were full."""
        self.check_settled()
        self.check_facets(graph)
        self.check_members()
        self.check_events()

    def postponed(self) -> int:
        return sum(isinstance(event, Postponed) for event in self.events)

    def check_settled(self) -> None:
        for root in self.roots():
            still = root.proposal or root.promises or root.waiting or root.asked or root.ordered
            demand(not still, "a handshake is left open")
            stages = {claim.stage for claim in root.claims.values()}
            demand(not stages & {Stage.HELD, Stage.OFFERED}, "a link is left open")
            named = any(claim.value or claim.original for claim in root.claims.values())
            demand(not named, "a customer keeps the value of another's identifier")

    def check_facets(self, graph: Graph) -> None:
        places: dict[bytes, bytes] = {}
        for root in self.roots():
            for node in root.facets:
                demand(node not in places, "a facet is in two places")
                places[node] = root.node
        signals: dict[bytes, int] = {}
        for identifiers in graph:
            node = self.node(strongest(identifiers))
            if not isinstance(self.records.get(node), Erased):
                signals[node] = signals.get(node, 0) + 1
        held = {node: facet.signals for root in self.roots() for node, facet in root.facets.items()}
        demand(held == signals, "signals were lost, doubled or folded elsewhere")
        for node, place in places.items():
            root_ = self.root_of(node)
            demand(root_ is not None and root_.node == place, "a node does not lead to its facet")

    def check_members(self) -> None:
        held: dict[bytes, bytes] = {}
        for root in self.roots():
            for node, member in root.members.items():
                demand(node not in held, "an identifier is in two customers")
                held[node] = root.node
                demand(self.nodes[node] == Identifier(member.kind, member.value), "a member has another's name")
        resolved = {node: self.members_of(node)[0] for node in self.records.keys() - self.erased()}
        demand(held == resolved, "members are not what the pointers say")

    def check_links(self, graph: Graph) -> None:
        for one, two in links_of(graph):
            root_one, counts_one = self.members_of(self.node(one))
            root_two, counts_two = self.members_of(self.node(two))
            if root_one == root_two:
                continue
            demand(
                broken_limit(self.rules, counts_one, counts_two) is not None, "a link that could be was not honoured"
            )
        if not self.rules.limits:
            found = {frozenset(self.nodes[node] for node in root.members) for root in self.roots()}
            demand(found == components(graph), "the customers are not the connected components")

    def check_events(self) -> None:
        final: dict[bytes, bytes] = {}
        merged: set[bytes] = set()
        opened: set[bytes] = set()
        gone: set[bytes] = set()
        for event in self.events:
            if isinstance(event, Joined):
                demand(event.customer not in merged, "a node joined a customer that is no more")
                demand(final.get(event.node) != event.customer, "a node joined the same customer twice")
                final[event.node] = event.customer
                if event.node == event.customer:
                    opened.add(event.node)
            elif isinstance(event, Merged):
                demand(event.merged not in merged, "a customer was merged twice")
                merged.add(event.merged)
                opened.discard(event.merged)
            elif isinstance(event, Parted):
                merged.discard(event.part)
            elif isinstance(event, Forgotten):
                demand(gone.isdisjoint(event.nodes), "a node was erased twice")
                gone.update(event.nodes)
                opened.discard(event.customer)
                for node in event.nodes:
                    final.pop(node, None)
            elif isinstance(event, Refused) and not self.rulings and event.limit != SUSPENDED:
                self.check_refused(event)
        demand(gone == self.erased(), "those erased are not those of whom it was told")
        living = self.records.keys() - gone
        demand(final == {node: self.members_of(node)[0] for node in living}, "the events tell another story")
        demand({root.node for root in self.roots()} == opened, "merges do not account for the customers")

    def check_refused(self, event: Refused) -> None:
        one, counts_one = self.members_of(event.customer)
        two, counts_two = self.members_of(event.other)
        demand(one != two, "a refused link was honoured")
        limit = broken_limit(self.rules, counts_one, counts_two)
        demand(limit is not None, "a link was refused that would fit")
        self.check_remembered(event.customer, event.other)
        if event in self.on_both:
            self.check_remembered(event.other, event.customer)

    def check_rulings(self) -> None:
        """Demand that every ruling has come to something, once."""
        done: dict[str, int] = dict.fromkeys(self.rulings, 0)
        for event in self.events:
            if isinstance(event, Void):
                done[event.ruling] += 1
        telling = (Parted, Merged, Forgotten)
        for ruling in {event.ruling for event in self.events if isinstance(event, telling) and event.ruling}:
            done[ruling] += 1
        demand(set(done.values()) <= {1}, f"rulings have no outcome or more than one: {done}")

    def check_repeat(self, graph: Graph) -> None:
        """Demand that signals known already cost nothing but their way: one hop, no handshake."""
        for _ in range(2):  # the side of a refused link that had not asked may ask once; pointers are compressed
            self.run(graph)
        self.handshakes = self.most_hops = 0
        self.run(graph)
        self.check([*graph] * 4)
        demand(self.handshakes == 0, "what is known is asked again")
        demand(self.most_hops <= 1, "pointers are not compressed")

    def check_remembered(self, customer: bytes, other: bytes) -> None:
        one, two = self.root_of(customer), self.root_of(other)
        refusals = one.refusals if one else {}
        found = any(self.root_of(theirs) is two for theirs in refusals)
        demand(found, "a refusal is not remembered on both")


def links_of(graph: Graph) -> Iterable[tuple[Identifier, Identifier]]:
    for identifiers in graph:
        first = strongest(identifiers)
        yield from ((first, other) for other in identifiers if other != first)


def components(graph: Graph) -> set[frozenset[Identifier]]:
    """Return the connected components, by a union-find in one place."""
    parent: dict[Identifier, Identifier] = {i: i for identifiers in graph for i in identifiers}

    def find(identifier: Identifier) -> Identifier:
        while parent[identifier] != identifier:
            identifier = parent[identifier]
        return identifier

    for one, two in links_of(graph):
        parent[find(one)] = find(two)
    groups: dict[Identifier, set[Identifier]] = {}
    for identifier in parent:
        groups.setdefault(find(identifier), set()).add(identifier)
    return {frozenset(group) for group in groups.values()}


def random_graph(random: Random) -> list[list[Identifier]]:
    """Return signals over a small set of identifiers, so that they collide."""
    if random.random() < 0.1:  # many pairs of few people: long chains of customers, all on the move at once
        pool = [Identifier("email", str(n)) for n in range(random.randint(8, 14))]
        random.shuffle(pool)
        return [[one] for one in pool] + [random.sample(pool, 2) for _ in range(random.randint(8, 20))]
    kinds = random.sample(KINDS, random.randint(1, 4))
    pool = [Identifier(kind, str(n)) for kind in kinds for n in range(random.randint(1, 5))]
    most = min(len(pool), random.choice((2, 2, 3, 5)))
    return [random.sample(pool, random.randint(1, most)) for _ in range(random.randint(1, 14))]


def play(graph: Graph, partitions: int, rules: IdentityRules, seed: int) -> World:
    """Run a graph and demand every property."""
    world = World(partitions, rules, Random(seed), one_log=bool(seed % 2))
    world.run(graph)
    world.check(graph)
    return world


@dataclass
class Tally:
    """What a fuzz run came to."""

    graphs: int = 0
    signals: int = 0
    messages: int = 0
    merges: int = 0
    refusals: int = 0


def fuzz(graphs: int, seed: int = 0, *, rules: Callable[[Random], IdentityRules] | None = None) -> Tally:
    """Run so many random graphs; return the tally.

    For more than the tests do: ``python -m tests.property.identity_world 100000``.
    """
    tally = Tally()
    for number in range(graphs):
        random = Random(f"{seed}:{number}")
        chosen = rules(random) if rules else random.choice((NO_LIMITS, TIGHT))
        graph = random_graph(random)
        try:
            world = play(graph, random.randint(1, 5), chosen, random.randrange(2**32))
            messages, events = world.messages, tuple(world.events)
            if number % 8 == 0:
                world.check_repeat(graph)
        except Exception as exc:
            exc.add_note(f"graph {number} of seed {seed}: {graph}")
            raise
        tally.graphs += 1
        tally.signals += len(graph)
        tally.messages += messages
        tally.merges += sum(isinstance(event, Merged) for event in events)
        tally.refusals += sum(isinstance(event, Refused) for event in events)
    return tally


if __name__ == "__main__":
    import sys

    result = fuzz(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(result, f"{result.messages / result.signals:.2f} messages per signal")
