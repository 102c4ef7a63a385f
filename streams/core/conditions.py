"""Conditions of the catalogue: CEL over features, scores, the golden record and the signal.

A condition reads ``f`` (features by name), ``scores`` (``scores.churn``, ``scores.intent.buy``), ``record``
(``record.counts.orders``, ``record.traits.city``, ``record.flags.vip``, ...), ``signal`` (``signal.name``, ...) and
``now_ms``. CEL itself always ends; what is allowed here is less than CEL, so that a condition costs about as much as
its text is long: no macros over lists, no regular expressions, bounded length and nesting. Every name is known
before a condition is taken, so only what it reads is ever converted: 1.8 us for each name, 0.3 us to evaluate.

References
----------
https://github.com/google/cel-spec : the language
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cel

from streams.core.moment import MISSING, Moment, Name, UnknownNameError, known_name, source_of

# A condition that people can review; evaluation is linear in it.
MAX_LENGTH = 1_000
# Brackets in brackets; the compiler recurses.
MAX_NESTING = 16
# ``!``, ``-`` and ``?`` recurse as well.
MAX_UNARY = 32


class ConditionError(ValueError):
    """A condition that is refused; the message says what and what to write instead."""


_WORDS = frozenset({"true", "false", "null", "in"})
_FUNCTIONS = frozenset({"has", "size", "contains", "startsWith", "endsWith", "int", "double", "string"})

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?u?)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]])""",
    re.VERBOSE,
)


class _Token(NamedTuple):
    kind: str
    text: str


def _tokens(source: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            raise ConditionError(f"cannot read {source[at : at + 12]!r} at character {at + 1}: not part of a condition")
        if found.lastgroup != "space":
            tokens.append(_Token(found.lastgroup or "", found.group()))
        at = found.end()
    return tokens


def _check_size(source: str, tokens: Sequence[_Token]) -> None:
    if not tokens:
        raise ConditionError("is empty: leave the field out, or write true")
    if len(source) > MAX_LENGTH:
        raise ConditionError(f"has {len(source)} characters; at most {MAX_LENGTH} are taken: split it")
    depth = 0
    for token in tokens:
        if token.text in "([":
            depth += 1
            if depth > MAX_NESTING:
                raise ConditionError(f"nests brackets deeper than {MAX_NESTING}: simplify it")
        elif token.text in ")]":
            depth -= 1
    if sum(token.text in ("!", "-", "?") for token in tokens) > MAX_UNARY:
        raise ConditionError(f"has more than {MAX_UNARY} of !, - and ?: simplify it")


def _names(tokens: Sequence[_Token]) -> set[Name]:
    """Return the names that a condition reads; refuse what is not known or not bounded."""
    found: set[Name] = set()
    at = 0
    while at < len(tokens):
        token = tokens[at]
        following = tokens[at + 1].text if at + 1 < len(tokens) else ""
        before = tokens[at - 1].text if at else ""
        if token.kind == "word" and following == "(":
            if token.text not in _FUNCTIONS:
                raise ConditionError(
                    f"the function {token.text}() is not taken; there are {', '.join(sorted(_FUNCTIONS))}"
                )
        elif token.kind == "word" and before == ".":
            raise ConditionError(f".{token.text} stands where no field can be read")
        elif token.kind == "word" and token.text not in _WORDS:
            parts, at = _path(tokens, at)
            found.add(known_name(parts))
            continue
        at += 1
    return found


def _path(tokens: Sequence[_Token], at: int) -> tuple[Name, int]:
    """Read ``a.b["c"]`` from a token on; a method's name (before a bracket) is not part of it."""
    parts = [tokens[at].text]
    at += 1
    while at < len(tokens):
        texts = [token.text for token in tokens[at : at + 3]]
        if texts[0] == "." and len(texts) > 1 and tokens[at + 1].kind == "word" and texts[2:] != ["("]:
            parts.append(texts[1])
            at += 2
        elif texts[0] == "[":
            if len(texts) < 3 or tokens[at + 1].kind != "string" or texts[2] != "]" or "\\" in texts[1]:
                raise ConditionError(f'{".".join(parts)}[...] takes a name in quotes, like {parts[0]}["name"]')
            parts.append(texts[1][1:-1])
            at += 3
        else:
            break
    return tuple(parts), at


def _nest(values: Iterable[tuple[Name, Any]]) -> dict[str, Any]:
    activation: dict[str, Any] = {}
    for name, value in values:
        place = activation
        for part in name[:-1]:
            place = place.setdefault(part, {})
        if value is not MISSING:
            place[name[-1]] = value
    return activation


class Projection:
    """Turns a moment into what some conditions need of it, once per decision.

    Parameters
    ----------
    names : all names that the conditions read
    """

    __slots__ = ("_readers",)

    def __init__(self, names: Iterable[Name]) -> None:
        self._readers = tuple((name, source_of(name)[0]) for name in sorted(names))

    def context(self, moment: Moment) -> cel.Context:
        """Return CEL's context at a moment."""
        return cel.Context(variables=_nest((name, read(moment)) for name, read in self._readers))


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition and the names that it reads."""

    source: str
    names: frozenset[Name]
    program: Any

    def holds(self, context: cel.Context) -> bool | None:
        """Return whether it holds; None when it cannot be told: a missing trait, a division by zero.

        Notes
        -----
        Never raises: a customer without a trait must not stop a batch.
        """
        try:
            return self.program.execute(context) is True
        except Exception:  # noqa: BLE001 - whatever CEL meets: the caller records condition-error
            return None


def compile_condition(source: str) -> Condition:
    """Compile a condition, checked for names, types and cost.

    Raises
    ------
    ConditionError
        when it is not CEL, reads what does not exist, uses what is not taken, or does not yield true or false

    Examples
    --------
    >>> sorted(compile_condition("f.cart_items > 0 && !record.flags.complained").names)
    [('f', 'cart_items'), ('record', 'flags', 'complained')]
    """
    tokens = _tokens(source[: MAX_LENGTH + 1])
    _check_size(source, tokens)
    try:
        names = frozenset(_names(tokens))
    except UnknownNameError as exc:
        raise ConditionError(str(exc)) from None
    try:
        program = cel.compile(source)
    except Exception as exc:  # noqa: BLE001 - the parser raises ValueError, its panics are BaseException and are not hidden
        raise ConditionError(f"is not CEL: {str(exc).splitlines()[0][:200]}") from None
    condition = Condition(source, names, program)
    _check_type(condition)
    return condition


def _check_type(condition: Condition) -> None:
    """Run a condition on examples of every type it reads: it must yield true or false."""
    examples = [(name, source_of(name)[1]) for name in condition.names]
    # Zeros and empties besides, so that both sides of most && and || are met.
    empties = [(name, type(value)()) for name, value in examples]
    for values in (examples, empties):
        try:
            result = condition.program.execute(cel.Context(variables=_nest(values)))
        except (ZeroDivisionError, OverflowError, KeyError):
            continue  # a matter of values, not of types: counts as false at run time
        except Exception as exc:  # noqa: BLE001 - whatever CEL meets is the condition's fault
            raise ConditionError(f"cannot be computed: {str(exc).splitlines()[0][:200]}") from None
        if not isinstance(result, bool):
            raise ConditionError(f"yields {type(result).__name__}, not true or false: compare it with something")
