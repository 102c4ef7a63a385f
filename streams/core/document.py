"""YAML with places, as the core's readers know it; it lives in schemas, for the doors read files, too."""

from schemas.document import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_PROBLEMS,
    MAX_TEXT,
    MAX_VALUES,
    Document,
    DocumentError,
    Mark,
    Path,
    Problem,
    path_text,
    read_yaml,
)

__all__ = [
    "MAX_CHARACTERS",
    "MAX_DEPTH",
    "MAX_PROBLEMS",
    "MAX_TEXT",
    "MAX_VALUES",
    "Document",
    "DocumentError",
    "Mark",
    "Path",
    "Problem",
    "path_text",
    "read_yaml",
]
