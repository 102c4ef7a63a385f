"""The block of a key: the cards that share it, bounded, and what a card that arrives finds there."""

import msgspec

from streams.core.near.card import Card
from streams.core.near.compare import Pattern, compare
from streams.core.near.learner import Belief, Learner, believe, learn

# Most cards of one block: the newest. A key that more share (a tower of flats, a frequent name) says little, and
# whoever is missed in it meets in another; it bounds a visit to 0.2 ms and a block to 3 KB, 40 KB if all is hostile.
MAX_CARDS = 20


class Proposal(msgspec.Struct, frozen=True, array_like=True):
    """Two records that may be of one person.

    Parameters
    ----------
    node, other : nodes of both, the one that arrived first
    belief : probabilities
    pattern : why: levels of agreement, ``compare.FIELDS``; an answer is taught with it
    """

    node: bytes
    other: bytes
    belief: Belief
    pattern: Pattern


class Block(msgspec.Struct, array_like=True):
    """State of one blocking key: cards, the oldest first."""

    cards: list[Card] = msgspec.field(default_factory=list)


def visit(block: Block, card: Card, mark: int, learner: Learner, *, least: float, share: float = 1.0) -> list[Proposal]:
    """Compare a card with those of a block and put it in, in the place of an earlier one of its node.

    Parameters
    ----------
    block : changed in place
    card : with its marks
    mark : the mark of this block's key
    learner : learns from each pair, in the first block that both share: changed in place
    least : probability of a match from which a pair is proposed
    share : as in ``learner.believe``

    Returns
    -------
    proposals; a pair that shares several keys is proposed in each, the receiver takes one
    """
    found = []
    earlier = frozenset(card.marks[: card.marks.index(mark)])
    for other in block.cards:
        if other.node == card.node:
            continue
        pattern = compare(card, other)
        believed = believe(learner, pattern, card, share=share)
        if believed.match >= least:
            found.append(Proposal(card.node, other.node, believed, pattern))
        if earlier.isdisjoint(other.marks):
            learn(learner, pattern, believed)
    leave(block, card.node)
    block.cards.append(card)
    del block.cards[:-MAX_CARDS]
    return found


def leave(block: Block, node: bytes) -> None:
    """Take a node's card out: its record has changed, or is erased."""
    block.cards = [each for each in block.cards if each.node != node]
