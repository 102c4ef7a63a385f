"""A partition in a rebuild: what it takes in, what it leaves, what it answers, and that the past decides nothing."""

import random
from typing import Any

import pytest

from schemas import topics
from schemas.generations import Answer, read_answer
from schemas.identifiers import Identifier
from schemas.wire import codec_of
from streams.core.decide import action_id
from streams.core.state import Root
from tests.property.cluster import HASHER, START_MS, Cluster, page_view, ruling

REPLAY = codec_of("replay")
RND = random.Random(1)


def node_of(value: str) -> bytes:
    return HASHER.node(Identifier("user_id", value))


def tell(cluster: Cluster, partition: int, kind: str, at_ms: int = START_MS, **more: Any) -> None:
    said = {"kind": kind, "at_ms": at_ms, "generation": "g2", **more}
    cluster.write(topics.REPLAY, partition, None, REPLAY.encode(said))


def replay(cluster: Cluster, number: int, value: str, at_ms: int = START_MS) -> None:
    raw = page_view(number, [("user_id", value)], at_ms)
    node = node_of(value)
    tell(
        cluster,
        cluster.owner.partition_of(node),
        "signal",
        at_ms,
        node=node,
        topic="signals.web",
        value=raw,
        origin="0/1",
    )


def answers(cluster: Cluster) -> list[Answer]:
    """Return what partitions answered, by way of the topic that they answer on."""
    found = [read_answer(o.value) for o in cluster.outputs if o.topic == topics.GENERATIONS and o.value is not None]
    return [answer for answer in found if answer is not None]


def decision(signal_id: str, node: bytes, customer: bytes, **more: Any) -> bytes:
    said = {
        "id": f"d-{signal_id}", "customer": customer, "signal_id": signal_id, "trigger": "t", "decided_at_ms": START_MS,
        "action": "offer", "treatment": "mail", "channel": "email", "hold": None, "control": False, "propensity": 0.5,
        "draw": 0.1, "candidates": [], "filtered": [], "features": [1.0], "feature_set": "f", "scores": {},
        "model_versions": {}, "catalogue_version": "c", "node": node, "purpose": "marketing", "goal": "order",
        "reward_due_ms": START_MS + 1_000, **more,
    }  # fmt: skip
    return codec_of("decision").encode(said)


def customer(cluster: Cluster, value: str) -> Root:
    (found,) = (root for root in cluster.roots() if node_of(value) in root.members)
    return found


def test_the_past_is_folded_and_teaches_nobody() -> None:
    """The intent of the first signal is answered by the second: an example, unless another generation has told it."""
    cluster = Cluster(2)
    for number in range(2):
        tell(cluster, number, "build")
    for number in range(40):
        replay(cluster, number, "sara", START_MS + number * 3_600_000)
    cluster.run(RND)
    assert customer(cluster, "sara").facets[node_of("sara")].signals == 40
    assert not list(cluster.of(topics.EXAMPLES))
    live = Cluster(2)
    for number in range(40):
        raw = page_view(number, [("user_id", "sara")], START_MS + number * 3_600_000)
        live.write("signals.web", 0, None, raw)
    live.run(RND)
    assert list(live.of(topics.EXAMPLES)), "without the guard there would be examples"


def test_ticks_do_not_move_a_generation_that_is_built() -> None:
    """Its time is that of the past, until it is live."""
    cluster = Cluster(1)
    tick = codec_of("tick").encode({"at_ms": START_MS + 10**8})
    tell(cluster, 0, "build")
    cluster.write(topics.TICKS, 0, None, tick)
    cluster.run(RND)
    assert cluster.stream_ms[0] < START_MS + 10**8
    tell(cluster, 0, "live")
    cluster.write(topics.TICKS, 0, None, tick)
    cluster.run(RND)
    assert cluster.stream_ms[0] == START_MS + 10**8


@pytest.mark.parametrize("size", [1, 100])
def test_a_partition_that_drains_answers_with_what_it_has_read_and_takes_no_more(size: int) -> None:
    """In one batch with signals before and after it, and in batches of one."""
    cluster = Cluster(1)
    for number in range(3):
        cluster.write("signals.web", 0, None, page_view(number, [("user_id", "sara")], START_MS + number))
    tell(cluster, 0, "drain")
    cluster.write("signals.web", 0, None, page_view(9, [("user_id", "sara")], START_MS + 9))
    cluster.write(topics.RULINGS, 0, None, ruling("split", node_of("sara")))
    tell(cluster, 0, "drain")  # by a second run: the first answer stands
    while cluster.queues[0]:
        cluster.step(0, size)
    assert customer(cluster, "sara").facets[node_of("sara")].signals == 3
    assert not [each for _, each in cluster.of(topics.MERGES)]
    (answer,) = answers(cluster)
    assert (answer.phase, answer.partition) == ("drain", 0)
    if size > 1:
        assert answer.read == {"signals.web": 4}  # the cluster's offsets begin at one


