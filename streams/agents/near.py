"""Near matches: one stage of the lane that lays cards beside each other where their blocks are, and tells their roots.

A key of the state is a block, or the learner of the partition. Each partition has a learner of its own: it counts the
cards whose first key lies here, and what a person has answered reaches all of them.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias

import msgspec
from prometheus_client import Counter, Gauge

from schemas import topics
from schemas.wire import WireError
from streams.agents.outgoing import Wire, is_node, of_message
from streams.core.links import Message
from streams.core.near.block import Block, Proposal, leave, visit
from streams.core.near.blocking import mark
from streams.core.near.card import Card
from streams.core.near.carding import of_values
from streams.core.near.cluster import borne
from streams.core.near.compare import FIELDS, LEVELS
from streams.core.near.learner import Belief, Learner, answer, begin, forget, observe
from streams.core.near.messages import Alike, Borne
from streams.lane.job import Batch, Failure, Record, Result, Stage, State

NAME = "near"

# 500 ms: a batch writes the learner whole, 16 to 80 KB; what it finds is for a person's eyes, or for the next signal's.
LINGER_MS = 500
MAX_BATCH = 1_000

# The key of a partition's learner; blocks have keys of 16 bytes.
LEARNER = b"learner"

CARDS = Counter("sada_near_cards_total", "Cards laid into blocks: one change of a record lays up to fifteen.")
PROPOSALS = Counter("sada_near_proposals_total", "Pairs of records that were told to their customers.")
WEIGHED = Counter("sada_near_weighed_total", "Pairs of customers weighed as a whole.")
ANSWERS = Counter("sada_near_taught_total", "Answers that this process's learners took in.", ["verdict"])
LEARNED = Gauge("sada_near_learned_cards", "Cards that a partition's learner has counted.", ["partition"])

Value: TypeAlias = Block | Learner

_encoder = msgspec.msgpack.Encoder()
_decoders: Mapping[bytes, Any] = {b"b": msgspec.msgpack.Decoder(Block), b"l": msgspec.msgpack.Decoder(Learner)}
_card: msgspec.msgpack.Decoder[Card] = msgspec.msgpack.Decoder(Card)


def encode(value: Value) -> bytes:
    """Return a value's bytes in the changelog."""
    return (b"b" if isinstance(value, Block) else b"l") + _encoder.encode(value)


def decode(raw: bytes) -> Value:
    """Return the value that the bytes hold.

    Raises
    ------
    msgspec.DecodeError
        when they are not a value of ours
    """
    decoder = _decoders.get(raw[:1])
    if decoder is None:
        raise msgspec.DecodeError("neither a block nor a learner")
    value: Value = decoder.decode(raw[1:])
    return value


class Near:
    """The job: what it needs besides state and batch. One per worker, shared by its partitions.

    Parameters
    ----------
    wire : codecs and topics
    review : probability from which a pair is told to its customers
    partitions : of the cards: each learner sees one part in so many
    """

    def __init__(self, wire: Wire, *, review: float, partitions: int) -> None:
        self.wire = wire
        self.review = review
        self.share = 1.0 / partitions
        self.codec = wire.codec(topics.CARDS)

    def __call__(self, known: State[Value], batch: Batch) -> Result[Value]:
        """Run a batch."""
        return _Run(self, known, batch).result()


