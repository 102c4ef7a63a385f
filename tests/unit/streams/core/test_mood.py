import pytest

from streams.core.mood import MAX_CHARACTERS, fold_letters, mood_of, score

GOOD = [
    "Great service, thank you so much!",
    "I love it 😍",
    "not bad at all",
    "عالیه، ممنونم",
    "خیلی راضی هستم از کیفیتش",
    "كل شيء رائع والخدمة ممتازة",
    "شكراً لكم",
    "👍",
]
BAD = [
    "This is terrible, I want my money back",
    "I am not happy with the delivery",
    "I don't recommend this shop",
    "کالا خراب بود و خیلی عصبانی هستم",
    "از خرید راضی نیستم",
    "اصلا خوب نبود",
    "بی کیفیت، واقعا بد" + "",
    "الخدمة سيئة جدا",
    "المنتج ليس جيدا ولا أنصح به",
    "😡😡",
]
NEUTRAL = ["Where is my order 1234?", "سفارش من کجاست", "أين طلبي", "", "   ", "12 34", "https://example.com"]


@pytest.mark.parametrize("text", GOOD)
def test_kind_words(text: str) -> None:
    assert score(text) > 0.4


@pytest.mark.parametrize("text", BAD)
def test_harsh_words(text: str) -> None:
    assert score(text) < -0.4


@pytest.mark.parametrize("text", NEUTRAL)
def test_no_word_of_opinion_is_no_mood(text: str) -> None:
    assert mood_of(text) is None
    assert score(text) == 0.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ناراضي", "ناراضی"),  # Arabic yeh
        ("شاكي كيفيت", "شاکی کیفیت"),  # Arabic kaf
        ("فوق\u200cالعاده", "فوقالعاده"),  # ZWNJ
        ("عـــالی", "عالی"),  # tatweel
        ("شُكْرًا", "شكرا"),  # diacritics
        ("DON’T", "dont"),
    ],
)
def test_letters_of_both_keyboards_are_one(one: str, other: str) -> None:
    assert fold_letters(one) == fold_letters(other)


def test_an_intensifier_adds_and_a_negation_turns_only_its_own_sentence() -> None:
    assert score("very good") > score("good") > 0
    assert score("no. good") == score("good")
    assert score("I have no idea who told you that good is enough") == score("good")


def test_a_negation_takes_a_little_away() -> None:
    assert abs(score("not good")) < abs(score("good"))


def test_the_mood_stays_within_bounds_and_reads_one_screenful() -> None:
    assert 0.99 < score("excellent " * 150) < 1.0
    assert -1.0 < score("terrible " * 150) < -0.99
    assert mood_of("x " * (MAX_CHARACTERS // 2) + "terrible") is None