def test_pass_brings_every_partition_to_one_time_and_tells_of_timers() -> None:
    cluster = Cluster(1)
    cluster.write("signals.web", 0, None, page_view(1, [("user_id", "sara")], START_MS))
    tell(cluster, 0, "drain")
    later = START_MS + 40 * topics.DAY_MS
    tell(cluster, 0, "pass", later)
    cluster.run(RND)
    tell(cluster, 0, "pass", later)
    cluster.step(0, 1)
    tell(cluster, 0, "pass", later)
    cluster.step(0, 1)
    passed = [answer for answer in answers(cluster) if answer.phase == "pass"]
    assert {answer.stream_ms for answer in passed} == {later}
    assert [answer.due for answer in passed] == [0, 1, 0]


def test_a_decision_of_before_is_a_contact_of_the_signals_facet_once() -> None:
    """Caps and rewards go on: with its open question, and told twice it counts once."""
    cluster = Cluster(2)
    replay(cluster, 1, "sara")
    cluster.run(RND)
    node = node_of("sara")
    for _ in range(2):
        tell(cluster, 0, "decision", node=node, value=decision("m1", node, node))
    cluster.run(RND)
    (contact,) = customer(cluster, "sara").facets[node].contacts
    assert (contact.action_id, contact.purpose) == (action_id("d-m1"), "marketing")
    assert contact.reward_due_ms == START_MS + 1_000


def test_a_decision_whose_customer_is_another_now_counts_on_both_sides() -> None:
    """Its outcome comes to the customer it was sent to; caps hold for the one whose signal it followed."""
    cluster = Cluster(2)
    replay(cluster, 1, "sara")
    replay(cluster, 2, "reza")
    cluster.run(RND)
    tell(cluster, 1, "decision", node=node_of("sara"), value=decision("m1", node_of("sara"), node_of("reza")))
    cluster.run(RND)
    sara, reza = customer(cluster, "sara"), customer(cluster, "reza")
    assert sara.kept is not None
    assert [contact.reward_due_ms for contact in sara.kept.contacts] == [0]
    assert [contact.reward_due_ms for contact in reza.facets[node_of("reza")].contacts] == [START_MS + 1_000]


def test_what_operators_parted_is_parted_before_the_first_signal() -> None:
    """Both nodes are opened with their sides of the cut: the same evidence is refused."""
    evidence = [("user_id", "sara"), ("anonymous_id", "tablet")]
    tablet = HASHER.node(Identifier("anonymous_id", "tablet"))
    for marked in (False, True):
        cluster = Cluster(2)
        for side, (node, kind, value) in enumerate(
            [(node_of("sara"), "user_id", "sara"), (tablet, "anonymous_id", "tablet")]
        ):
            mark = {"kind": kind, "value": value, "original": "", "source": "shop", "signal_id": "s"}
            if marked:
                partition = cluster.owner.partition_of(node)
                tell(cluster, partition, "mark", node=node, mark={**mark, "cuts": [b"cut"], "sides": [side]})
        cluster.run(RND)
        raw = page_view(1, evidence, START_MS)
        node = node_of("sara")
        tell(
            cluster, cluster.owner.partition_of(node), "signal", node=node, topic="signals.web", value=raw, origin="0/1"
        )
        cluster.run(RND)
        assert len(cluster.roots()) == (2 if marked else 1)


@pytest.mark.parametrize("granted_ms", [START_MS + 50, START_MS + 150])
def test_what_the_whole_took_back_binds_a_part_until_it_is_granted_anew(granted_ms: int) -> None:
    """The withdrawal was said as somebody who is parted now; a grant of before the rebuild did not lift it."""
    tablet = HASHER.node(Identifier("anonymous_id", "tablet"))
    given = {"purpose": "marketing", "channel": "sms", "at_ms": START_MS, "source": "shop"}
    whole = {"kind": "anonymous_id", "value": "tablet", "original": "", "source": "shop", "signal_id": "s"}
    mark = {**whole, "cuts": [b"cut"], "sides": [0], "withdrawn": [{**given, "since_ms": START_MS + 100}]}
    cluster = Cluster(1)
    tell(cluster, 0, "mark", node=tablet, mark=mark)
    said = codec_of("signal").decode(page_view(1, [("anonymous_id", "tablet")], granted_ms))
    said |= {"kind": "consent", "name": "consent_given", "behaviour": None}
    said["consent"] = {"purpose": "marketing", "channel": "sms", "granted": True, "proof": "form"}
    raw = codec_of("signal").encode(said)
    tell(cluster, 0, "signal", granted_ms, node=tablet, topic="signals.web", value=raw, origin="0/1")
    cluster.run(RND)
    (*_, (_, profile)) = cluster.of(topics.PROFILES)
    assert profile is not None
    (consent,) = profile["consent"]
    assert consent["granted"] == (granted_ms > START_MS + 100)
