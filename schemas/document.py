"""YAML text to plain values with the place of each: what a checked catalogue is read from.

Only the part of YAML that people write by hand is taken: mappings, lists, scalars. Anchors, aliases, tags, several
documents in one file and duplicate keys are refused, and so are bombs, before they are built. Scalars follow YAML's
1.2 core schema, so the language ``no`` (Norwegian) stays a word.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

Path = tuple[str | int, ...]

# 512 KiB: a catalogue of a thousand actions in three languages; parsing takes about 0.3 s.
MAX_CHARACTERS = 524_288
# The deepest field of a catalogue lies 7 levels down; more than 16 is no catalogue.
MAX_DEPTH = 16
# Values of all kinds in one document: 512 KiB of one-letter list items would be 260,000.
MAX_VALUES = 100_000
# Longest single text: an e-mail body.
MAX_TEXT = 20_000
# All problems are shown at once, but nobody reads more than so many.
MAX_PROBLEMS = 100

_INT = re.compile(r"[-+]?[0-9]{1,18}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?\Z")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class Mark(NamedTuple):
    """A place in a file, both counted from 1."""

    line: int
    column: int


class Problem(NamedTuple):
    """Something wrong in a document: where, what, and what to do."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.path or 'document'}: {self.message}"


class DocumentError(ValueError):
    """A document that is refused; ``problems`` names all that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems[:MAX_PROBLEMS]
        left = len(problems) - len(self.problems)
        super().__init__("\n".join(map(str, self.problems)) + (f"\n... and {left} more" if left else ""))


@dataclass(slots=True)
class Document:
    """A document's value and where each part of it stands."""

    file: str
    value: Any = None
    marks: dict[Path, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: Path, message: str) -> None:
        """Note a problem at a path, or at its nearest known parent."""
        at = path
        while at and at not in self.marks:
            at = at[:-1]
        mark = self.marks.get(at, Mark(1, 1))
        self.problems.append(Problem(self.file, mark.line, mark.column, path_text(path), message))

    def refuse_if_bad(self) -> None:
        """Raise DocumentError when problems were noted, in the order of the file."""
        if self.problems:
            unique = dict.fromkeys(self.problems)
            raise DocumentError(sorted(unique, key=lambda p: (p.line, p.column)))


def path_text(path: Path) -> str:
    """Return a path as people write it.

    Examples
    --------
    >>> path_text(("actions", 2, "treatments", 0, "channel"))
    'actions[2].treatments[0].channel'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def read_yaml(text: str, file: str) -> Document:
    """Return the value of YAML text with the place of each part; duplicate keys are noted as problems.

    Parameters
    ----------
    text : the file's text
    file : name shown in problems

    Raises
    ------
    DocumentError
        not YAML, too large or too deep, or with anchors, aliases, tags or more than one document: what comes after
        such a place cannot be trusted, so this one is raised at once
    """
    if len(text) > MAX_CHARACTERS:
        raise DocumentError(
            [Problem(file, 1, 1, "", f"has {len(text)} characters; at most {MAX_CHARACTERS} are taken: split it")]
        )
    document = Document(file)
    try:
        _Builder(document).build(yaml.parse(text, Loader=yaml.CSafeLoader))
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        raise DocumentError([Problem(file, *place, "", f"not YAML: {exc.problem or exc.context}")]) from None
    except yaml.YAMLError as exc:
        raise DocumentError([Problem(file, 1, 1, "", f"not YAML: {exc}")]) from None
    return document


class _Builder:
    """Builds values from YAML's events without recursion, so that depth costs nothing before it is refused."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.values = 0
        # Open collections with their paths, and for mappings the key that waits for its value.
        self.stack: list[tuple[Path, Any]] = []
        self.keys: list[str | None] = []
        self.roots = 0

    def build(self, events: Iterator[yaml.Event]) -> None:
        for event in events:
            if isinstance(event, yaml.AliasEvent):
                self._refuse(event, "aliases (*name) are not taken: write the value out")
            if isinstance(event, yaml.NodeEvent):
                self._node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self.stack.pop()
                self.keys.pop()

    def _refuse(self, event: Any, message: str) -> None:
        mark = event.start_mark
        path = path_text(self._place()) if self.stack else ""
        raise DocumentError([Problem(self.document.file, mark.line + 1, mark.column + 1, path, message)])

    def _place(self) -> Path:
        path, holder = self.stack[-1]
        if isinstance(holder, list):
            return (*path, len(holder))
        key = self.keys[-1]
        return path if key is None else (*path, key)

    def _node(self, event: Any) -> None:
        self.values += 1
        if self.values > MAX_VALUES:
            self._refuse(event, f"more than {MAX_VALUES} values: split the catalogue")
        if event.anchor is not None:
            self._refuse(event, "anchors (&name) are not taken: write the value out")
        if event.tag is not None:
            self._refuse(event, f"tags ({event.tag[:40]}) are not taken: remove it")
        if not self.stack:
            self.roots += 1
            if self.roots > 1:
                self._refuse(event, "a second document (---): one file holds one catalogue")
        if self.stack and isinstance(self.stack[-1][1], dict) and self.keys[-1] is None:
            self._key(event)
            return
        self._value(event)

    def _key(self, event: Any) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse(event, "a key must be a word")
        path, holder = self.stack[-1]
        key = event.value
        if len(key) > 200:
            self._refuse(event, f"a key of {len(key)} characters; at most 200 are taken")
        if key in holder:
            first = self.document.marks[(*path, key)].line
            mark = event.start_mark
            self.document.problems.append(
                Problem(
                    self.document.file,
                    mark.line + 1,
                    mark.column + 1,
                    path_text((*path, key)),
                    f"the key {key!r} stands here twice (first in line {first}): remove one",
                )
            )
        else:
            self.document.marks[(*path, key)] = Mark(event.start_mark.line + 1, event.start_mark.column + 1)
        self.keys[-1] = key

    def _value(self, event: Any) -> None:
        place = self._place() if self.stack else ()
        self.document.marks.setdefault(place, Mark(event.start_mark.line + 1, event.start_mark.column + 1))
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            if len(event.value) > MAX_TEXT:
                self._refuse(event, f"a text of {len(event.value)} characters; at most {MAX_TEXT} are taken")
            value = event.value if event.style else _scalar(event.value)
        else:
            value = {} if isinstance(event, yaml.MappingStartEvent) else []
        if self.stack:
            holder = self.stack[-1][1]
            if isinstance(holder, list):
                holder.append(value)
            else:
                holder[self.keys[-1]] = value
                self.keys[-1] = None
        else:
            self.document.value = value
        if isinstance(value, dict | list):
            if len(self.stack) >= MAX_DEPTH:
                self._refuse(event, f"nested deeper than {MAX_DEPTH} levels")
            self.stack.append((place, value))
            self.keys.append(None)


def _scalar(text: str) -> Any:
    """Return a plain scalar's value by YAML 1.2's core schema; numbers too large to be exact stay text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    return text
