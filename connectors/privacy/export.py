"""What is held on a person, in one document that people and programs can read: pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

# The document's form; a program that reads it looks here first.
FORM: Final = "sada-export-1"

# What only the topics hold, by section.
OF_TOPICS: Final = ("signals", "decisions", "actions", "dead_letters")


def whole(
    profile: Mapping[str, Any], found: Mapping[str, Iterable[Mapping[str, Any]]], *, at_ms: int
) -> dict[str, Any]:
    """Return all that is held.

    Parameters
    ----------
    profile : as the view holds it
    found : by section of OF_TOPICS: the person's records, decoded
    at_ms : when the export is made, wall clock, epoch ms
    """
    document = _head(profile, at_ms)
    for section in OF_TOPICS:
        document[section] = [_readable(record) for record in found.get(section, ())]
    return document


def _head(profile: Mapping[str, Any], at_ms: int) -> dict[str, Any]:
    return {
        "form": FORM,
        "made_at": _date(at_ms),
        "customer": profile["customer"],
        "identifiers": [_readable(member) for member in profile["members"]],
        "consent": _readable(profile.get("consent", [])),
        "relations": _readable(profile.get("relations", [])),
        "profile": _readable(profile),
    }


def _readable(value: Any) -> Any:
    """Return a value as JSON has it: bytes as hex (nodes) or text, and beside each time in ms its date.

    Examples
    --------
    >>> _readable({"at_ms": 0, "node": b"sixteen bytes!!!", "note": "hi"})
    {'at_ms': 0, 'node': '7369787465656e206279746573212121', 'note': 'hi'}
    >>> _readable({"occurred_at_ms": 1_700_000_000_000})
    {'occurred_at_ms': 1700000000000, 'occurred_at': '2023-11-14T22:13:20.000Z'}
    """
    if isinstance(value, Mapping):
        readable: dict[str, Any] = {}
        for name, each in value.items():
            readable[name] = _readable(each)
            if name.endswith("_ms") and isinstance(each, int) and each > 0 and not isinstance(each, bool):
                readable[name.removesuffix("_ms")] = _date(each)
        return readable
    if isinstance(value, (list, tuple)):
        return [_readable(each) for each in value]
    return value.hex() if isinstance(value, bytes) else value


def _date(at_ms: int) -> str:
    """Return a time for people; what no calendar holds stays a number."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return str(at_ms)
