"""The card: what is compared of one record, normalised and bounded."""

import re
from collections.abc import Mapping
from datetime import date

import msgspec

from schemas.names import name, plain

# Longest value kept, characters: a longer address line differs enough within these; it bounds a card to about 1 KB.
MAX_VALUE = 48

# A line that starts or ends with a house number: "12b High Street", "Hauptstr. 7", "پلاک 12".
_NUMBER = re.compile(r"^(\d{1,6}[a-z]?) (.+)$|^(.+?) (\d{1,6}[a-z]?)$")

# The last digits of a phone number: what stays with and without the country's code and the trunk's zero.
PHONE_DIGITS = 9


class Card(msgspec.Struct, array_like=True, gc=False):
    """What is compared of a record; "" where nothing is known. About 150 bytes encoded, 65 of them marks.

    Parameters
    ----------
    node : of the facet that the record is, 16 bytes; a block holds one card per node
    given, surname : without titles
    birth : digits of the date of birth, year first; 8 of them, or fewer
    line, other_line : lines of the address without spaces; which one is first means nothing
    house : number of the house, letters as written
    suburb : suburb or city, without spaces
    postcode, state, country : without spaces
    phone : its last nine digits
    email : what stands before the @, without dots and tags
    marks : short hashes of the card's blocking keys (``blocking.marked``), of which two cards have some in common
    """

    node: bytes
    given: str = ""
    surname: str = ""
    birth: str = ""
    line: str = ""
    other_line: str = ""
    house: str = ""
    suburb: str = ""
    postcode: str = ""
    state: str = ""
    country: str = ""
    phone: str = ""
    email: str = ""
    marks: tuple[int, ...] = ()


# Names in the mapping that ``card`` reads, in the card's order.
TRAITS = (
    "given_name", "surname", "birth_date", "address_1", "address_2", "house_number", "suburb", "postcode", "state",
    "country", "phone", "email",
)  # fmt: skip


def card(node: bytes, traits: Mapping[str, str]) -> Card:
    """Return the card of a record.

    Parameters
    ----------
    node : 16 bytes
    traits : texts as people typed them, by the names of ``TRAITS``; others are not looked at, any may be missing.
        ``name`` (a whole name) is taken apart where neither given name nor surname is there

    Notes
    -----
    About 20 us. It never fails: what cannot be read is text like any other, and agrees with what is written the same.

    Examples
    --------
    >>> found = card(b"n" * 16, {"given_name": "Dr Sára", "address_1": "12 High Street", "birth_date": "1984-05-02"})
    >>> found.given, found.house, found.line, found.birth
    ('sara', '12', 'highstreet', '19840502')
    """
    given, surname = _names(traits)
    house = _tight(traits.get("house_number", ""))
    house, line = _line(house, traits.get("address_1", ""))
    house, other = _line(house, traits.get("address_2", ""))
    suburb, postcode, state, country = (_tight(traits.get(trait, "")) for trait in TRAITS[6:10])
    return Card(
        node,
        given=given,
        surname=surname,
        birth=birth_digits(traits.get("birth_date", "")),
        line=line,
        other_line=other,
        house=house.lstrip("0"),
        suburb=suburb,
        postcode=postcode,
        state=state,
        country=country,
        phone=_digits(traits.get("phone", ""))[-PHONE_DIGITS:],
        email=_local(traits.get("email", "")),
    )


def _names(traits: Mapping[str, str]) -> tuple[str, str]:
    given, surname = (name(traits.get(trait, "")) for trait in ("given_name", "surname"))
    if not given and not surname:
        given, _, surname = name(traits.get("name", "")).partition(" ")
    return given.replace(" ", "")[:MAX_VALUE], surname.replace(" ", "")[:MAX_VALUE]


def _tight(text: str) -> str:
    # Where people put a space, and whether, says nothing: "St. Kilda", "StKilda".
    return plain(text).replace(" ", "")[:MAX_VALUE]


def _line(house: str, text: str) -> tuple[str, str]:
    line = plain(text)
    if not house and (found := _NUMBER.match(line)):
        house, line = (found[1], found[2]) if found[1] else (found[4], found[3])
    return house, line.replace(" ", "")[:MAX_VALUE]


def _digits(text: str) -> str:
    return "".join(c for c in plain(text) if "0" <= c <= "9")


def birth_digits(text: str) -> str:
    """Return the digits of a date, year first.

    ``1984-05-02``, ``19840502`` and ``۱۹۸۴/۵/۲`` are one date, and so is ``02.05.1984``. A date that no calendar has
    (a typing error) is kept: it is still close to the right one. Jalali years (1300 to 1499) become Gregorian dates,
    so that 1363/2/12 is 1984-05-02.
    """
    parts = ["".join(c for c in part if "0" <= c <= "9") for part in plain(text.partition("T")[0]).split()]
    parts = [part for part in parts if part]
    if len(parts) == 3:
        if len(parts[2]) == 4:
            parts.reverse()
        parts = [parts[0], parts[1].zfill(2), parts[2].zfill(2)]
    digits = "".join(parts)[:8]
    return _gregorian(digits) if len(digits) == 8 and "1300" <= digits[:4] < "1500" else digits


# Days of the proleptic Gregorian ordinal before 1 Farvardin of year 1, and the leap cycle that fits 1178 to 1633.
_JALALI_EPOCH = 226_894


def _gregorian(digits: str) -> str:
    year, month, day = int(digits[:4]), int(digits[4:6]), int(digits[6:])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return digits
    days = 365 * (year - 1) + (8 * year + 21) // 33 + (month - 1) * 30 + min(month - 1, 6) + day
    return date.fromordinal(_JALALI_EPOCH + days).strftime("%Y%m%d")


def _local(text: str) -> str:
    return plain(text.partition("@")[0].partition("+")[0]).replace(" ", "")[:MAX_VALUE]
