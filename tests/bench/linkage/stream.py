"""Near matches as a stream: each record seen once, in order, decided at its arrival, links never undone."""

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import NamedTuple

from streams.core.near.block import MAX_CARDS, Block, visit
from streams.core.near.blocking import marked
from streams.core.near.card import Card, card
from streams.core.near.cluster import BORNE, REVIEW, borne
from streams.core.near.learner import begin, observe

# FEBRL's columns by the traits of a card. There is no soc_sec_id: records.json comes without it.
TRAITS = {
    "given_name": "given_name", "surname": "surname", "street_number": "house_number", "address_1": "address_1",
    "address_2": "address_2", "suburb": "suburb", "postcode": "postcode", "state": "state",
    "date_of_birth": "birth_date",
}  # fmt: skip

Record = tuple[str, dict[str, str]]


class Measured(NamedTuple):
    """Pairs of one customer against the truth, and the CPU time of a card in its blocks, microseconds."""

    precision: float
    recall: float
    f1: float
    us_per_card: float


class Customers:
    """Union-find of the links made: pairs that follow from others count."""

    def __init__(self) -> None:
        self._root: dict[str, str] = {}
        self.members: dict[str, list[Card]] = {}

    def add(self, number: str, found: Card) -> None:
        self._root[number] = number
        self.members[number] = [found]

    def of(self, number: str) -> str:
        while self._root[number] != number:
            number = self._root[number]
        return number

    def join(self, one: str, other: str) -> None:
        self._root[other] = one
        self.members[one] += self.members.pop(other)


def linked(records: Sequence[Record], *, least: float = REVIEW, seen: Callable[[], None] | None = None) -> Customers:
    """Let records come by once; link what is at least so probable and is borne by the members of both."""
    learner, blocks, customers = begin(), dict[bytes, Block](), Customers()
    for number, traits in records:
        node = number.encode()
        arrived, keys = marked(card(node, {TRAITS[name]: value for name, value in traits.items()}))
        customers.add(number, arrived)
        proposals = {}
        for key, mark in zip(keys, arrived.marks, strict=True):
            block = blocks.setdefault(key, Block())
            for proposal in visit(block, arrived, mark, learner, least=least):
                proposals[proposal.other] = proposal
        observe(learner, arrived)
        for proposal in sorted(proposals.values(), key=lambda each: (-each.belief.match, each.other)):
            one, other = customers.of(number), customers.of(proposal.other.decode())
            if one != other and borne(customers.members[one], customers.members[other], learner) >= BORNE:
                customers.join(one, other)
        if seen is not None:
            seen()
    return customers


def measured(
    records: Sequence[Record],
    truth: set[tuple[str, str]],
    *,
    least: float = REVIEW,
    seen: Callable[[], None] | None = None,
) -> Measured:
    """Run ``linked`` and count its pairs against the true ones."""
    began = time.process_time()
    customers = linked(records, least=least, seen=seen)
    took = time.process_time() - began
    counted: Counter[bool] = Counter()
    for cards in customers.members.values():
        numbers = sorted(each.node.decode() for each in cards)
        counted.update(pair in truth for pair in combinations(numbers, 2))
    right, made = counted[True], counted.total()
    return Measured(right / made, right / len(truth), 2 * right / (made + len(truth)), took / len(records) * 1e6)


def shuffled(records: Sequence[Record], seed: int) -> list[Record]:
    again = list(records)
    random.Random(seed).shuffle(again)
    return again


def visit_us(records: Sequence[Record], rounds: int = 200) -> float:
    """Return the CPU time of one card against a full block, microseconds, the best of five."""
    cards = [
        marked(card(number.encode(), {TRAITS[name]: value for name, value in traits.items()}))[0]
        for number, traits in records[: MAX_CARDS + rounds]
        if traits
    ]
    learner, took = begin(), []
    for _ in range(5):
        block = Block(cards[:MAX_CARDS])
        arriving = cards[MAX_CARDS:]
        began = time.process_time()
        for each in arriving:
            visit(block, each, each.marks[0], learner, least=REVIEW)
        took.append((time.process_time() - began) / len(arriving) * 1e6)
    return min(took)
