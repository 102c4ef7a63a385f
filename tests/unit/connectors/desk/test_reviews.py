"""The operators' page of near matches, and the line on the 360 page."""

from zoneinfo import ZoneInfo

import pytest

from connectors.desk.locale import LANGUAGES, Language, Locale
from connectors.desk.perhaps import others
from connectors.desk.review_words import REVIEW_WORDS
from connectors.desk.reviews import shown
from connectors.operate.reviews import Review, Row
from schemas.person import SPELLED


def review(match: float = 0.934, **fields: object) -> Review:
    given = {
        "id": "ab" * 16,
        "match": match,
        "household": 0.04,
        "limit": "user_id",
        "since_ms": 1_700_000_000_000,
        "customers": ("01" * 16, "02" * 16),
        "names": ("Sara Karimi", ""),
        "rows": [Row("surname", "Karimi", "evil\u202eimiraK", "near"), Row("email", "s@example.com", "", "")],
        "members": ([{"kind": "user_id", "value": "u-1"}], []),
    }
    return Review(**{**given, **fields})  # type: ignore[arg-type]  # a test's own fields


def locale(language: Language) -> Locale:
    return Locale(language, ZoneInfo("UTC"), 1_700_000_100_000)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_question_in_each_language(language: Language) -> None:
    """Every word is there, and a stranger's text turns no direction."""
    found = shown(review(), locale(language))
    words = [found.chance, found.household, found.limit, *(cell for row in found.rows for cell in (row[0], row[4]))]
    assert not any("trait " in word or "agrees " in word or "{}" in word for word in words)
    assert found.rows[0][2] == "evilimiraK"
    assert found.people[1][1] == locale(language).word("unknown person")
    assert found.chance == {"en": "93%", "fa": "۹۳٪", "ar": "٩٣٪"}[language]


def test_every_trait_has_its_word() -> None:
    assert {f"trait {name}" for name in SPELLED} <= REVIEW_WORDS.keys()


def test_a_household_of_less_than_one_in_a_hundred_is_not_told() -> None:
    assert shown(review(household=0.004), locale("en")).household == ""


def test_each_other_customer_is_named_once_the_most_probable_first() -> None:
    """Whichever side this customer is; no more than three."""
    me = "02" * 16
    asked = [
        review(0.6, customers=(me, "03" * 16), names=("Me", "Less")),
        review(0.9, customers=("04" * 16, me), names=("More", "Me")),
        review(0.7, customers=(me, "04" * 16), names=("Me", "More again")),
        *(review(0.5, customers=(me, f"{n:032x}"), names=("Me", "Other")) for n in range(10, 14)),
    ]
    found = others(asked, me, locale("en"))
    assert [name for _, name, _ in found] == ["More", "Less", "Other"]
    assert found[0] == ("04" * 16, "More", "90%")
