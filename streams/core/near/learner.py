"""What agreement is worth: Fellegi and Sunter's weights, learned from the stream itself without labels.

Two cards are of one person (class M), of two who live together (H), or of two others (O). In M a trait agrees with
probability m, in O with probability u. In H what is personal (given name, birth) agrees as in O, and what is shared
(address, mostly the surname) as in M: without this class a family at one address looks like one person.

u is learned from pairs of unrelated cards: each new one beside some earlier ones. m is learned by stepwise
expectation-maximisation: each candidate pair counts for M as far as it is believed to be in M, beside a prior that
keeps the first pairs from running away. Answers of people count as pairs whose class is known.

References
----------
Fellegi and Sunter (1969), A theory for record linkage; Winkler (1988), EM in the Fellegi-Sunter model; Cappé and
Moulines (2009), On-line EM; Robertson's frequency adjustment as in Splink's ``term_frequency_adjustments``.
"""

from collections import Counter
from itertools import zip_longest
from math import exp, log
from operator import getitem
from typing import Final
from zlib import crc32

import msgspec

from streams.core.near.card import Card
from streams.core.near.compare import DIFFERS, FIELDS, LEVELS, NAMES_ORDER, SAME, SURNAME, UNKNOWN, Pattern, compare

# Prior of m: SAME, NEAR, SIMILAR, DIFFERS. One trait in ten is mistyped, one in twenty is another (moved, married).
_M_PRIOR: Final = (0.85, 0.08, 0.02, 0.05)

# How many pairs the prior of m and u counts for: enough that ten odd pairs move no weight by more than half a bit.
PRIOR_PAIRS = 100.0

# How much an answer of a person counts beside a pair that was only believed.
ANSWER_PAIRS = 10.0

# Pairs that are remembered: past them all counts are halved, so that weights follow what customers do, over months.
MEMORY_PAIRS = 50_000.0

# Cards beside which each new one is laid to learn u, and from how many they are taken.
U_PAIRS = 4
RECENT = 32

# Values counted per field with term frequencies, and how much of the average a frequency is drawn to: 200 cards.
MAX_TERMS = 512
TERM_PRIOR = 200.0
# A value that is rare, or of which nothing is known, tells at most three bits more than the average one.
RAREST = 1 / 8

# Expected matches and housemates of a new card among all earlier ones, before any was seen, and what the belief in
# these counts for, in cards.
PRIOR_MATCHES = 0.3
PRIOR_HOUSEHOLDS = 0.05
PRIOR_CARDS = 50.0
# However few cards were seen: they are a sample of at least so many people.
FEWEST = 200.0

# Of those who live together so many share a surname; the rest are couples, friends and the tenants before.
SAME_SURNAME = 0.7

# The weights in use are renewed when so many cards were seen: at the same card, however the lane cuts its batches.
RENEW_CARDS = 32

# A pair believed in less moves nothing.
_LEAST = 1e-4
# Below this weight not even four rare values (2 each) and a customer in two hundred (-5) bring a pair to _LEAST.
_NOBODY = -13.0


class Belief(msgspec.Struct, frozen=True, array_like=True):
    """Of one pair: ``match`` and ``household``, probabilities that it is one person, or two who live together."""

    match: float
    household: float


_STRANGERS = Belief(0.0, 0.0)


class Learner(msgspec.Struct, array_like=True):
    """The state of learning; 16 KB encoded, half of it the terms; 80 KB if all cards are hostile. Start with ``begin``.

    Parameters
    ----------
    cards : cards seen
    matches, households : expected number among the candidate pairs seen
    m, u : per field, counts of each level; the first (UNKNOWN) is not used
    terms : per field, counts of values by their CRC-32; empty for fields without
    recent : cards to learn u from
    weights, together : log of m / u, and of the same for H, per field and level, as last renewed
    """

    m: list[list[float]]
    u: list[list[float]]
    terms: list[dict[int, int]]
    weights: list[list[float]]
    together: list[list[float]]
    cards: int = 0
    matches: float = PRIOR_MATCHES * PRIOR_CARDS
    households: float = PRIOR_HOUSEHOLDS * PRIOR_CARDS
    recent: list[Card] = msgspec.field(default_factory=list)


