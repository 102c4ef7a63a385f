"""Names and addresses in the one form in which they are compared: spelling, script and titles no longer matter.

What people type differs where nothing is meant by it: Arabic ي for Persian ی, a zero-width non-joiner or a space or
nothing between the parts of a name, accents, capitals, Persian digits, "Dr". ``plain`` takes these away, ``name`` the
titles too, ``sound`` the vowels and the script: محمد, Mohammad and Muhamed have one sound. The first two are
idempotent.

The original is the caller's to keep: what is shown to a person is never a form of this module.

References
----------
Unicode Standard Annex 15 (NFKC) and chapter 3.13 (caseless matching); DIN 31635 and the spellings that passports of
Iran and of Arabic countries use, for ``sound``.
"""

import re
import unicodedata
from functools import lru_cache

# Longest text that is looked at, characters: names and address lines are shorter, and hostile text must not cost more.
MAX_TEXT = 128

# Names and address lines repeat: those of one batch are mostly among the last so many.
_CACHED = 4_096

# Letters that Unicode does not decompose, and pairs that people type for each other.
_LETTERS = str.maketrans(
    {
        "ي": "ی", "ى": "ی", "ئ": "ی", "ے": "ی", "ك": "ک", "ة": "ه", "ۀ": "ه", "ە": "ه", "ہ": "ه", "ھ": "ه",
        "ؤ": "و", "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا", "ء": "", "ـ": "",
        "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h",
        "'": "", "’": "", "‘": "", "`": "", "´": "", "ʼ": "", "ʻ": "", "ʿ": "", "ʾ": "",
    }
)  # fmt: skip

# Marks (accents, vowel signs) and format characters (zero-width joiners, direction marks) say nothing in a comparison.
_SILENT = frozenset({"Mn", "Me", "Cf"})

# As ``plain`` writes them; taken from the start of a name, some also from its end, never the whole name.
_TITLE_WORDS = (
    "mr mrs ms miss mx dr prof professor sir madam dame rev fr herr frau hr fru monsieur madame mademoiselle mme mlle "
    "senor senora sr sra srta don dona eng ing haj haji hajj sayyed agha aghaye aqa aqaye khanom khanum "
    "اقای اقا خانم دکتر مهندس استاد سرکار جناب حاج حاجی حاجیه سید سیده السید السیده الدکتور الدکتوره دکتور "
    "الاستاذ الاستاذه الانسه الحاج الشیخ شیخ المهندس"
)
_TITLES = frozenset(_TITLE_WORDS.split())
_SUFFIXES = frozenset(["jr", "sr", "ii", "iii", "phd", "md", "esq", "khanom", "khanum", "agha", "خانم", "اقا", "خان"])


@lru_cache(_CACHED)
def plain(text: str) -> str:
    """Return a text as words of small letters and ASCII digits, one space between them.

    Notes
    -----
    Compatibility forms are decomposed and case folded twice, as chapter 3.13 asks; what is no letter and no digit
    separates words, except apostrophes and marks, which vanish.

    Examples
    --------
    >>> plain("  O’Brien-MÜLLER ")
    'obrien muller'
    >>> plain("علي\u200cرضا ۱۲") == plain("علیرضا ١٢") == "علیرضا 12"
    True
    """
    text = text[:MAX_TEXT]
    folded = text.lower().translate(_LETTERS) if text.isascii() else _folded(_folded(text))
    return " ".join(_words(folded)[:MAX_TEXT].split())


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text.translate(_LETTERS)).casefold())
    kept = "".join(c for c in text if unicodedata.category(c) not in _SILENT)
    return unicodedata.normalize("NFKC", kept).translate(_LETTERS)


def _words(text: str) -> str:
    return "".join(_digit(c) if c.isalnum() else " " for c in text)


def _digit(letter: str) -> str:
    return letter if letter.isascii() or not letter.isdecimal() else str(unicodedata.decimal(letter))


@lru_cache(_CACHED)
def name(text: str) -> str:
    """Return the plain form of a person's name without titles; a name of titles only stays.

    Examples
    --------
    >>> name("Dr. María José")
    'maria jose'
    >>> name("آقای دكتر محمدي") == "محمدی"
    True
    """
    words = plain(text).split()
    while len(words) > 1 and words[0] in _TITLES:
        del words[0]
    while len(words) > 1 and words[-1] in _SUFFIXES:
        del words[-1]
    return " ".join(words)


# Arabic letters by the consonant that is heard, and Latin spellings of the same; Persian and Arabic readings differ for
# some (ض is z or d, و is v, w or u): what differs is merged or dropped. Capitals are sounds of two Latin letters.
_ARABIC = str.maketrans(
    {
        "ا": "a", "ع": "a", "ب": "b", "پ": "p", "ت": "t", "ط": "t", "ث": "s", "س": "s", "ص": "s", "ج": "j", "چ": "C",
        "ح": "h", "ه": "h", "خ": "X", "د": "d", "ذ": "z", "ز": "z", "ض": "z", "ظ": "z", "ژ": "z", "ر": "r", "ش": "S",
        "غ": "G", "ق": "G", "ف": "f", "ک": "k", "گ": "g", "ل": "l", "م": "m", "ن": "n", "و": "w", "ی": "y",
    }
)  # fmt: skip
_PAIRS = (
    ("sch", "S"), ("tch", "C"), ("sh", "S"), ("ch", "C"), ("kh", "X"), ("gh", "G"), ("ph", "f"), ("th", "s"),
    ("dh", "z"), ("zh", "z"), ("dj", "j"), ("ck", "k"), ("q", "G"), ("x", "ks"), ("v", "w"), ("c", "k"),
)  # fmt: skip
_VOWELS = re.compile("[aeiouyw]")
_DOUBLED = re.compile(r"(.)\1+")


@lru_cache(_CACHED)
def sound(text: str) -> str:
    """Return the consonants of a plain text in Latin letters: what stays when spelling and script change.

    A vowel at the start is kept as ``A`` (Ali and علی are not the sound of L), y and w only at the start. An h at the
    end is silent (Fatemeh, Fatima, فاطمه). Letters of other scripts stay as they are.

    Examples
    --------
    >>> {sound(name(each)) for each in ("محمد", "Mohammad", "Muhamed", "Mohamed")}
    {'MHMD'}
    >>> sound("یوسف") == sound("yousef") == sound("yusuf") == "YSF"
    True
    """
    letters = text.replace(" ", "")
    # Before Arabic letters become Latin ones: the z and the h of زهرا are two sounds.
    for pair, one in _PAIRS:
        letters = letters.replace(pair, one)
    letters = letters.translate(_ARABIC)
    letters = _DOUBLED.sub(r"\1", letters)
    if not letters:
        return ""
    first = "a" if letters[0] in "eiou" else letters[0]
    return (first + _VOWELS.sub("", letters[1:]).removesuffix("h")).upper()
