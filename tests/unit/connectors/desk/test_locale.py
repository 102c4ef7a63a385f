"""Numbers, days and strangers' texts in three languages."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.desk.locale import LANGUAGES, Locale, persian, plain, zone_of
from connectors.desk.words import WORDS

NOW = 1_790_000_000_000


def locale(language: str) -> Locale:
    return Locale(language, ZoneInfo("Asia/Tehran"), NOW)  # type: ignore[arg-type]  # one of LANGUAGES


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(1979, 2, 11), (1357, 11, 22)),
        (date(2021, 3, 20), (1399, 12, 30)),
        (date(2021, 3, 21), (1400, 1, 1)),
        (date(2024, 3, 20), (1403, 1, 1)),
        (date(2025, 3, 20), (1403, 12, 30)),
        (date(2025, 3, 21), (1404, 1, 1)),
        (date(2026, 9, 22), (1405, 6, 31)),
        (date(2026, 9, 23), (1405, 7, 1)),
        (date(2029, 3, 20), (1408, 1, 1)),
        (date(2030, 3, 20), (1408, 12, 30)),
    ],
)
def test_known_persian_days(day: date, expected: tuple[int, int, int]) -> None:
    """History, new year's days, leap days, ends of months."""
    assert persian(day) == expected


@given(st.dates(date(1900, 1, 1), date(2200, 1, 1)))
def test_the_persian_calendar_counts_on(day: date) -> None:
    """The next day is the next day: or the first of a month, or of a year."""
    year, month, number = persian(day)
    after = persian(day + timedelta(1))
    assert after in {(year, month, number + 1), (year, month + 1, 1), (year + 1, 1, 1)}
    assert number <= (31 if month <= 6 else 30)
    if after[1] != month:
        assert number in ({31} if month <= 6 else {30} if month < 12 else {29, 30})


@pytest.mark.parametrize(
    ("language", "number", "percent", "money"),
    [
        ("en", "1,234,567", "71%", "19.99 EUR"),
        ("fa", "۱٬۲۳۴٬۵۶۷", "۷۱٪", "۱۹٫۹۹ یورو"),
        ("ar", "١٬٢٣٤٬٥٦٧", "٧١٪", "١٩٫٩٩ يورو"),
    ],
)
def test_numbers(language: str, number: str, percent: str, money: str) -> None:
    """Digits and separators of the language."""
    found = locale(language)
    assert (found.number(1_234_567), found.percent(0.71), found.money(1999, "EUR")) == (number, percent, money)


@pytest.mark.parametrize(
    ("gone_s", "text"),
    [(-50, "just now"), (59, "just now"), (60, "1 min ago"), (7_300, "2 h ago"), (180_000, "2 days ago")],
)
def test_ago(gone_s: int, text: str) -> None:
    """A signal from the future is just now."""
    assert locale("en").ago(NOW - gone_s * 1000) == text


def test_times_are_in_the_zone() -> None:
    """Tehran is three and a half hours ahead, and its day may be another."""
    assert Locale("en", ZoneInfo("UTC"), NOW).moment(1_795_382_000_000) == "22 Nov 2026, 21:13"
    assert Locale("fa", ZoneInfo("Asia/Tehran"), NOW).moment(1_795_382_000_000) == "۲ آذر ۱۴۰۵، ۰۰:۴۳"


@pytest.mark.parametrize("name", ["", "Mars/Base", "../../etc/passwd", "x" * 100, "/etc/localtime", "\x00"])
def test_a_wrong_zone_is_the_language_s(name: str) -> None:
    """Whatever a cookie says."""
    assert zone_of(name, "fa").key == "Asia/Tehran"


@given(st.text())
def test_plain_text_is_harmless(text: str) -> None:
    """No control, no change of direction, bounded; what is left is as it was."""
    found = plain(text)
    assert len(found) <= 160
    assert not set(found) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\x00\x1b\x7f")


def test_every_word_is_in_every_language() -> None:
    """None is empty, and each keeps its places for values."""
    for key, row in WORDS.items():
        assert len(row) == len(LANGUAGES), key
        assert all(row), key
        assert len({text.count("{}") for text in row}) == 1, key


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", ["Given name", "Given name", "City", "shoe size"]),
        ("fa", ["نام", "نام", "شهر", "shoe size"]),
        ("ar", ["الاسم الأول", "الاسم الأول", "المدينة", "shoe size"]),
    ],
)
def test_a_trait_is_called_the_same_whatever_its_source_calls_it(language: str, told: list[str]) -> None:
    """What nobody knows is shown as it came."""
    assert [locale(language).trait(name) for name in ("first_name", "firstName", "city", "shoe_size")] == told