class _Run:
    """One batch: the blocks it touched and what comes of it."""

    def __init__(self, agent: Near, known: State[Value], batch: Batch) -> None:
        self.agent = agent
        self.known = known
        self.batch = batch
        self.blocks: dict[bytes, Block] = {}
        found = known.get(LEARNER)
        self.learner = found if isinstance(found, Learner) else begin()
        self.taught = False
        # Whose secret is replaced: a card has left, and what the changelog said of it is to be read no more.
        self.left: set[bytes] = set()
        # By pair: a pair that meets in several blocks is told once a batch, and taken once by whom it is told.
        self.proposals: dict[tuple[bytes, bytes], tuple[Proposal, bytes]] = {}
        self.messages: list[Message] = []
        self.failures: list[Failure] = []
        self.laid = 0

    def result(self) -> Result[Value]:
        """Do the work of the batch."""
        stream_ms = self.batch.stream_ms
        for record in self.batch.records:
            try:
                self._take(record)
            except WireError as exc:
                self.failures.append(Failure(record, exc.code, str(exc)))
            except (msgspec.DecodeError, ValueError) as exc:
                self.failures.append(Failure(record, "bad-card", f"{type(exc).__name__}: {exc}"))
            stream_ms = max(stream_ms, record.timestamp_ms)
        self.messages += [_told(proposal, block) for proposal, block in self.proposals.values()]
        changes: dict[bytes, Value | None] = {key: block if block.cards else None for key, block in self.blocks.items()}
        if changes or self.taught:
            changes[LEARNER] = self.learner
        CARDS.inc(self.laid)
        PROPOSALS.inc(len(self.proposals))
        LEARNED.labels(self.batch.partition).set(self.learner.cards)
        return Result(
            changes=changes,
            outputs=[of_message(self.agent.wire, message, stream_ms) for message in self.messages],
            failures=self.failures,
            stream_ms=stream_ms,
            renew=[key for key in self.left if changes[key] is not None],
        )

    def _take(self, record: Record) -> None:
        if record.value is None:
            raise WireError("empty", f"a record without a value means nothing on {topics.CARDS}")
        told = self.agent.codec.decode(record.value)
        key = record.key or b""
        if told["taught"] is not None:
            self._teach(told["taught"])
        elif not is_node(key):
            raise WireError("bad-key", "a block's key has 16 bytes")
        elif told["place"] is not None:
            self._place(key, told["place"])
        elif told["leave"] is not None:
            self._leave(key, told["leave"]["node"])
        elif told["weigh"] is not None:
            self._weigh(told["weigh"])
        else:
            raise WireError("bad-card", "a card record holds one of place, leave, taught, weigh")

    def _block(self, key: bytes) -> Block:
        if key not in self.blocks:
            found = self.known.get(key)
            self.blocks[key] = found if isinstance(found, Block) else Block()
        return self.blocks[key]

    def _place(self, key: bytes, place: Mapping[str, Any]) -> None:
        """Lay a card beside those of its block, and let it stay."""
        card = of_values(place["node"], place["traits"], place["marks"])
        here = mark(key)
        if here not in card.marks or not is_node(card.node):
            raise WireError("bad-card", "a card does not belong to the block that it came to")
        forget(self.learner, card.node)  # what it was before
        found = visit(self._block(key), card, here, self.learner, least=self.agent.review, share=self.agent.share)
        for proposal in found:
            pair = (proposal.node, proposal.other)
            if pair not in self.proposals or proposal.belief.match > self.proposals[pair][0].belief.match:
                self.proposals[pair] = proposal, key
        if card.marks[0] == here:
            observe(self.learner, card)
        self.laid += 1

    def _leave(self, key: bytes, node: bytes) -> None:
        leave(self._block(key), node)
        forget(self.learner, node)
        self.left |= {key, LEARNER}

    def _teach(self, taught: Mapping[str, Any]) -> None:
        pattern = tuple(taught["pattern"])
        if len(pattern) != len(FIELDS) or max(pattern) >= LEVELS:
            raise WireError("bad-card", "a pattern has a level of agreement for each field")
        answer(self.learner, pattern, Belief(taught["match"], taught["household"]), same=taught["same"])
        ANSWERS.labels("same" if taught["same"] else "different").inc()
        self.taught = True

    def _weigh(self, weigh: Mapping[str, Any]) -> None:
        """Say whether the records of two customers bear that they are one."""
        cards, others = ([_card.decode(each) for each in weigh[side]] for side in ("cards", "others"))
        if not cards or not others or not is_node(weigh["node"]):
            raise WireError("bad-card", "both customers to be weighed have at least one card")
        share = borne(cards, others, self.learner, share=self.agent.share)
        self.messages.append(Message(weigh["node"], weigh["node"], Borne(weigh["node"], weigh["other"], share)))
        WEIGHED.inc()


def _told(proposal: Proposal, block: bytes) -> Message:
    node, other, believed, pattern = proposal.node, proposal.other, proposal.belief, proposal.pattern
    return Message(node, node, Alike(node, other, believed.match, believed.household, bytes(pattern), block))


def stage(agent: Near, *, name: str = NAME) -> Stage[Value]:
    """Return the agent as a stage of the lane; each generation's has a name of its own."""
    wire = agent.wire
    dead_letter: Any = partial(wire.dead_letter, stage=NAME)
    return Stage(
        name=name,
        sources=(wire.topic(topics.CARDS),),
        changelog=wire.topic(topics.NEAR_CHANGELOG),
        vault=wire.topic(topics.NEAR_VAULT),
        job=agent,
        encode=encode,
        decode=decode,
        dead_letter=dead_letter,
        max_batch=MAX_BATCH,
        linger_ms=LINGER_MS,
    )
