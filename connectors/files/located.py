"""YAML and JSON files of people, read so that every error names file, line and field."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import msgspec
import yaml

# Largest file read, bytes: a channels file or a mapping is a page or two; more is a mistake or an attack.
MAX_FILE_BYTES = 1_000_000

T = TypeVar("T")

FieldPath = tuple[str | int, ...]


class FileError(ValueError):
    """A file that cannot be used; the message lists every fault with file, line and field."""


class Located:
    """A file's content with the line of each field.

    Parameters
    ----------
    path : the file
    value : its content
    lines : field path to line, counted from 1
    """

    def __init__(self, path: Path, value: Any, lines: Mapping[FieldPath, int]) -> None:
        self.path = path
        self.value = value
        self.lines = lines

    def line(self, field: Sequence[str | int]) -> int:
        """Return the line of a field, or of the nearest parent that stands in the file."""
        path = tuple(field)
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def fault(self, field: Sequence[str | int], message: str) -> str:
        """Return an error message in the one form: file:line: field: what."""
        name = ".".join(str(part) for part in field) or "the file"
        return f"{self.path}:{self.line(field)}: {name}: {message}"


class _Loader(yaml.SafeLoader):
    """YAML without aliases (a page of them expands to gigabytes) and without duplicate keys."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]  # types-pyyaml leaves it untyped
            raise yaml.MarkedYAMLError(problem="aliases are not taken", problem_mark=event.start_mark)
        return super().compose_node(parent, index)


def read(path: Path) -> Located:
    """Read a YAML or JSON file (JSON is YAML).

    Raises
    ------
    FileError
        when it cannot be read, is too large, or is not YAML
    """
    try:
        raw = path.read_bytes()
    except OSError as exc:
        raise FileError(f"{path}: cannot be read: {exc.strerror}") from exc
    if len(raw) > MAX_FILE_BYTES:
        raise FileError(f"{path}: {len(raw)} bytes; at most {MAX_FILE_BYTES} are taken")
    loader = _Loader(raw)
    lines: dict[FieldPath, int] = {}
    try:
        node = loader.get_single_node()
        if node is None:
            raise FileError(f"{path}: the file is empty")
        _walk(node, (), lines, path)
        value = loader.construct_document(node)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark
        where = f"{mark.line + 1}: column {mark.column + 1}" if mark else "1"
        raise FileError(f"{path}:{where}: {exc.problem or exc.context}") from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        if isinstance(exc, FileError):
            raise
        raise FileError(f"{path}: is not YAML: {exc}") from exc
    return Located(path, value, lines)


def _walk(node: yaml.Node, at: FieldPath, lines: dict[FieldPath, int], path: Path) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            name = str(key.value)
            if (*at, name) in lines:
                first = lines[(*at, name)]
                raise FileError(
                    f"{path}:{key.start_mark.line + 1}: {'.'.join(map(str, (*at, name)))}: "
                    f"is given twice, first on line {first}"
                )
            lines[(*at, name)] = key.start_mark.line + 1
            _walk(child, (*at, name), lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            _walk(child, (*at, index), lines, path)


def convert(located: Located, kind: type[T], *, at: FieldPath = ()) -> T:
    """Return the file's content, or the part of it at a field, as a typed structure.

    Raises
    ------
    FileError
        with every fault, each on a line of its own
    """
    value = located.value
    for part in at:
        value = value[part]
    validator = jsonschema.Draft202012Validator(msgspec.json.schema(kind))
    faults = [located.fault((*at, *_field(e)), _say(e)) for e in validator.iter_errors(value)]
    if faults:
        raise FileError("\n".join(sorted(faults)))
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        raise FileError(located.fault(at, str(exc))) from exc


def _field(error: Any) -> FieldPath:
    return tuple(_deepest(error).absolute_path)


def _deepest(error: Any) -> Any:
    """Of a failed choice, the fault of the alternative that fits best: says more than 'fits none'."""
    return jsonschema.exceptions.best_match([error]) or error


def _say(error: Any) -> str:
    deep = _deepest(error)
    text: str = deep.message
    if deep.validator == "additionalProperties":
        text += f" (known: {', '.join(deep.schema.get('properties', ()))})"
    return text[:300]