def begin() -> Learner:
    """Return what is believed before the first card."""
    same, near, similar, differs = _M_PRIOR
    m = [0.0, differs, similar, near, same]
    learner = Learner(
        [[each * PRIOR_PAIRS for each in m] for _ in FIELDS],
        [
            [0.0] + [each * PRIOR_PAIRS for each in (1 - sum(field.u), field.u[2], field.u[1], field.u[0])]
            for field in FIELDS
        ],
        [{} for _ in FIELDS],
        [],
        [],
    )
    renew(learner)
    return learner


def renew(learner: Learner) -> None:
    """Make the weights from the counts."""
    learner.weights, learner.together = [], []
    for number, field in enumerate(FIELDS):
        # A fraction of a pair on each level: none is impossible, and one nobody has seen yet says little.
        m, u = (
            [(count + 0.5) / (sum(counts) + 0.5 * (LEVELS - 1)) for count in counts]
            for counts in (learner.m[number], learner.u[number])
        )
        weights = [0.0, *(log(m[level] / u[level]) for level in range(DIFFERS, LEVELS))]
        learner.weights.append(weights)
        if field.personal:
            learner.together.append([0.0] * LEVELS)
        elif number == SURNAME:
            learner.together.append([log(SAME_SURNAME * exp(each) + 1 - SAME_SURNAME) for each in weights])
        else:
            learner.together.append(weights)


def believe(learner: Learner, pattern: Pattern, card: Card, *, share: float = 1.0) -> Belief:
    """Return the probabilities of a candidate pair.

    Parameters
    ----------
    learner : not changed
    pattern : ``compare(card, other)``
    card : whose values tell how rare is what agrees
    share : of all cards that this learner has seen: 1 / partitions, where each partition has its own
    """
    # In C: this runs for every pair; the weight of UNKNOWN is 0.
    match = sum(map(getitem, learner.weights, pattern))
    together = sum(map(getitem, learner.together, pattern))
    if match < _NOBODY and together < _NOBODY:
        return _STRANGERS
    # A name beside a surname is in neither's table of frequencies.
    for number in _TERMS_OF_PLACES if pattern[NAMES_ORDER] == DIFFERS else _TERMS:
        if pattern[number] == SAME:
            rare = -log(_frequency(learner, number, card))
            match += rare
            if not FIELDS[number].personal:
                together += rare
    # Of all earlier cards this one has so many matches; that is the chance of any one before it is compared.
    cards = learner.cards + PRIOR_CARDS
    others = max(learner.cards / share, FEWEST)
    odds = _odds(match) * learner.matches / cards / others
    shared_odds = _odds(together) * learner.households / cards / others
    total = 1 + odds + shared_odds
    return Belief(odds / total, shared_odds / total)


def _odds(weight: float) -> float:
    return exp(min(weight, 100.0))


_TERMS = tuple(number for number, field in enumerate(FIELDS) if field.terms)
_TERMS_OF_PLACES = tuple(number for number in _TERMS if number > NAMES_ORDER)
_ATTRIBUTES = {number: FIELDS[number].name.removesuffix("_name") for number in _TERMS}


def _frequency(learner: Learner, number: int, card: Card) -> float:
    """Return how frequent the card's value is, over the average of what agrees by chance."""
    counts = learner.u[number]
    average = counts[SAME] / sum(counts)
    seen = learner.terms[number].get(crc32(getattr(card, _ATTRIBUTES[number]).encode()), 0)
    return max((seen / average + TERM_PRIOR) / (learner.cards + TERM_PRIOR), RAREST)


