r"""Reading rules.yaml: its shape and its sense, all problems at once, each with its line and path.

Examples
--------
>>> read_rules("version: 1\nsignals:\n- {name: x, field: survey.scre, required: true, then: flag}", "r.yaml")
Traceback (most recent call last):
...
schemas.document.DocumentError: r.yaml:3:13: signals[0].field: 'survey.scre' is no field: did you mean survey.score?
"""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from schemas import views
from schemas.document import Document, Path, read_yaml
from schemas.durations import duration_ms
from schemas.topics import CHANNELS
from schemas.views import SIGNAL_KINDS, Signal
from streams.core.relations.reading import read_relations
from streams.core.rules import DEFAULT_WEIGHTS, KEEPS, Breaks, Keep, Rules, SignalRule, Then

VERSION = 1
# Each rule is asked of every signal of its kind: about 0.3 us each.
MAX_RULES = 100
# Values in one list of what is allowed: currencies, reasons, a shop's categories.
MAX_ALLOWED = 1_000
MAX_FIELDS = 200
_SECTIONS = ("version", "sources", "fields", "completeness", "signals", "relations")
_CHECKS = ("required", "range", "one_of", "newer_than")
_RULE_KEYS = ("name", "where", "field", "then", *_CHECKS)
_WHERE = ("kind", "channel", "source", "name")
_THENS: tuple[Then, ...] = ("quarantine", "flag")
# A part of the dead letter's code and a label of metrics.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")

_PAYLOADS: Mapping[str, frozenset[str]] = {
    kind: frozenset(getattr(views, kind.capitalize()).__annotations__) for kind in (*SIGNAL_KINDS, "context")
}
_FIELDS = sorted(f"{kind}.{name}" for kind, names in _PAYLOADS.items() if kind != "traits" for name in names)

Reader = Callable[[Signal], Any]


def read_rules(text: str, file: str, *, trust: Mapping[str, int] | None = None) -> Rules:
    """Return the rules that a YAML file holds.

    Parameters
    ----------
    text : the file's text
    file : its name, for problems
    trust : rank of sources by name, the higher the more trusted, where the file has no section ``sources``

    Raises
    ------
    DocumentError
        with every problem, each naming file, line, column and field
    """
    document = read_yaml(text, file)
    value = document.value if isinstance(document.value, dict) else {}
    if value is not document.value:
        document.problem((), "must be a mapping: version, fields, completeness, signals")
    _known(document, (), value, _SECTIONS)
    if value.get("version") != VERSION:
        document.problem(("version",), f"must be {VERSION}")
    rules = Rules(
        _fields(document, value.get("fields")),
        _trust(document, value["sources"]) if "sources" in value else dict(trust or {}),
        _weights(document, value.get("completeness")),
        _signals(document, value.get("signals")),
        relations=read_relations(document, value.get("relations")),
    )
    document.refuse_if_bad()
    return rules


