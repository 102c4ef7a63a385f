"""How numbers, amounts, times and strangers' texts are written in each language."""

import unicodedata
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.desk.words import WORDS
from schemas.money import parts_of
from schemas.person import standard

Language = Literal["en", "fa", "ar"]
LANGUAGES: tuple[Language, ...] = ("en", "fa", "ar")

_DIGITS = {"fa": str.maketrans("0123456789,.", "۰۱۲۳۴۵۶۷۸۹٬٫"), "ar": str.maketrans("0123456789,.", "٠١٢٣٤٥٦٧٨٩٬٫")}

# Where an agent is who says nothing else: browsers tell their zone as soon as the script runs.
_ZONES: dict[Language, str] = {"en": "UTC", "fa": "Asia/Tehran", "ar": "Asia/Riyadh"}

# Longest text of a stranger's shown in one place, characters: three lines of a card.
MOST_TEXT = 160

# Kinds of characters that are not shown: controls, direction and format marks, lone surrogates, private use. Persian
# needs the two joiners among them.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co"})
_KEPT = frozenset("\n\t\u200c\u200d")

# Marks that begin words of a direction; U+2069 ends them.
_RUNS = {"ltr": "\u2066", "rtl": "\u2067"}

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400

# Days before each month of the Persian year: six of 31, five of 30.
_PERSIAN_STARTS = tuple(31 * m if m <= 6 else 186 + 30 * (m - 6) for m in range(12))
_PERSIAN_MONTHS = "فروردین اردیبهشت خرداد تیر مرداد شهریور مهر آبان آذر دی بهمن اسفند".split()  # noqa: SIM905 - words
_ARABIC_MONTHS = "يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر".split()  # noqa: SIM905


def plain(text: object, most: int = MOST_TEXT) -> str:
    r"""Return a stranger's text, cut, without what changes the text around it: control and direction characters.

    Examples
    --------
    >>> plain("a\u202eb\x00c"), plain("abcdef", 4)
    ('abc', 'abc…')
    """
    given = str(text)
    # What is cut away needs no cleaning; hidden characters may make the rest shorter, never longer.
    kept = "".join(c for c in given[: 4 * most] if c in _KEPT or unicodedata.category(c) not in _HIDDEN)
    return kept if len(kept) <= most else kept[: most - 1] + "…"


def zone_of(name: str | None, language: Language) -> ZoneInfo:
    """Return a time zone by name, else the language's own."""
    if name and len(name) <= 64:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    return ZoneInfo(_ZONES[language])


def persian(day: date) -> tuple[int, int, int]:
    """Return a day in the Persian calendar: year, month, day.

    References
    ----------
    The 33-year cycle of 8 leap years, which agrees with the astronomical calendar from 1799 to 2256.

    Examples
    --------
    >>> persian(date(2026, 3, 21)), persian(date(2025, 3, 20)), persian(date(2026, 11, 22))
    ((1405, 1, 1), (1403, 12, 30), (1405, 9, 1))
    """
    year = day.year - 621
    start = _nowruz(year)
    if day < start:
        year -= 1
        start = _nowruz(year)
    gone = (day - start).days
    month = max(m for m, before in enumerate(_PERSIAN_STARTS) if before <= gone)
    return year, month + 1, gone - _PERSIAN_STARTS[month] + 1


def _nowruz(year: int) -> date:
    """Return the Gregorian day of 1 Farvardin, counted from 21 March 2021, 1 Farvardin 1400."""
    return date.fromordinal(date(2021, 3, 21).toordinal() + 365 * (year - 1400) + _leaps(year) - _leaps(1400))


def _leaps(year: int) -> int:
    """Return the leap years before a year: in each 33 the 1st, 5th, 9th, 13th, 17th, 22nd, 26th and 30th."""
    cycles, rest = divmod(year, 33)
    return 8 * cycles + sum(leap < rest for leap in (1, 5, 9, 13, 17, 22, 26, 30))


@dataclass(frozen=True, slots=True)
class Locale:
    """A language in a zone at a moment.

    Parameters
    ----------
    now_ms : epoch ms; what "ago" is counted from
    """

    language: Language
    zone: ZoneInfo
    now_ms: int

    @property
    def direction(self) -> str:
        """Return the direction of writing."""
        return "ltr" if self.language == "en" else "rtl"

    @property
    def comma(self) -> str:
        """Return what stands between the parts of a list."""
        return ", " if self.language == "en" else "، "

    def own(self, text: str) -> str:
        """Return our words so that they run in the page's direction, whatever strangers' words are among them."""
        return f"{_RUNS[self.direction]}{text}\u2069"

    def word(self, key: str) -> str:
        """Return a word of the page; one that no table has is a stranger's, made readable."""
        row = WORDS.get(key)
        if row is None:
            return plain(key).replace("_", " ")
        return row[LANGUAGES.index(self.language)]

    def trait(self, name: str) -> str:
        """Return a trait's name in the agent's language, however its source spells it."""
        key = f"trait {standard(name)}"
        return self.word(key if key in WORDS else name)

    def named(self, key: str) -> str:
        """Return a word that may be a stranger's, so that digits after it keep their own direction: CRM · ۳ شهریور."""
        return f"\u2068{self.word(key)}\u2069"

    def digits(self, text: str) -> str:
        """Return a number's text in the language's digits."""
        table = _DIGITS.get(self.language)
        return text if table is None else text.translate(table)

    def number(self, value: float, places: int = 0) -> str:
        """Return a number."""
        return self.digits(f"{value:,.{places}f}")

    def percent(self, share: float) -> str:
        """Return a share in [0, 1]."""
        sign = "%" if self.language == "en" else "٪"
        return self.digits(f"{100 * share:.0f}") + sign

    def money(self, minor: float, currency: str) -> str:
        """Return an amount with its currency."""
        parts = parts_of(currency)
        places = 2 if parts == 100 and minor % 100 else 3 if parts == 1000 and minor % 1000 else 0
        return f"{self.number(minor / parts, places)} {self.word(currency) if currency else ''}".strip()

    def ago(self, at_ms: int) -> str:
        """Return how long ago something was."""
        gone = max(0, self.now_ms - at_ms) // 1000
        if gone < _MINUTE:
            return self.word("just now")
        unit, size = ("minutes", _MINUTE) if gone < _HOUR else ("hours", _HOUR) if gone < 2 * _DAY else ("days", _DAY)
        return self.word(f"ago {unit}").format(self.digits(str(gone // size)))

    def clock(self, at_ms: int, zone: ZoneInfo | None = None) -> str:
        """Return the time of day."""
        return self.digits(datetime.fromtimestamp(at_ms / 1000, zone or self.zone).strftime("%H:%M"))

    def date(self, at_ms: int) -> str:
        """Return the day: Persian calendar in Persian."""
        at = datetime.fromtimestamp(at_ms / 1000, self.zone)
        if self.language == "fa":
            year, month, day = persian(at.date())
            return self.digits(f"{day} {_PERSIAN_MONTHS[month - 1]} {year}")
        if self.language == "ar":
            return self.digits(f"{at.day} {_ARABIC_MONTHS[at.month - 1]} {at.year}")
        return f"{at.day} {at:%b %Y}"

    def moment(self, at_ms: int) -> str:
        """Return day and time."""
        return f"{self.date(at_ms)}{self.comma}{self.clock(at_ms)}"
