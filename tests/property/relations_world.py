"""Households and referrals through the whole agent: what must hold at rest, whatever the batches, merges and splits."""

import random
from collections.abc import Mapping, Sequence

from schemas.identifiers import Identifier
from streams.agents.naming import Namer
from streams.core.facet_state import Trait
from streams.core.relations import group as group_module
from streams.core.relations.declared import DEFAULT_RELATIONS, REFERRED_BY, Relation, Wanted, wanted
from streams.core.relations.related import mates_of
from streams.core.rules import Rules
from streams.core.state import Alias, Group, NodeRecord, Root
from tests.property.cluster import HASHER, START_MS, WIRE, Cluster

Name = tuple[str, str]
RELATIONS = (*DEFAULT_RELATIONS, Relation(REFERRED_BY, (("referrer",),), identifier="loyalty_id"))
DECLARED = Rules(relations=RELATIONS)
NAMER = Namer(HASHER, None)


def node_of(name: Name) -> bytes:
    return HASHER.node(Identifier(*name))


def stated(number: int, names: Sequence[Name], traits: Mapping[str, str]) -> bytes:
    """Return the bytes of a signal that states traits."""
    return WIRE.codec("signals.crm").encode(
        {
            "id": f"m{number}",
            "kind": "traits",
            "name": "identified",
            "channel": "crm",
            "source": "crm",
            "identifiers": [{"kind": kind, "value": value} for kind, value in names],
            "occurred_at_ms": START_MS + number,
            "received_at_ms": START_MS + number + 10,
            "traits": {"values": dict(traits)},
            "context": {},
        }
    )


def at(surname: str, street: str, **more: str) -> dict[str, str]:
    """Return the traits of somebody who lives somewhere."""
    return {"last_name": surname, "address": f"{street} street 1", "city": "Tehran", **more}


def write(cluster: Cluster, number: int, names: Sequence[Name], traits: Mapping[str, str], rnd: random.Random) -> None:
    cluster.write("signals.crm", rnd.randrange(len(cluster.states)), None, stated(number, names, traits))


def wants(traits: Mapping[str, Trait]) -> dict[bytes, Wanted]:
    return wanted(traits, RELATIONS, NAMER.group, NAMER.node_of)


def root_of(records: Mapping[bytes, NodeRecord], node: bytes) -> Root | None:
    record = records.get(node)
    while isinstance(record, Alias):
        record = records.get(record.to)
    return record if isinstance(record, Root) else None


def check(cluster: Cluster) -> None:
    """Demand that groups hold those whose traits say so, and that each customer knows who is in its groups."""
    records = cluster.records()
    expected: dict[bytes, dict[bytes, tuple[bytes, bool]]] = {}
    for root in cluster.roots():
        for node, facet in root.facets.items():
            for wanted_group, found in wants(facet.traits).items():
                if found.of == node:
                    continue  # names itself
                expected.setdefault(wanted_group, {})[node] = (root.node, False)
    groups = {node: record for node, record in records.items() if isinstance(record, Group)}
    assert expected.keys() <= groups.keys(), "a group is missing"
    for here, group in groups.items():
        if group.crowded:
            assert not group.members
            continue
        members = dict(expected.get(here, {}))
        referrer = root_of(records, group.of) if group.of else None
        # Who was named once stays, also when nobody names it any more.
        if referrer is not None and (members or group.of in group.members):
            refers = group.of not in members
            members[group.of] = (referrer.node, refers) if refers else members[group.of]
        held = {each: (mate.root, mate.refers) for each, mate in group.members.items()}
        assert held == members, "a group does not hold those whose traits say so"
        assert len(held) <= group_module.MAX_MEMBERS
    check_roots(cluster, groups)


def check_roots(cluster: Cluster, groups: Mapping[bytes, Group]) -> None:
    """Demand that each customer knows of its groups what they hold."""
    for root in cluster.roots():
        mine = {node for node, group in groups.items() if any(m.root == root.node for m in group.members.values())}
        held = {node for node, related in root.relations.items() if not related.crowded}
        assert held == mine, "a customer does not know its groups"
        for node in held:
            related, group = root.relations[node], groups[node]
            nodes = {each for each, mate in group.members.items() if mate.root == root.node}
            assert set(related.nodes) == nodes, "a customer is in a group by other identifiers"
            mates = {mate.root for mate in group.members.values() if not mate.refers}
            assert set(mates_of(related, root.node)) == mates - {root.node}, "a customer knows other mates"
            referrer = group.members.get(group.of)
            assert related.of == (referrer.root if referrer is not None else group.of)
