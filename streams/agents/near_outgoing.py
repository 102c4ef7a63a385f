"""What near matches are told of customers, and what the world hears of pairs: records of the topics table."""

from collections.abc import Iterable

from schemas import topics
from streams.agents.outgoing import Wire
from streams.core.links import Event
from streams.core.near.carding import values
from streams.core.near.likeness import agreement, pair_id
from streams.core.near.messages import Left, Matched, Placed, Weighed
from streams.lane.job import Output


def of_near(wire: Wire, events: Iterable[Event], at_ms: int, partitions: int) -> list[Output]:
    """Return what near matches are told, and what the world hears of pairs.

    Parameters
    ----------
    partitions : of the cards: each has a learner, and what a pair teaches reaches all of them
    """
    outputs: list[Output] = []
    for event in events:
        match event:
            case Placed(card, blocks):
                place = {"node": card.node, "traits": values(card), "marks": card.marks}
                raw = wire.codec(topics.CARDS).encode({"place": place})
                outputs += [Output(wire.topic(topics.CARDS), block, raw) for block in blocks]
            case Left(node, blocks):
                outputs += [wire.output(topics.CARDS, block, {"leave": {"node": node}}) for block in blocks]
            case Weighed(node, other, block, cards, others):
                weigh = {"node": node, "other": other, "cards": cards, "others": others}
                outputs.append(wire.output(topics.CARDS, block, {"weigh": weigh}))
            case Matched():
                outputs += _of_match(wire, event, at_ms, partitions)
    return outputs


def _of_match(wire: Wire, event: Matched, at_ms: int, partitions: int) -> list[Output]:
    id_ = pair_id(event.node, event.other)
    value = {
        "id": id_,
        "agreement": agreement(event.pattern),
        "at_ms": at_ms,
        **{name: getattr(event, name) for name in _OF_MATCH},
    }
    outputs = [wire.output(topics.MATCHES, id_, value)]
    if event.taught is not None:
        taught = {name: getattr(event, name) for name in ("pattern", "match", "household")}
        raw = wire.codec(topics.CARDS).encode({"taught": {**taught, "same": event.taught}})
        outputs += [Output(wire.topic(topics.CARDS), id_, raw, partition) for partition in range(partitions)]
    return outputs


_OF_MATCH = ("node", "other", "customer", "state", "match", "household", "limit", "by", "since_ms")