def observe(learner: Learner, card: Card) -> None:
    """Count a card: how frequent its values are, and how alike it is to unrelated ones. Once per card.

    Notes
    -----
    About 75 us. It comes after the card's candidates were weighed.
    """
    start = learner.cards % RECENT
    for offset in range(min(U_PAIRS, len(learner.recent))):
        other = learner.recent[(start + offset * (RECENT // U_PAIRS)) % len(learner.recent)]
        if other.node == card.node:
            continue
        pattern = compare(card, other)
        believed = believe(learner, pattern, card)
        _count(learner.u, pattern, 1 - believed.match - believed.household)
    if len(learner.recent) < RECENT:
        learner.recent.append(card)
    else:
        learner.recent[start] = card
    for number in _TERMS:
        value = getattr(card, _ATTRIBUTES[number])
        if value:
            _count_term(learner.terms[number], crc32(value.encode()))
    learner.cards += 1
    if learner.cards % RENEW_CARDS == 0:
        renew(learner)


def forget(learner: Learner, node: bytes) -> None:
    """Take a node's card out of those that are kept to compare with: it has changed, or is erased.

    What was counted of it stays: levels of agreement, and short hashes of values without a name.
    """
    if any(card.node == node for card in learner.recent):
        learner.recent = [card for card in learner.recent if card.node != node]


def _count_term(terms: dict[int, int], term: int) -> None:
    """Misra and Gries: what is more frequent than one in ``MAX_TERMS`` is always kept, counts are never too high."""
    if term in terms or len(terms) < MAX_TERMS:
        terms[term] = terms.get(term, 0) + 1
        return
    for other in [each for each, count in terms.items() if count == 1]:
        del terms[other]
    for other in terms:
        terms[other] -= 1


def learn(learner: Learner, pattern: Pattern, believed: Belief) -> None:
    """Count a candidate pair for the classes, as far as it is believed to be in each: one step of EM."""
    if believed.match + believed.household < _LEAST:
        _count_following(learner, pattern, 1.0)
        return
    learner.matches += believed.match
    learner.households += believed.household
    _count(learner.m, pattern, believed.match)
    _count_following(learner, pattern, 1 - believed.match - believed.household)


def answer(learner: Learner, pattern: Pattern, believed: Belief, *, same: bool) -> None:
    """Count a person's word on a pair: a review's answer, or a link that an identifier has confirmed.

    Two who are not one may live together: what they share then counts for strangers only as far as they are believed
    to be strangers. Else each family that is told apart would make addresses worth less.
    """
    if same:
        _count(learner.m, pattern, ANSWER_PAIRS)
    else:
        strangers = max(1 - believed.match - believed.household, 0.0)
        apart = (strangers + _LEAST) / (strangers + believed.household + _LEAST)
        _count(learner.u, _only(pattern, personal=True), ANSWER_PAIRS)
        _count(learner.u, _only(pattern, personal=False), ANSWER_PAIRS * apart)
    renew(learner)


def _only(pattern: Pattern, *, personal: bool) -> Pattern:
    return tuple(level if field.personal is personal else UNKNOWN for field, level in zip(FIELDS, pattern, strict=True))


# Fields that are known only where another agrees, so hardly ever in pairs taken at random: their u is learned from
# candidate pairs that are nobody.
_FOLLOWING = tuple(number for number, field in enumerate(FIELDS) if field.name.endswith("_there"))


def _count_following(learner: Learner, pattern: Pattern, weight: float) -> None:
    for number in _FOLLOWING:
        if pattern[number]:
            _add(learner.u[number], pattern[number], weight)


def _count(counts: list[list[float]], pattern: Pattern, weight: float) -> None:
    if weight < _LEAST:
        return
    for each, level in zip(counts, pattern, strict=True):
        if level:
            _add(each, level, weight)


def _add(counts: list[float], level: int, weight: float) -> None:
    counts[level] += weight
    if sum(counts) > MEMORY_PAIRS:
        counts[:] = [count / 2 for count in counts]


def merge(one: Learner, other: Learner) -> Learner:
    """Return what two learners know together, as after a change of the partition count; neither is changed."""
    merged = begin()
    prior = begin()
    for mine, theirs, start, into in (
        (one.m, other.m, prior.m, merged.m),
        (one.u, other.u, prior.u, merged.u),
    ):
        for number in range(len(FIELDS)):
            into[number] = [a + b - c for a, b, c in zip(mine[number], theirs[number], start[number], strict=True)]
    for number in _TERMS:
        terms = Counter(one.terms[number]) + Counter(other.terms[number])
        merged.terms[number] = dict(sorted(terms.items(), key=lambda each: (-each[1], each[0]))[:MAX_TERMS])
    merged.recent = [each for pair in zip_longest(one.recent, other.recent) for each in pair if each][:RECENT]
    merged.cards = one.cards + other.cards
    merged.matches = one.matches + other.matches - prior.matches
    merged.households = one.households + other.households - prior.households
    renew(merged)
    return merged
