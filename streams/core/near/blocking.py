"""Blocking keys: where cards that may be of one person meet.

A key is made of two or three traits, so that its block stays small among a million customers, and each kind of key
survives other mistakes: a pair is missed only if mistakes in several traits break all of its keys. Names go in by
their sound and as a set (misspelt, swapped, other script), dates and postcodes as the set of their digits (two of them
transposed), lines of an address each for itself (swapped).
"""

from collections.abc import Callable
from itertools import product
from zlib import crc32

import msgspec

from schemas.names import sound
from streams.core.near.card import Card

# Most keys of one card: what one change of a record costs in messages. A full card has them all.
MAX_KEYS = 15


def keys(card: Card) -> tuple[str, ...]:
    """Return the blocking keys of a card, at most ``MAX_KEYS``, those of the smallest blocks first.

    They hold personal data: they are told hashed, see ``marked``.

    Notes
    -----
    Pure; about 25 us; a card with one trait has none, unless it is a phone number.
    """
    names = sorted({sound(each) for each in (card.given, card.surname) if each})
    initials = "".join(sorted(each[0] for each in (card.given, card.surname) if each))
    birth = "".join(sorted(card.birth))
    postcode = "".join(sorted(card.postcode))
    lines = [sound(each) for each in (card.line, card.other_line) if each]
    made: list[tuple[str, ...]] = [("p", card.phone), ("e", card.email, initials)]
    made += [("bc", card.birth, postcode), ("bi", birth, initials)]
    made += [("nb", *each) for each in product(names, [birth])]
    made += [("lh", *each) for each in product(lines, [card.house])]
    made += [("np", *each) for each in product(names, [postcode])]
    made += [("nl", *each) for each in product(names[:1], lines)]
    made += [("hp", card.house, postcode), ("hs", card.house, sound(card.suburb))]
    if len(names) == 2:
        made.append(("nn", *names))
    return tuple(dict.fromkeys("\0".join(key) for key in made if all(key)))


def marked(card: Card, hashed: Callable[[str], bytes] = str.encode) -> tuple[Card, tuple[bytes, ...]]:
    """Return the card with its marks, and its keys as they are told.

    Parameters
    ----------
    hashed : what is told of a key instead of its values
    """
    found = tuple(hashed(key) for key in keys(card))
    return msgspec.structs.replace(card, marks=tuple(mark(key) for key in found)), found


def mark(key: bytes) -> int:
    """Return a key's mark: by the marks two cards see which blocks they share without a word on the others' keys."""
    return crc32(key)
