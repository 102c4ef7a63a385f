"""Conditions of the catalogue: CEL over features, scores, the golden record and the signal.

A condition reads ``f`` (features by name), ``scores`` (``scores.churn``, ``scores.intent.buy``), ``record``
(``record.counts.orders``, ``record.traits.city``, ``record.flags.vip``, ...), ``signal`` (``signal.name``, ...) and
``now_ms``. CEL itself always ends; what is allowed here is less than CEL, so that a condition costs about as much as
its text is long: no macros over lists, no regular expressions, bounded length and nesting. Every name is known
before a condition is taken. Plain ones (``plain``) are asked in Python, 0.3 us; for others only what they read is
converted, as flat variables: 0.5 us for the context and 0.2 to 0.9 for each name, then 0.3 to evaluate.

References
----------
https://github.com/google/cel-spec : the language
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cel

from streams.core.moment import MISSING, Moment, Name, Reader, UnclearError, UnknownNameError, known_name, source_of
from streams.core.plain import Plain, Term, plain

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

# Prefix of the variable that says whether a name has a value.
_HAS = "has_"
_PLAIN = re.compile(r"[^A-Za-z0-9]")

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


def _check_size(tokens: Sequence[_Token]) -> None:
    if not tokens:
        raise ConditionError("is empty: leave the field out, or write true")
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


def _read_names(tokens: Sequence[_Token]) -> list[Term]:
    """Return the condition over flat variables. Refuses what is not known or not bounded."""
    out: list[Term] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        following = tokens[at + 1].text if at + 1 < len(tokens) else ""
        if token.kind == "word" and following == "(":
            if token.text not in _FUNCTIONS:
                raise ConditionError(
                    f"the function {token.text}() is not taken; there are {', '.join(sorted(_FUNCTIONS))}"
                )
            if token.text == "has":
                name, at = _asked(tokens, at + 2)
                out.append(Term("has", _HAS + variable_of(name), name))
                continue
        elif token.kind == "word" and at and tokens[at - 1].text == ".":
            raise ConditionError(f".{token.text} stands where no field can be read")
        elif token.kind == "word" and token.text not in _WORDS:
            parts, at = _path(tokens, at)
            name = known_name(parts)
            out.append(Term("name", variable_of(name), name))
            continue
        out.append(Term(token.kind, token.text))
        at += 1
    return out


def _asked(tokens: Sequence[_Token], at: int) -> tuple[Name, int]:
    """Read what stands in has(...)."""
    if at < len(tokens) and tokens[at].kind == "word" and tokens[at].text not in _WORDS:
        parts, at = _path(tokens, at)
        if at < len(tokens) and tokens[at].text == ")":
            return known_name(parts), at + 1
    raise ConditionError("has() takes one name, like has(record.traits.city)")


def variable_of(name: Name) -> str:
    """Return the flat variable under which CEL sees a name: letters as they are, all others by their number.

    Examples
    --------
    >>> variable_of(("record", "channels", "call-centre"))
    'v_record__channels__call_45_centre'
    """
    return "v_" + "__".join(_PLAIN.sub(lambda found: f"_{ord(found.group())}_", part) for part in name)


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


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition, the names that it reads, and those that it asks for by has().

    Parameters
    ----------
    plain : the same as a Python function; None where only CEL can tell
    """

    source: str
    names: frozenset[Name]
    asked: frozenset[Name]
    program: Any
    plain: Plain | None
    _readers: tuple[tuple[str, Reader], ...]
    _askers: tuple[tuple[str, Reader], ...]

    def holds(self, moment: Moment) -> bool | None:
        """Return whether it holds; None when it cannot be told: a missing trait, a division by zero.

        Notes
        -----
        Never raises: a customer without a trait must not stop a batch.
        """
        if self.plain is not None:
            try:
                return self.plain(moment)
            except UnclearError:
                pass  # what CEL makes of a missing value decides
        return self.by_cel(moment)

    def by_cel(self, moment: Moment) -> bool | None:
        """Return what CEL itself says, as ``holds``."""
        variables = {name: value for name, read in self._readers if (value := read(moment)) is not MISSING}
        for name, read in self._askers:
            variables[name] = read(moment) is not MISSING
        try:
            return self.program.execute(cel.Context(variables=variables)) is True
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
    if len(source) > MAX_LENGTH:
        raise ConditionError(f"has {len(source)} characters; at most {MAX_LENGTH} are taken: split it")
    tokens = _tokens(source)
    _check_size(tokens)
    try:
        terms = _read_names(tokens)
    except UnknownNameError as exc:
        raise ConditionError(str(exc)) from None
    try:
        program = cel.compile(" ".join(term.text for term in terms))
    except Exception as exc:  # noqa: BLE001 - the parser raises ValueError, its panics are BaseException and are not hidden
        raise ConditionError(f"is not CEL: {_words(exc)}") from None
    names = frozenset(term.name for term in terms if term.kind == "name")
    asked = frozenset(term.name for term in terms if term.kind == "has")
    condition = Condition(
        source,
        names,
        asked,
        program,
        plain(terms),
        tuple((variable_of(name), source_of(name)[0]) for name in sorted(names)),
        tuple((_HAS + variable_of(name), source_of(name)[0]) for name in sorted(asked)),
    )
    _check_type(condition)
    return condition


def _words(exc: Exception) -> str:
    """Return CEL's own words, with names as they were written."""
    text = str(exc).splitlines()[0]
    return re.sub(r"v_\w+", lambda found: found.group()[2:].replace("__", "."), text)[:200]


def _check_type(condition: Condition) -> None:
    """Run a condition on examples of every type it reads: it must yield true or false."""
    examples = [(variable_of(name), source_of(name)[1]) for name in condition.names]
    # Zeros and empties besides, so that both sides of most && and || are met.
    empties = [(name, type(value)()) for name, value in examples]
    for values, there in ((examples, True), (empties, False)):
        variables = dict(values) | {_HAS + variable_of(name): there for name in condition.asked}
        try:
            result = condition.program.execute(cel.Context(variables=variables))
        except (ZeroDivisionError, OverflowError, KeyError):
            continue  # a matter of values, not of types: counts as false at run time
        except Exception as exc:  # noqa: BLE001 - whatever CEL meets is the condition's fault
            raise ConditionError(f"cannot be computed: {_words(exc)}") from None
        if not isinstance(result, bool):
            raise ConditionError(f"yields {type(result).__name__}, not true or false: compare it with something")
