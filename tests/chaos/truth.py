"""What was accepted, and the customers that follow from it: a union-find, offline. Never shown to the pipeline."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.chaos.people import Name, Story, Tie, strongest, tie


@dataclass(frozen=True, slots=True)
class Planned:
    """One record to write. ``signal`` is its id, empty for garbage; ``names`` what it names."""

    topic: str
    key: bytes
    value: bytes
    signal: str
    spent_minor: int = 0
    names: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class Ruled:
    """An operator's ruling that the broker has taken.

    Parameters
    ----------
    kind : cut, split, merge or erase
    one, other : whom it names; a split and an erasure name one only
    outcomes : how many outcomes in ``merges`` it must have
    erased : every node of a person who is erased, with its name
    """

    id: str
    kind: str
    one: Name
    other: Name | None
    outcomes: int
    erased: Mapping[bytes, Name] = field(default_factory=dict)


class UnionFind:
    """Sets that grow together."""

    def __init__(self) -> None:
        self._parent: dict[Name, Name] = {}

    def find(self, name: Name) -> Name:
        """Return the name that stands for a name's set."""
        parent = self._parent
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    def unite(self, one: Name, other: Name) -> bool:
        """Make two sets one; say whether they were two."""
        first, second = self.find(one), self.find(other)
        self._parent[first] = second
        return first != second

    def sets(self) -> list[frozenset[Name]]:
        """Return all sets."""
        groups: dict[Name, set[Name]] = defaultdict(set)
        for name in list(self._parent):
            groups[self.find(name)].add(name)
        return [frozenset(group) for group in groups.values()]


@dataclass(slots=True)
class Truth:
    """What the broker has acknowledged.

    ``signals`` and ``spent`` count by the name that a signal belongs to, retries left out; ``links`` counts signals
    that named two identifiers which nothing had tied before.
    """

    ids: set[str] = field(default_factory=set)
    signals: Counter[Name] = field(default_factory=Counter)
    spent: Counter[Name] = field(default_factory=Counter)
    ties: set[Tie] = field(default_factory=set)
    rulings: list[Ruled] = field(default_factory=list)
    households: dict[Name, Story] = field(default_factory=dict)  # by the shared name
    links: int = 0
    garbage: int = 0
    retries: int = 0
    written: int = 0
    _known: UnionFind = field(default_factory=UnionFind)

    def accept(self, planned: Planned) -> None:
        """Note a record that the broker has acknowledged."""
        self.written += 1
        if not planned.signal:
            self.garbage += 1
            return
        if planned.signal in self.ids:
            self.retries += 1
            return
        self.ids.add(planned.signal)
        own = strongest(planned.names)
        self.signals[own] += 1
        self.spent[own] += planned.spent_minor
        others = [name for name in planned.names if name != own]
        self.ties.update(tie(own, name) for name in others)
        self.links += sum(self._known.unite(own, name) for name in others) > 0

    def customers(self) -> list[frozenset[Name]]:
        """Return who must be one customer, under all rulings; names that people share are left out."""
        cut = {frozenset((ruled.one, ruled.other)) for ruled in self.rulings if ruled.kind == "cut"}
        taken_out = {ruled.one for ruled in self.rulings if ruled.kind == "split"}
        merged = [(ruled.one, ruled.other) for ruled in self.rulings if ruled.kind == "merge" and ruled.other]
        found = UnionFind()
        erased = set(self.erased().values())
        for name in self.signals.keys() | {name for each in self.ties for name in each}:
            if name not in self.households and name not in erased:
                found.find(name)
        for one, other in self._kept(cut, taken_out | erased) + merged:
            found.unite(one, other)
        return found.sets()

    def erased(self) -> dict[bytes, Name]:
        """Return who must be forgotten: each node with its name."""
        return {node: name for ruled in self.rulings for node, name in ruled.erased.items()}

    def _kept(self, cut: set[frozenset[Name | None]], without: set[Name]) -> list[Tie]:
        return [
            each
            for each in self.ties
            if frozenset(each) not in cut and without.isdisjoint(each) and self.households.keys().isdisjoint(each)
        ]
