"""The mood of a text, by words: a fast, explainable first reading; the sentiment model refines it where there is one.

A word of opinion counts its valence; a negation near it turns it and takes a little away ("not good" is less bad than
"bad"); an intensifier before it adds. The sum s becomes s / sqrt(s^2 + 4), VADER's squashing to (-1, 1) on our scale.

References
----------
Hutto and Gilbert 2014, "VADER", ICWSM: negation factor -0.74, normalisation
"""

import re
from collections.abc import Iterator, Mapping
from math import sqrt

from streams.core.lexicon import ARABIC, EMOJI, ENGLISH, INTENSIFIERS, NEGATORS_AFTER, NEGATORS_BEFORE, PERSIAN

# The mood of a letter shows in its first screenful; what follows costs time and adds signatures and quotations.
MAX_CHARACTERS = 2_000
# Words between a negation and what it turns: "not at all good".
REACH = 3
# VADER's, measured on raters.
NEGATION = -0.74
# "very good" over "good".
INTENSITY = 1.3
# One clear word (2) gives 0.71, one plain word 0.45.
_SQUASH = 4.0

# Letters that keyboards of Arabic and Persian write differently are one; marks, tatweel, ZWNJ and apostrophes go.
_FOLDED = str.maketrans("يىئكةأإآٱؤۀ", "یییکهااااوه", "\u200c\u200d\u200e\u200f\u0640'’‘\ufe0f")
_FOLDED.update(dict.fromkeys((*range(0x064B, 0x0660), 0x0670)))

_EMOJI = "".join(EMOJI.values()).replace(" ", "")
_TOKEN = re.compile(rf"[^\W\d_]+|[{_EMOJI}]|[.!?;؟؛،,\n]")


def fold_letters(text: str) -> str:
    """Return a text in lower case with the letters of both keyboards brought to one form.

    Examples
    --------
    >>> fold_letters("بي\u200cكيفيت") == fold_letters("بی‌کیفیت")
    True
    """
    if text.isascii():  # nothing to fold, and translate is the slowest part
        return text.lower().replace("'", "")
    return text.lower().translate(_FOLDED)


def _valences() -> dict[str, float]:
    found: dict[str, float] = {}
    for words in (ARABIC, PERSIAN, ENGLISH, EMOJI):
        for valence, row in words.items():
            for word in row.split():
                found[fold_letters(word)] = float(valence)
    for valence, row in PERSIAN.items():
        for word in fold_letters(row).split():
            # Comparative and superlative; in speech "is" is a letter at the end of longer words (عالیه).
            for ending in ("تر", "ترین", *(("ه", "م", "ست") if len(word) > 3 else ())):
                found.setdefault(word + ending, float(valence))
    return found


# What a word does, in one table so that each word is looked up once.
_OPINION, _BEFORE, _AFTER, _STRONGER, _BREAK = range(5)


def _meanings() -> dict[str, tuple[int, float]]:
    found = {word: (_OPINION, valence) for word, valence in _valences().items()}
    for what, words in ((_BEFORE, NEGATORS_BEFORE), (_AFTER, NEGATORS_AFTER), (_STRONGER, INTENSIFIERS)):
        found.update(dict.fromkeys(fold_letters(words).split(), (what, 0.0)))
    found.update(dict.fromkeys(".!?;؟؛،,\n", (_BREAK, 0.0)))
    return found


_MEANING: Mapping[str, tuple[int, float]] = _meanings()
_ARTICLES = ("ال", "وال", "و", "ب")


def mood_of(text: str) -> float | None:
    """Return the mood of a text in (-1, 1), None when it holds no word of opinion.

    Examples
    --------
    >>> mood_of("Very good, thank you!") > 0.8
    True
    >>> mood_of("از خرید راضی نیستم") < -0.5  # "I am not satisfied with the purchase"
    True
    >>> mood_of("الخدمة سيئة جدا") < -0.5  # "the service is very bad"
    True
    >>> mood_of("Where is order 7?") is None
    True
    """
    total, found = 0.0, False
    for valence in _opinions(_TOKEN.findall(fold_letters(text[:MAX_CHARACTERS]))):
        total += valence
        found = True
    return total / sqrt(total * total + _SQUASH) if found else None


def score(text: str) -> float:
    """Return the mood of a text in (-1, 1), 0 when it says nothing."""
    return mood_of(text) or 0.0


def _opinions(words: list[str]) -> Iterator[float]:  # noqa: C901 - one automaton, shorter than its parts
    """Yield the valence of each word of opinion, negations and intensifiers applied."""
    negated_until = stronger_at = opinion_at = -9
    opinion = 0.0  # the last one: a Persian verb may still turn it
    for position, word in enumerate(words):
        meaning = _MEANING.get(word) or (_without_article(word) if word[0] in "اوب" else None)
        if meaning is None:
            continue
        what, valence = meaning
        if what == _BEFORE:
            negated_until = position + REACH
        elif what == _STRONGER:
            stronger_at = position
        elif what == _AFTER and position - opinion_at <= REACH:
            opinion *= NEGATION
            opinion_at = -9
        elif what == _BREAK:
            negated_until = opinion_at = -9
        elif what == _OPINION:
            if opinion:
                yield opinion
            opinion = valence * INTENSITY if position - stronger_at == 1 else valence
            if position <= negated_until:
                opinion *= NEGATION
                negated_until = -9
            opinion_at = position
    if opinion:
        yield opinion


def _without_article(word: str) -> tuple[int, float] | None:
    """Look an Arabic word up without its article or conjunction."""
    for article in _ARTICLES:
        if word.startswith(article) and len(word) - len(article) > 2:
            meaning = _MEANING.get(word[len(article) :])
            if meaning is not None and meaning[0] == _OPINION:
                return meaning
    return None
