"""The people of the load: what their signals name, in which order. Pure: a person follows from a seed and a number.

A person is first seen as five strangers: two browsers with a device each, a card at the till, a newsletter's address,
an account. Each lives apart for a while, as a customer with a history, then links tie them to one. All that is ever
named together is a tree: each link is a bridge, and without it the person would be two.

Every so often two people share a tablet: whose it is depends on who comes first, so less can be said of it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Name: TypeAlias = tuple[str, str]  # kind, normalised value
Tie: TypeAlias = tuple[Name, Name]  # the smaller first

# As the contract has it: a signal belongs to the strongest identifier that it names.
STRONGEST_FIRST = ("user_id", "crm_id", "loyalty_id", "email", "phone", "device_id", "anonymous_id")

# Every so many people are two who share a tablet. They link less than others: few enough for 40 % of all signals.
HOUSEHOLD_EVERY = 25
# How often the second identifier of a stranger has a history of its own before it is tied to the first.
BOTH_SEEN = 0.5
# Signals after the last link: they find the person whole.
AFTERWARDS = 3


@dataclass(frozen=True, slots=True)
class Story:
    """What the signals of a person, or of two who share a tablet, name.

    Parameters
    ----------
    names : all that are named
    ties : what is named together; a tree, but for the shared name
    signals : the names of each signal, in order
    shared : the tablet of two people, None of others
    """

    number: int
    names: frozenset[Name]
    ties: tuple[Tie, ...]
    signals: tuple[tuple[Name, ...], ...]
    shared: Name | None = None


def strongest(names: Sequence[Name]) -> Name:
    """Return the name that a signal belongs to; of several of one kind the smallest value."""
    return min(names, key=lambda name: (STRONGEST_FIRST.index(name[0]), name[1]))


def tie(one: Name, other: Name) -> Tie:
    """Return the tie of two names."""
    return (one, other) if one < other else (other, one)


def story(number: int, seed: int) -> Story:
    """Return the story of a person, or of a household."""
    rnd = random.Random(f"{seed}/{number}")
    return _household(number, rnd) if number % HOUSEHOLD_EVERY == HOUSEHOLD_EVERY - 1 else _person(number, rnd)


def _person(number: int, rnd: random.Random) -> Story:
    islands: list[Tie] = [
        (("anonymous_id", f"browser-{number}-0"), ("device_id", f"device-{number}-0")),
        (("anonymous_id", f"browser-{number}-1"), ("device_id", f"device-{number}-1")),
        (("loyalty_id", f"card-{number}"), ("phone", f"+98912{2 * number:07d}")),
        (("email", f"news-{number}@shop.example"), ("phone", f"+98912{2 * number + 1:07d}")),
        (("user_id", f"user-{number}"), ("email", f"person-{number}@shop.example")),
    ]
    rnd.shuffle(islands)
    apart: list[list[tuple[Name, ...]]] = []
    for first, second in islands:
        both = rnd.random() < BOTH_SEEN
        apart.append([(first,), *([(second,)] if both else []), (first, second)])
    bridges = [
        (rnd.choice(islands[rnd.randrange(number_of)]), rnd.choice(islands[number_of]))
        for number_of in range(1, len(islands))
    ]
    rnd.shuffle(bridges)
    ties = tuple(tie(*each) for each in (*islands, *bridges))
    names = sorted({name for each in ties for name in each})
    after = [rnd.choice([(rnd.choice(names),), rnd.choice(ties)]) for _ in range(AFTERWARDS)]
    signals = (*_mixed(apart, rnd), *bridges, *after)
    return Story(number, frozenset(names), ties, signals)


def _household(number: int, rnd: random.Random) -> Story:
    tablet = ("device_id", f"tablet-{number}")
    own: list[Tie] = [
        (("user_id", f"user-{number}-{one}"), ("anonymous_id", f"browser-{number}-{one}")) for one in "ab"
    ]
    apart = [[(user,), (browser,), (user, browser)] for user, browser in own]
    at_tablet = [(user, tablet) for user, _ in own]
    later = [*at_tablet, (tablet,)]
    rnd.shuffle(later)
    signals = (*_mixed([*apart, [(tablet,)]], rnd), *at_tablet, *later)
    ties = tuple(tie(*each) for each in (*own, *at_tablet))
    return Story(number, frozenset(name for each in ties for name in each), ties, signals, tablet)


def _mixed(parts: list[list[tuple[Name, ...]]], rnd: random.Random) -> list[tuple[Name, ...]]:
    """Return what several parts say, each in its order, else at random."""
    turns = [number for number, part in enumerate(parts) for _ in part]
    rnd.shuffle(turns)
    left = [iter(part) for part in parts]
    return [next(left[turn]) for turn in turns]
