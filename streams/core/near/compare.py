"""How alike two cards are, trait by trait: the pattern that is weighed."""

from typing import NamedTuple

from rapidfuzz.distance import OSA

from schemas.names import sound
from streams.core.near.card import Card

# Levels of agreement. UNKNOWN where a side has nothing to compare: no evidence, either way.
UNKNOWN, DIFFERS, SIMILAR, NEAR, SAME = range(5)
LEVELS = 5


class Field(NamedTuple):
    """A field of the pattern.

    Parameters
    ----------
    name : what is compared
    personal : a person's own; else what those who live together share
    u : prior probability of SAME, NEAR and SIMILAR between two people taken at random, rough on purpose
    terms : whether agreement on a rare value says more than on a frequent one
    """

    name: str
    personal: bool
    u: tuple[float, float, float]
    terms: bool = False


# Orders of magnitude that hold for any country: some hundred common names, 30,000 birthdays with neighbours, streets
# and places by the hundred. They count as much as ``learner.PRIOR_PAIRS`` pairs, then what is seen decides.
FIELDS = (
    Field("given_name", True, (0.01, 0.005, 0.02), terms=True),
    Field("surname", False, (0.005, 0.005, 0.02), terms=True),
    # SAME: given name beside given name; DIFFERS: one's given name is the other's surname.
    Field("names_order", True, (0.9, 0.0, 0.0)),
    Field("birth", True, (0.0001, 0.002, 0.01)),
    Field("line", False, (0.002, 0.002, 0.01)),
    Field("other_line", False, (0.002, 0.002, 0.01)),
    Field("lines_order", False, (0.9, 0.0, 0.0)),
    Field("house", False, (0.02, 0.1, 0.0)),
    # Of two who live in one postcode most live in one suburb: what both say is said once. Likewise for states. So a
    # trait that follows from another has two fields, and only one of them is known in a pattern.
    Field("suburb", False, (0.005, 0.002, 0.01), terms=True),
    Field("suburb_there", False, (0.5, 0.01, 0.02)),
    Field("postcode", False, (0.002, 0.01, 0.02), terms=True),
    Field("state", False, (0.2, 0.02, 0.0)),
    Field("state_there", False, (0.9, 0.01, 0.0)),
    Field("country", False, (0.8, 0.0, 0.0)),
    Field("phone", False, (0.0001, 0.0002, 0.001)),
    Field("email", True, (0.001, 0.001, 0.005)),
)
GIVEN, SURNAME, NAMES_ORDER, BIRTH, LINE, OTHER_LINE, LINES_ORDER, HOUSE = range(8)
SUBURB, SUBURB_THERE, POSTCODE, STATE, STATE_THERE, COUNTRY, PHONE, EMAIL = range(8, 16)

# A level per field.
Pattern = tuple[int, ...]

_distance = OSA.distance


def compare(a: Card, b: Card) -> Pattern:
    """Return the level of agreement of each of ``FIELDS``.

    Notes
    -----
    Pure and symmetric; 7 us of two strangers whose nine traits are known.
    """
    given, surname, names_order = _crossed(a.given, a.surname, b.given, b.surname)
    line, other, lines_order = _crossed(a.line, a.other_line, b.line, b.other_line)
    postcode = _code(a.postcode, b.postcode)
    suburb = _text(a.suburb, b.suburb)
    state = _code(a.state, b.state)
    here = postcode == SAME
    there = here or suburb >= NEAR
    return (
        given,
        surname,
        names_order,
        _date(a.birth, b.birth),
        line,
        other,
        lines_order,
        _code(a.house, b.house),
        UNKNOWN if here else suburb,
        suburb if here else UNKNOWN,
        postcode,
        UNKNOWN if there else state,
        state if there else UNKNOWN,
        _text(a.country, b.country) if a.country and b.country else UNKNOWN,
        _code(a.phone, b.phone) if a.phone and b.phone else UNKNOWN,
        _text(a.email, b.email) if a.email and b.email else UNKNOWN,
    )


def _text(a: str, b: str) -> int:
    """Compare words: by the share of letters to be changed, then by sound, then as name and initial."""
    if a == b:
        return SAME if a else UNKNOWN
    if not a or not b:
        return UNKNOWN
    longest, shortest = len(a), len(b)
    if longest < shortest:
        longest, shortest = shortest, longest
    most = longest * 2 // 5
    apart = _distance(a, b, score_cutoff=most) if longest - shortest <= most else most + 1
    # One letter in four, two in ten: typing errors. Of three letters one makes another name (Tim, Tom).
    if apart * 5 <= longest or (apart == 1 and longest >= 4):
        return NEAR
    # In one script what sounds alike starts alike (of two scripts one is not ASCII); most pairs end here.
    if a[0] == b[0]:
        if sound(a) == sound(b):
            return NEAR
        if len(a) == 1 or len(b) == 1:
            return SIMILAR
    elif a.isascii() is not b.isascii() and sound(a) == sound(b):
        return NEAR
    return SIMILAR if apart <= most else DIFFERS


def _code(a: str, b: str) -> int:
    """Compare digits (dates, codes, numbers): one wrong, or all there in another order; two wrong."""
    if a == b:
        return SAME if a else UNKNOWN
    if not a or not b:
        return UNKNOWN
    apart = _distance(a, b, score_cutoff=2)
    if apart > 2:
        return DIFFERS
    longest = max(len(a), len(b))
    if apart == 1 or sorted(a) == sorted(b):
        return NEAR if longest > 1 else DIFFERS
    return SIMILAR if longest > 4 else DIFFERS


def _date(a: str, b: str) -> int:
    """Compare digits of dates: as any digits, and day and month in each other's place."""
    level = _code(a, b)
    if level == DIFFERS and a[:4] == b[:4] and a[4:6] == b[6:] and a[6:] == b[4:6]:
        return NEAR
    return level


def _crossed(a: str, a_other: str, b: str, b_other: str) -> tuple[int, int, int]:
    """Compare two pairs of which one may be swapped: levels of the firsts, of the others, and of their order.

    Where they are swapped nobody knows which of both is the first: the better agreement is the others'. So a surname
    that agrees with a given name is a surname, shared by a family, and not a given name with another surname.
    """
    first, other = _text(a, b), _text(a_other, b_other)
    if first <= DIFFERS or other <= DIFFERS:
        swapped = _text(a, b_other) if a and b_other else UNKNOWN
        swapped_other = _text(a_other, b) if a_other and b else UNKNOWN
        best = max(swapped, swapped_other)
        if best >= NEAR and best >= max(first, other) and swapped + swapped_other > first + other:
            return min(swapped, swapped_other), best, DIFFERS
    return first, other, SAME if first >= SIMILAR or other >= SIMILAR else UNKNOWN
