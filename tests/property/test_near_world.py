"""Near matches amid everything else: signals that link, operators' rulings, erasures, in any order and batching."""

import random

import pytest

from schemas import topics
from schemas.identity_rules import IdentityRules, NearRules
from streams.agents.near import LEARNER
from streams.core.near.block import Block
from streams.core.near.carding import blocks_of
from streams.core.near.learner import Learner
from streams.core.near.likeness import MAX_DIFFERENT, MAX_LIKENESSES, Stage
from streams.core.state import Erased
from tests.property.cluster import ruling
from tests.property.near_cluster import NEAR, NearCluster
from tests.unit.streams.core.near.people import people

RULINGS = ("merge", "cut", "split", "different", "erase")


def _play(cluster: NearCluster, steps: list[tuple[int, int, str]], rnd: random.Random) -> int:
    """Write what happens; return how many signals there were."""
    forms = [traits for _, traits in people(12, seed=rnd.randrange(5))]
    names = [("crm_id", f"c-{number}") for number in range(10)]
    for number, (one, other, what) in enumerate(steps):
        if what == "signal":
            more = {"crm_id": names[other][1]} if other % 3 == 0 and other != one else {}
            cluster.state(number, names[one], forms[(one // 2 + other // 5) % len(forms)], **more)
        elif one != other:
            node, against = cluster.node(names[one]), cluster.node(names[other])
            of_two = what in {"merge", "cut", "different"}
            cluster.rule(ruling(what, node, against if of_two else b"", number), node)
        if rnd.random() < 0.3:
            cluster.settle(rnd)
    cluster.settle(rnd)
    return sum(what == "signal" for _, _, what in steps)


@pytest.mark.parametrize("automatic", [None, 0.9])
@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_cards_are_those_of_who_is_there(seed: int, automatic: float | None) -> None:
    """No message fails, no signal is lost, no question is on oneself, and blocks hold just the cards of live facets."""
    rnd = random.Random(seed)
    whats = [*["signal"] * 10, *RULINGS[: 4 + seed % 2]]
    steps = [(rnd.randrange(10), rnd.randrange(10), rnd.choice(whats)) for _ in range(60)]
    cluster = NearCluster(1 + seed % 4, IdentityRules({}, near=NearRules(0.5, automatic)))
    signals = _play(cluster, steps, rnd)
    codec = cluster.agent.wire.codec(topics.DEAD_LETTERS)
    letters = [codec.decode(letter.value or b"") for letter in cluster.written(topics.DEAD_LETTERS)]
    assert {letter["code"] for letter in letters} <= {"erased"}
    roots = cluster.customers()
    erased = any(what == "erase" for _, _, what in steps)
    if not erased:
        assert sum(facet.signals for root in roots for facet in root.facets.values()) == signals
    near = [held for (stage, _), held in cluster.held.items() if stage == NEAR]
    lying: dict[bytes, set[bytes]] = {}
    for held in near:
        for key, block in held.items():
            for card in block.cards if isinstance(block, Block) else ():
                lying.setdefault(card.node, set()).add(key)
    told = {node: set(blocks_of(facet)) for root in roots for node, facet in root.facets.items() if facet.card}
    assert lying == {node: keys for node, keys in told.items() if keys}
    learners = [held[LEARNER] for held in near if LEARNER in held]
    recent = {card.node for learner in learners if isinstance(learner, Learner) for card in learner.recent}
    assert recent <= told.keys()
    held = {node: value for (stage, _), known in cluster.held.items() if stage != NEAR for node, value in known.items()}
    gone = {node for node, record in held.items() if isinstance(record, Erased)}
    for match in cluster.matches().values():
        assert match["state"] != "open" or gone.isdisjoint((match["node"], match["other"]))
    for root in roots:
        stages = [likeness.stage for likeness in root.likenesses.values()]
        assert stages.count(Stage.DIFFERENT) <= MAX_DIFFERENT
        assert stages.count(Stage.THEIRS) <= MAX_LIKENESSES
        assert len(stages) - stages.count(Stage.DIFFERENT) - stages.count(Stage.THEIRS) <= MAX_LIKENESSES
        asked = {other for other, each in root.likenesses.items() if each.stage not in {Stage.DIFFERENT, Stage.THEIRS}}
        assert gone.isdisjoint(asked)
        assert all(likeness.ours in root.members for likeness in root.likenesses.values())
        assert not [
            other for other, each in root.likenesses.items() if other in root.members and each.stage != Stage.DIFFERENT
        ]
