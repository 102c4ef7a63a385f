"""Plain conditions as Python functions: what CEL answers, for a tenth of its time.

Most conditions compare a name with a constant, or are a few of these joined by && and ||. CEL needs each value
converted before it can look at it (1 us a name); Python reads it where it is. What is not certain to mean the same in
both is not plain, and stays CEL's: arithmetic, functions, ``? :``, comparisons between kinds.

Notes
-----
A plain condition that meets something whose meaning is CEL's to say (a missing value, not a number) raises
``UnclearError``, and CEL is asked. Until then both have evaluated the same: CEL, too, goes from left to right and
leaves out the right side that decides nothing. ``tests/property/test_conditions.py`` holds the two against each other.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from streams.core.moment import MISSING, Moment, Name, UnclearError, source_of

Plain = Callable[[Moment], bool]

# Whole numbers up to here are doubles as well: a comparison means the same, whichever kind the value is.
_EXACT = 1 << 53

_ORDERS = frozenset({"<", "<=", ">", ">="})
_EQUALS = frozenset({"==", "!="})
_NUMBERS = frozenset({int, float})
# The one test that a not-a-number fails as well when ``<`` has failed.
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


class Term(NamedTuple):
    """A word of a condition: a token, or a ``name`` that is read or (``has``) asked for."""

    kind: str
    text: str
    name: Name = ()


class _NotPlainError(Exception):
    """The condition is CEL's."""


class _Part(NamedTuple):
    """Python's text of a part, its type, and whether it is a constant."""

    text: str
    type: type
    constant: bool = False


def plain(terms: Sequence[Term]) -> Plain | None:
    """Return a condition that CEL has taken as a function of a moment; None when it is not plain.

    Notes
    -----
    The function's text is made of operators known here, numbered readers, and constants by their ``repr``: nothing
    of the condition's own text is run.

    Examples
    --------
    >>> plain([Term("word", "true")]) is not None, plain([Term("number", "1"), Term("sign", "+")])
    (True, None)
    """
    parser = _Parser(terms)
    try:
        part = parser.whole()
    except _NotPlainError:
        return None
    made: Plain = eval(f"lambda m: {part.text}", parser.space)  # noqa: S307 - made here of known parts, see above
    return made


def _unclear() -> bool:
    raise UnclearError


class _Parser:
    """Reads terms from left to right, as CEL's grammar does: || of && of relations of !."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms = terms
        self._at = 0
        self._names: dict[Name, str] = {}
        self.space: dict[str, Any] = {"__builtins__": {}, "MISSING": MISSING, "unclear": _unclear}

    def whole(self) -> _Part:
        """Read all of it: it must be true or false."""
        part = _truth(self._or())
        if self._at < len(self._terms):
            raise _NotPlainError
        return part

    def _next(self) -> str:
        """Return the sign or word that comes next, empty when there is none or it is a value."""
        if self._at < len(self._terms) and self._terms[self._at].kind in ("sign", "word"):
            return self._terms[self._at].text
        return ""

    def _take(self, text: str) -> bool:
        if self._next() != text:
            return False
        self._at += 1
        return True

    def _or(self) -> _Part:
        return self._joined("||", "or", self._and)

    def _and(self) -> _Part:
        return self._joined("&&", "and", self._relation)

    def _joined(self, sign: str, word: str, read: Callable[[], _Part]) -> _Part:
        parts = [read()]
        while self._take(sign):
            parts.append(read())
        if len(parts) == 1:
            return parts[0]
        return _Part(f"({f' {word} '.join(_truth(part).text for part in parts)})", bool)

    def _relation(self) -> _Part:
        left = self._value()
        sign = self._next()
        if sign == "in":
            self._at += 1
            left = self._among(left)
        elif sign in _ORDERS or sign in _EQUALS:
            self._at += 1
            left = _compared(left, sign, self._value())
        return left

    def _among(self, left: _Part) -> _Part:
        """Read the list of constants after ``in``."""
        if not self._take("["):
            raise _NotPlainError
        texts = []
        while not self._take("]"):
            constant = self._value()
            if not constant.constant or not _alike(left, constant):
                raise _NotPlainError
            texts.append(constant.text)
            if not self._take(",") and self._next() != "]":
                raise _NotPlainError
        if not texts:
            raise _NotPlainError
        return _Part(f"({left.text} in ({', '.join(texts)},))", bool)

    def _value(self) -> _Part:
        if self._take("!"):
            return _Part(f"(not {_truth(self._value()).text})", bool)
        if self._take("("):
            part = self._or()
            if not self._take(")"):
                raise _NotPlainError
            return part
        sign = "-" if self._take("-") else ""
        if self._at >= len(self._terms):
            raise _NotPlainError
        term = self._terms[self._at]
        self._at += 1
        if term.kind == "number":
            return _number(sign + term.text)
        if sign:
            raise _NotPlainError
        return self._named(term) if term.name else _constant(term)

    def _named(self, term: Term) -> _Part:
        """Return what reads a name, or asks whether it has a value."""
        if term.name not in self._names:
            self._names[term.name] = f"read{len(self._names)}"
            self.space[self._names[term.name]] = source_of(term.name)[0]
        text = f"{self._names[term.name]}(m)"
        return (
            _Part(f"({text} is not MISSING)", bool)
            if term.kind == "has"
            else _Part(text, type(source_of(term.name)[1]))
        )


def _constant(term: Term) -> _Part:
    if term.kind == "string" and "\\" not in term.text:
        return _Part(repr(term.text[1:-1]), str, constant=True)
    if term.kind == "word" and term.text in ("true", "false"):
        return _Part(term.text.capitalize(), bool, constant=True)
    raise _NotPlainError


def _number(text: str) -> _Part:
    whole = text.lstrip("-").isdigit()
    if text.endswith("u"):
        raise _NotPlainError
    number = int(text) if whole else float(text)
    if not -_EXACT <= number <= _EXACT:
        raise _NotPlainError
    return _Part(repr(number), type(number), constant=True)


def _truth(part: _Part) -> _Part:
    """Return a part that is true or false."""
    if part.type is not bool:
        raise _NotPlainError
    return part


def _alike(a: _Part, b: _Part) -> bool:
    return a.type is b.type or (a.type in _NUMBERS and b.type in _NUMBERS)


def _compared(left: _Part, sign: str, right: _Part) -> _Part:
    # Of two names both must be of one kind: between a great whole number and a double CEL rounds, Python does not.
    if not (_alike(left, right) if left.constant or right.constant else left.type is right.type):
        raise _NotPlainError
    text = f"{left.text} {sign} {right.text}"
    if sign in _EQUALS:
        return _Part(f"({text})", bool)
    if left.type not in _NUMBERS:
        raise _NotPlainError  # the order of texts and of truths is CEL's
    return _Part(f"({text} or (not {left.text} {_OPPOSITE[sign]} {right.text} and unclear()))", bool)
