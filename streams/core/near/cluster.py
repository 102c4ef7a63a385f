"""A link joins all that each side already is: whether all the pairs that it would make bear it."""

from collections.abc import Sequence

from streams.core.near.card import Card
from streams.core.near.compare import compare
from streams.core.near.learner import Learner, believe

# Cards of one side that are looked at, the newest: 64 pairs at most, 0.6 ms.
MAX_SIDE = 8

# A link at even odds or better makes as many right pairs as wrong ones: the decision that errs least when both errors
# cost the same (Bayes). It is where the review queue starts; the evaluation links from here.
REVIEW = 0.5

# Of the pairs between both sides so many must be matches themselves. In a chain (father, son of the same name at the
# same address, who moved) each link is likely and the ends are strangers.
BORNE = 0.5


def borne(cards: Sequence[Card], others: Sequence[Card], learner: Learner, *, share: float = 1.0) -> float:
    """Return the share of the pairs between two customers' cards that are matches by themselves, 0 to 1.

    Parameters
    ----------
    cards, others : of each customer's facets, the oldest first; neither is empty
    learner : not changed
    share : as in ``learner.believe``

    Notes
    -----
    A link from a near match should be made only where it is at least ``BORNE``.
    """
    pairs = [(one, other) for one in cards[-MAX_SIDE:] for other in others[-MAX_SIDE:]]
    agreed = sum(believe(learner, compare(one, other), one, share=share).match >= REVIEW for one, other in pairs)
    return agreed / len(pairs)
