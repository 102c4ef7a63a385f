"""The customer's side of its groups: entering and leaving as traits say, and what merges and splits tell the groups."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from schemas.identifiers import NODE_BYTES
from streams.core.links import Joined, Message
from streams.core.relations.declared import REFERRALS, REFERRED_BY, Relation, wanted
from streams.core.relations.messages import Belong, Told
from streams.core.state import Entered, Related, Root
from streams.core.turn import Turn


class Groups(NamedTuple):
    """How groups are found, see ``declared.wanted``."""

    relations: tuple[Relation, ...]
    group_of: Callable[[str, str], bytes]
    node_of: Callable[[str, str], bytes | None]


def relate(root: Root, node: bytes, groups: Groups) -> list[Message]:
    """Let a facet enter and leave groups after its traits may have changed; return what its groups are told.

    Parameters
    ----------
    root : changed in place, to be written
    node : of the facet
    """
    found = wanted(root.facets[node].traits, *groups)
    # Who names its own card refers nobody, and is in that group already if others name it.
    now = {group: each for group, each in found.items() if each.of != node}
    sent: list[Message] = []
    for group, related in list(root.relations.items()):
        held = related.nodes.get(node)
        if held is not None and not held.refers and group not in now:
            sent.append(_message(root, group, related.kind, node, "leave"))
            del related.nodes[node]
            if not related.nodes:
                del root.relations[group]
    for group, (kind, of, said) in now.items():
        ours = root.relations.setdefault(group, Related(kind))
        if node not in ours.nodes:
            sent.append(_message(root, group, kind, node, "enter", of=of))
        ours.nodes[node] = Entered(said.signal_id, said.source, said.at_ms)
    return sent


def _message(
    root: Root, group: bytes, kind: str, node: bytes, verb: str, *, of: bytes = b"", refers: bool = False
) -> Message:
    body = Belong(node, root.node, kind, verb, of, refers)  # type: ignore[arg-type]  # one of the three
    return Message(group, root.node, body, by_log=True)


def on_told(turn: Turn, told: Told) -> None:
    """Take in who is in a group; who is named by a referral enters it."""
    root, related = turn.root, turn.root.relations.get(told.group)
    if told.node == told.of and (related is None or told.node not in related.nodes) and not told.crowded:
        related = root.relations.setdefault(told.group, Related(told.kind))
        related.nodes[told.node] = Entered("", "", turn.now_ms, refers=True)
        turn.messages.append(_message(root, told.group, told.kind, told.node, "enter", of=told.of, refers=True))
    if related is not None and told.version >= related.version:
        related.mates, related.of = told.mates, told.of
        related.crowded, related.version = told.crowded, told.version


def unite(turn: Turn, other: Root) -> None:
    """Take over what an absorbed customer was in, and tell its groups."""
    root = turn.root
    for group, theirs in other.relations.items():
        for node, entered in theirs.nodes.items():
            turn.messages.append(_message(root, group, theirs.kind, node, "move", refers=entered.refers))
        ours = root.relations.get(group)
        if ours is None:
            root.relations[group] = theirs
            continue
        newer = ours if ours.version >= theirs.version else theirs
        newer.nodes = ours.nodes | theirs.nodes
        root.relations[group] = newer


def share(turn: Turn, old: Root, new: Root) -> None:
    """Give a part of a split what its members are in, and tell its groups where they are."""
    new.relations = {}
    for group, related in old.relations.items():
        nodes = {node: entered for node, entered in related.nodes.items() if node in new.members}
        if not nodes:
            continue
        new.relations[group] = msgspec.structs.replace(related, nodes=nodes)
        if new is not turn.root:
            for node, entered in nodes.items():
                turn.messages.append(_message(new, group, related.kind, node, "move", refers=entered.refers))


def leave_all(turn: Turn) -> None:
    """Leave every group: the customer is erased."""
    for group, related in turn.root.relations.items():
        for node in related.nodes:
            turn.messages.append(_message(turn.root, group, related.kind, node, "leave"))


def seek(event: Joined, groups: Groups) -> Iterator[Message]:
    """Yield what lets an identifier find those who have named it before it was anybody's."""
    for relation in groups.relations:
        if relation.identifier == event.kind:
            group = groups.group_of(relation.kind, event.node.hex())
            body = Belong(event.node, event.customer, relation.kind, "seek", event.node, refers=True)
            yield Message(group, event.customer, body, by_log=True)


class Seen(NamedTuple):
    """A relation as it is shown: ``customer`` is the other's, b"" where the group is crowded.

    ``direction``: both, out (the other referred us) or in (we referred the other). ``evidence`` is our side's.
    """

    kind: str
    direction: str
    customer: bytes
    evidence: Entered
    crowded: bool


def seen(root: bytes, relations: dict[bytes, Related]) -> Iterator[Seen]:
    """Yield a customer's relations, each pair once per group."""
    for group in sorted(relations):
        related = relations[group]
        evidence = min(related.nodes.values(), key=lambda each: (each.at_ms, each.signal_id))
        if related.crowded:
            yield Seen(related.kind, "both", b"", evidence, crowded=True)
        elif related.kind == REFERRED_BY:
            yield from _referral(root, related, evidence)
        else:
            for mate in mates_of(related, root):
                yield Seen(related.kind, "both", mate, evidence, crowded=False)


def _referral(root: bytes, related: Related, evidence: Entered) -> Iterator[Seen]:
    sides = {entered.refers for entered in related.nodes.values()}
    if False in sides and related.of not in (b"", root):
        yield Seen(related.kind, "out", related.of, evidence, crowded=False)
    if True in sides:
        for mate in mates_of(related, root):
            yield Seen(related.kind, "in", mate, evidence, crowded=False)


def mates_of(related: Related, root: bytes) -> list[bytes]:
    """Return the other customers of a group."""
    mates = related.mates
    found = (mates[at : at + NODE_BYTES] for at in range(0, len(mates), NODE_BYTES))
    return [mate for mate in found if mate != root]


def count(root: bytes, relations: dict[bytes, Related], kind: str) -> int:
    """Return how many other customers a customer is related to; a crowded group counts nobody.

    Parameters
    ----------
    kind : household, account, referred_by (0 or 1 for each whom it named), or referrals
    """
    if not relations:
        return 0
    direction = {REFERRED_BY: "out", REFERRALS: "in"}.get(kind, "both")
    held = REFERRED_BY if kind == REFERRALS else kind
    others = {
        each.customer
        for each in seen(root, relations)
        if each.kind == held and each.direction == direction and not each.crowded
    }
    return len(others)
