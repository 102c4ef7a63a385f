"""Customers before and after: who stays who, who comes together, who parts, and whether a withdrawal was lost."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from deploy.rebuild.reasons import Reason, because

# Largest changes that are listed.
LISTED = 20


class Customers(NamedTuple):
    """One generation's customers.

    Parameters
    ----------
    of_node : node to customer, and ``nodes`` the other way round
    kinds : of a node
    withdrawn : customer to (purpose, channel) that are withdrawn
    """

    of_node: dict[bytes, bytes]
    nodes: dict[bytes, frozenset[bytes]]
    kinds: dict[bytes, str]
    withdrawn: dict[bytes, frozenset[tuple[str, str]]]


@dataclass(slots=True)
class Diff:
    """What becomes of the customers; ids are hashes, nothing here is personal.

    ``rules``: which differ, in words; ``because`` of a change: those about identifiers that the customer has.
    ``withdrawals_lost``: (customer before, purpose, channel) that no customer after holds who has a node of theirs:
    there must be none. ``withdrawals_parted``: parts of such a customer that do not hold it: other people now.
    """

    before: int = 0
    after: int = 0
    same: int = 0
    moved: int = 0  # the same nodes under another id
    merged: int = 0
    split: int = 0
    only_before: int = 0
    only_after: int = 0
    rules: list[str] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    withdrawals_lost: list[tuple[str, str, str]] = field(default_factory=list)
    withdrawals_parted: int = 0

    def report(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)


def customers_of(profiles: Iterable[Mapping[str, Any]]) -> Customers:
    """Return the customers that profiles tell of, the last of each customer."""
    found = Customers({}, {}, {}, {})
    for profile in profiles:
        customer = profile["customer"]
        found.nodes[customer] = frozenset(member["node"] for member in profile["members"])
        for member in profile["members"]:
            found.of_node[member["node"]] = customer
            found.kinds[member["node"]] = member["kind"]
        withdrawn = frozenset((c["purpose"], c["channel"]) for c in profile["consent"] if not c["granted"])
        if withdrawn:
            found.withdrawn[customer] = withdrawn
    return found


def compare(before: Customers, after: Customers, reasons: Sequence[Reason] = ()) -> Diff:
    """Return what becomes of the customers of one generation in the other; ``reasons``: rules that differ."""
    diff = Diff(before=len(before.nodes), after=len(after.nodes), rules=[reason.text for reason in reasons])
    into: dict[bytes, set[bytes]] = defaultdict(set)
    out_of: dict[bytes, set[bytes]] = defaultdict(set)
    for node, old in before.of_node.items():
        new = after.of_node.get(node)
        if new is not None:
            into[old].add(new)
            out_of[new].add(old)
    sized: list[tuple[int, dict[str, Any]]] = []
    for old, nodes in before.nodes.items():
        news = into.get(old, set())
        if not news:
            diff.only_before += 1
        elif len(news) > 1:
            diff.split += 1
            sized.append((len(news), _change("split", old, sorted(news), _kinds(before, nodes))))
        elif after.nodes[next(iter(news))] == nodes:
            diff.same += 1
            diff.moved += old not in news
    for new, nodes in after.nodes.items():
        olds = out_of.get(new, set())
        if not olds:
            diff.only_after += 1
        elif len(olds) > 1:
            diff.merged += 1
            sized.append((len(olds), _change("merged", new, sorted(olds), _kinds(after, nodes))))
    sized.sort(key=lambda each: -each[0])
    diff.changes = [{**change, "because": because(reasons, change["kinds"])} for _, change in sized[:LISTED]]
    _withdrawals(diff, before, after, into)
    return diff


def _withdrawals(diff: Diff, before: Customers, after: Customers, into: Mapping[bytes, set[bytes]]) -> None:
    for old, withdrawn in before.withdrawn.items():
        news = into.get(old, set())
        for purpose, channel in sorted(withdrawn):
            held = sum((purpose, channel) in after.withdrawn.get(new, frozenset()) for new in news)
            if news and not held:
                diff.withdrawals_lost.append((old.hex(), purpose, channel))
            elif held < len(news):
                diff.withdrawals_parted += len(news) - held


def _kinds(customers: Customers, nodes: Iterable[bytes]) -> dict[str, int]:
    return dict(Counter(customers.kinds[node] for node in nodes))


def _change(kind: str, customer: bytes, others: list[bytes], kinds: dict[str, int]) -> dict[str, Any]:
    return {"change": kind, "customer": customer.hex(), "others": [each.hex() for each in others], "kinds": kinds}