def _known(document: Document, path: Path, found: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for key in found:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f": did you mean {near[0]}?" if near else f"; there are {', '.join(names)}"
            document.problem((*path, key), f"{key[:60]!r} is not known here{hint}")


def _mapping(document: Document, path: Path, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        document.problem(path, "must be a mapping")
        return {}
    if len(value) > MAX_FIELDS:
        document.problem(path, f"has {len(value)} entries; at most {MAX_FIELDS} are taken")
    return value


def _fields(document: Document, value: Any) -> dict[str, Keep]:
    fields: dict[str, Keep] = {}
    for name, keep in _mapping(document, ("fields",), value).items():
        if keep in KEEPS:
            fields[name] = keep
        else:
            document.problem(("fields", name), f"must be one of {', '.join(KEEPS)}")
    return fields


def _trust(document: Document, value: Any) -> dict[str, int]:
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        document.problem(("sources",), "must be a list of sources' names, the most trusted first")
        return {}
    for at, name in enumerate(value):
        if name in value[:at]:
            document.problem(("sources", at), f"{name[:60]!r} stands here twice: remove one")
    return {name: len(value) - at for at, name in enumerate(value)}


def _weights(document: Document, value: Any) -> Mapping[str, float]:
    if value is None:
        return DEFAULT_WEIGHTS
    weights: dict[str, float] = {}
    for name, weight in _mapping(document, ("completeness",), value).items():
        if not _is_number(weight) or not 0 < weight <= 1_000:
            document.problem(("completeness", name), "must be a weight, above 0 and at most 1000")
        elif not all(part.strip() == part and part for part in name.split("|")):
            document.problem(("completeness", name), "alternatives are written name|first_name, without spaces")
        else:
            weights[name] = float(weight)
    return weights


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _signals(document: Document, value: Any) -> tuple[SignalRule, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        document.problem(("signals",), "must be a list of rules")
        return ()
    if len(value) > MAX_RULES:
        document.problem(("signals",), f"has {len(value)} rules; at most {MAX_RULES} are taken")
    rules: list[SignalRule] = []
    for at, each in enumerate(value):
        path: Path = ("signals", at)
        if not isinstance(each, dict):
            document.problem(path, "must be a mapping: name, where, field, one check, then")
            continue
        rule = _rule(document, path, each)
        if rule is not None:
            if any(other.name == rule.name for other in rules):
                document.problem((*path, "name"), f"{rule.name!r} stands here twice: rename one")
            rules.append(rule)
    return tuple(rules)


def _rule(document: Document, path: Path, each: dict[str, Any]) -> SignalRule | None:
    before = len(document.problems)
    _known(document, path, each, _RULE_KEYS)
    name, then = each.get("name"), each.get("then")
    if not isinstance(name, str) or not _NAME.match(name):
        document.problem((*path, "name"), "must be lower-case letters, digits and hyphens, at most 40")
    if then not in _THENS:
        document.problem((*path, "then"), f"must be one of {', '.join(_THENS)}")
    where = _where(document, (*path, "where"), each.get("where"))
    checks = [check for check in _CHECKS if check in each]
    if len(checks) != 1:
        document.problem(path, f"must hold exactly one of {', '.join(_CHECKS)}")
        return None
    check = checks[0]
    breaks, says = _check(document, path, each, check)
    if len(document.problems) > before or breaks is None:
        return None
    return SignalRule(str(name), where, breaks, cast("Then", then), says)


def _where(document: Document, path: Path, value: Any) -> tuple[tuple[str, str], ...]:
    found = _mapping(document, path, value)
    _known(document, path, found, _WHERE)
    for key, allowed in (("kind", SIGNAL_KINDS), ("channel", CHANNELS)):
        if key in found and found[key] not in allowed:
            document.problem((*path, key), f"must be one of {', '.join(allowed)}")
    for key, text in found.items():
        if not isinstance(text, str) or not text:
            document.problem((*path, key), "must be a text")
    return tuple((key, text) for key, text in found.items() if isinstance(text, str))


def _check(document: Document, path: Path, each: dict[str, Any], check: str) -> tuple[Breaks | None, str]:
    stated, at = each[check], (*path, check)
    if check == "newer_than":
        if "field" in each:
            document.problem((*path, "field"), "newer_than asks of the signal's own time: leave field out")
        return _newer_than(document, at, stated)
    field = each.get("field")
    read = _reader(document, (*path, "field"), field)
    if read is None:
        return None, ""
    if check == "required":
        if stated is not True:
            document.problem(at, "must be true: leave the rule out where it is not")
        return (lambda signal: read(signal) in _NOTHING), f"{field} is missing"
    if check == "range":
        return _range(document, at, stated, read, str(field))
    if not isinstance(stated, list) or not stated or not all(isinstance(x, str | int | float) for x in stated):
        document.problem(at, "must be a list of the values that are allowed")
        return None, ""
    if len(stated) > MAX_ALLOWED:
        document.problem(at, f"has {len(stated)} values; at most {MAX_ALLOWED} are taken")
    allowed = frozenset(stated)

    def breaks(signal: Signal) -> bool:
        value = read(signal)
        return value not in _NOTHING and value not in allowed

    return breaks, f"{field} is none of those allowed"


# What counts as missing; a number 0 is there, and equals no member of this.
_NOTHING: tuple[Any, ...] = (None, "", [], {})


def _newer_than(document: Document, path: Path, stated: Any) -> tuple[Breaks | None, str]:
    try:
        most_ms = duration_ms(str(stated))
    except ValueError as exc:
        document.problem(path, str(exc))
        return None, ""
    return (
        lambda signal: signal["received_at_ms"] - signal["occurred_at_ms"] > most_ms
    ), f"it had occurred more than {stated} before it was received"


def _range(document: Document, path: Path, stated: Any, read: Reader, field: str) -> tuple[Breaks | None, str]:
    if not isinstance(stated, list) or len(stated) != 2 or not all(map(_is_number, stated)) or stated[0] > stated[1]:
        document.problem(path, "must be two numbers, the lower first, like [0, 100000]")
        return None, ""
    low, high = stated

    def breaks(signal: Signal) -> bool:
        value = read(signal)
        if value in _NOTHING:
            return False
        try:
            return not low <= float(value) <= high  # traits are texts
        except (TypeError, ValueError):
            return True

    return breaks, f"{field} lies outside of {low:g} to {high:g}"


def _reader(document: Document, path: Path, field: Any) -> Reader | None:
    """Return what reads a field of a signal, None with a problem where there is no such field."""
    if not isinstance(field, str) or "." not in field:
        document.problem(path, "must name a field, like transaction.amount_minor, traits.city or identifiers.email")
        return None
    part, name = field.split(".", 1)
    if part == "identifiers" and name:
        return lambda signal: next((each["value"] for each in signal["identifiers"] if each["kind"] == name), None)
    if part == "traits" and name:
        return lambda signal: stated["values"].get(name) if (stated := signal.get("traits")) else None
    if part in _PAYLOADS and name in _PAYLOADS[part]:
        return lambda signal: (signal.get(part) or {}).get(name)  # type: ignore[attr-defined]  # any payload
    near = difflib.get_close_matches(field, _FIELDS, n=1)
    document.problem(path, f"{field[:60]!r} is no field" + (f": did you mean {near[0]}?" if near else ""))
    return None
