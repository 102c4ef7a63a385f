"""Whether a catalogue may be used: its shape by JSON schema, then its sense. All problems at once, each with its place.

Examples
--------
>>> read_catalogue("version: 1", "shop.yaml")
Traceback (most recent call last):
...
schemas.document.DocumentError: shop.yaml:1:1: document: 'actions' is missing: a list
shop.yaml:1:1: document: 'currency' is missing: ISO 4217; of value and cost
shop.yaml:1:1: document: 'triggers' is missing: a mapping
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator

from schemas.catalogue import catalogue_schema
from schemas.document import Document, DocumentError, Path, Problem, read_yaml
from schemas.durations import duration_ms
from streams.core.catalogue import Catalogue, build, canonical, param_source, version_of
from streams.core.conditions import ConditionError, compile_condition
from streams.core.decide import TIMERS
from streams.core.moment import UnknownNameError, reader_of
from streams.core.quiet import zone
from streams.core.templates import TemplateError, check_template

# 90 days, ms: a reward open for longer holds its features in the customer's state and teaches nothing in time.
MAX_WITHIN_MS = 90 * 86_400_000
# The broker takes records of 1 MB (schemas.wire.MAX_BYTES); the envelope needs little.
MAX_DOCUMENT_BYTES = 900_000

_SECRETS = (
    (re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:[^/\s@]+@"), "a URL with a password"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"), "a private key"),
    (re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"), "an access key"),
    (re.compile(r"\b(sk|pk|rk|whsec|xox[abprs]|ghp|gho|glpat)[-_](live_|test_)?[A-Za-z0-9]{16,}"), "an access token"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\."), "a signed token (JWT)"),
    (
        re.compile(r"(?i)\b(password|passwd|secret|api[_-]?key|access[_-]?token)\s*[=:]\s*[^\s{][^\s]{7,}"),
        "what looks like a secret",
    ),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2028\u2029\ud800-\udfff]")


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(catalogue_schema())


def read_catalogue(text: str, file: str) -> Catalogue:
    """Return the catalogue that a YAML file holds.

    Parameters
    ----------
    text : the file's text
    file : its name, for problems

    Raises
    ------
    DocumentError
        with every problem, each naming file, line, column and field
    """
    return _checked(read_yaml(text, file))


def load_catalogue(document: bytes, version: str) -> Catalogue:
    """Return a published catalogue from its canonical JSON, checked again: the topic may hold anything.

    Raises
    ------
    DocumentError
        when the version is not the document's, it is not canonical, or it is not a catalogue
    """

    def refuse(message: str) -> DocumentError:
        return DocumentError([Problem("published catalogue", 1, 1, "", message)])

    if len(document) > MAX_DOCUMENT_BYTES:
        raise refuse(f"has {len(document)} bytes; at most {MAX_DOCUMENT_BYTES} are taken")
    if version_of(document) != version:
        raise refuse("its version is not the SHA-256 of its document: published by something else than sada")
    try:
        value = orjson.loads(document)
        same = canonical(value) == document
    except orjson.JSONDecodeError as exc:
        raise refuse(f"not JSON: {exc}") from None
    except TypeError as exc:  # orjson reads deeper than it writes
        raise refuse(f"not canonical JSON: {exc}") from None
    if not same:
        raise refuse("not canonical JSON: published by something else than sada")
    return _checked(Document("published catalogue", value))


def _checked(document: Document) -> Catalogue:
    if _check_texts(document):
        _check_shape(document)
    document.refuse_if_bad()
    _check_sense(document)
    document.refuse_if_bad()
    if len(canonical(document.value)) > MAX_DOCUMENT_BYTES:
        document.problem((), f"more than {MAX_DOCUMENT_BYTES} bytes as JSON: the topic does not take it; shorten it")
        document.refuse_if_bad()
    return build(document.value)


def _texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield every text with its path; depth is bounded by the reader (YAML) and by orjson (JSON)."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*path, index))


# Fields that may run over several lines.
_LONG = frozenset({"body", "when", "eligibility", "applicability", "suitability", "title"})


def _check_texts(document: Document) -> bool:
    """Look for secrets and control characters; return whether the rest may be checked."""
    try:
        texts = list(_texts(document.value))
    except RecursionError:
        document.problem((), "nested too deep")
        return False
    for path, text in texts:
        for pattern, what in _SECRETS:
            if pattern.search(text):
                # The secret itself is not shown: problems are printed and logged.
                document.problem(path, f"holds {what}: everyone who reads the topic would see it; remove it, renew it")
        if _CONTROL.search(text):
            document.problem(path, "holds control characters: remove them")
        elif ("\n" in text or "\r" in text) and path and path[-1] not in _LONG:
            document.problem(path, "holds a line break: write it in one line")
    return True


def _check_shape(document: Document) -> None:
    if not isinstance(document.value, dict):
        document.problem((), "is not a mapping: a catalogue begins with 'version: 1'")
        return
    for error in _validator().iter_errors(document.value):
        for path, message in _shape_problems(error):
            document.problem(path, message)


def _shape_problems(error: Any) -> Iterator[tuple[Path, str]]:
    path: Path = tuple(error.absolute_path)
    schema, instance = error.schema, error.instance
    says = schema.get("description") if isinstance(schema, Mapping) else None
    if "propertyNames" in error.absolute_schema_path:
        path = (*path, instance)
    if error.validator == "additionalProperties":
        known = schema.get("properties", {})
        for key in sorted(set(instance) - set(known)):
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}"
            yield (*path, key), f"is not known here: {hint}"
    elif error.validator == "required":
        for key in sorted(set(error.validator_value) - set(instance)):
            inner = schema["properties"].get(key, {})
            what = inner.get("description") or {"array": "a list", "object": "a mapping"}.get(
                inner.get("type"), "add it"
            )
            problem = f"{key!r} is missing: {what}"
            yield path, problem
    elif error.validator == "enum":
        near = difflib.get_close_matches(str(instance), list(map(str, error.validator_value)), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(map(str, error.validator_value))}"
        yield path, f"{_short(instance)} is not taken: {hint}"
    elif error.validator == "type":
        yield path, f"{_short(instance)} is not {_article(error.validator_value)}" + (f": {says}" if says else "")
    else:
        yield path, f"{_short(instance)} is not taken: " + (says or f"{error.validator} is {error.validator_value}")


def _short(value: Any) -> str:
    """Return a value for a problem's text, bounded; what looks like a secret is never shown."""
    if isinstance(value, dict | list):
        return f"{'a mapping' if isinstance(value, dict) else 'a list'} of {len(value)}"
    text = repr(value)
    if any(pattern.search(text) for pattern, _ in _SECRETS):
        return "the value"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _article(kind: Any) -> str:
    return {"object": "a mapping", "array": "a list", "string": "text", "number": "a number"}.get(kind, f"an {kind}")


def _check_sense(document: Document) -> None:
    value = document.value
    for path, condition in _conditions(value):
        try:
            compile_condition(condition)
        except ConditionError as exc:
            document.problem(path, str(exc))
    _check_defaults(document)
    triggers = value["triggers"]
    levers = value.get("levers", {})
    _check_unique(document, ("actions",), value["actions"])
    _check_unique(document, ("contexts",), value.get("contexts", ()))
    names = {action["id"] for action in value["actions"]}
    for index, context in enumerate(value.get("contexts", ())):
        _check_known(document, ("contexts", index, "actions"), context.get("actions", ()), names, "action")
    for index, action in enumerate(value["actions"]):
        path = ("actions", index)
        _check_known(document, (*path, "triggers"), action["triggers"], triggers, "trigger")
        if "lever" in action and action["lever"] not in levers:
            document.problem((*path, "lever"), f"there is no lever {action['lever']!r}: add it to levers")
        _check_action(document, path, action)
    used = {name for action in value["actions"] for name in action["triggers"]}
    for name, trigger in triggers.items():
        _check_trigger(document, name, trigger)
        if name not in used and used <= triggers.keys():  # else the name is probably misspelled there, as told
            document.problem(("triggers", name), "leads to no action: name it in an action's triggers, or remove it")


def _check_trigger(document: Document, name: str, trigger: Mapping[str, Any]) -> None:
    path = ("triggers", name)
    if trigger["kinds"] == ["timer"]:
        _check_known(document, (*path, "names"), trigger.get("names", ()), TIMERS, "timer")
        if "channels" in trigger:
            document.problem((*path, "channels"), "time has no channel: remove it")
    elif "timer" in trigger["kinds"]:
        document.problem((*path, "kinds"), "timer stands alone: make two triggers")


def _conditions(value: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for name, trigger in value["triggers"].items():
        if "when" in trigger:
            yield ("triggers", name, "when"), trigger["when"]
    for index, context in enumerate(value.get("contexts", ())):
        yield ("contexts", index, "when"), context["when"]
    for name, lever in value.get("levers", {}).items():
        if "when" in lever:
            yield ("levers", name, "when"), lever["when"]
    for index, action in enumerate(value["actions"]):
        for kind in ("eligibility", "applicability", "suitability"):
            if kind in action:
                yield ("actions", index, kind), action[kind]


def _check_defaults(document: Document) -> None:
    name = document.value.get("defaults", {}).get("time_zone")
    if name is not None and zone(name) is None:
        document.problem(("defaults", "time_zone"), f"{name!r} is not a time zone: write an IANA name, Europe/Berlin")


def _check_unique(document: Document, path: Path, parts: Iterable[Mapping[str, Any]]) -> None:
    seen: dict[str, int] = {}
    for index, part in enumerate(parts):
        first = seen.setdefault(part["id"], index)
        if first != index:
            there = document.marks.get((*path, first))
            where = f" (first in line {there.line})" if there else ""
            document.problem((*path, index, "id"), f"the id {part['id']!r} stands here twice{where}: rename one")


def _check_known(document: Document, path: Path, names: Iterable[str], known: Iterable[str], what: str) -> None:
    known = sorted(known)
    for index, name in enumerate(names):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)[:200]}"
            document.problem((*path, index), f"there is no {what} {name!r}: {hint}")


def _check_action(document: Document, path: Path, action: Mapping[str, Any]) -> None:
    if not 0 < duration_ms(action["goal"]["within"]) <= MAX_WITHIN_MS:
        document.problem((*path, "goal", "within"), "must be more than 0 and at most 90d")
    if "expiry" in action and duration_ms(action["expiry"]) == 0:
        document.problem((*path, "expiry"), "must be more than 0: it would never be sent")
    if "until" in action:
        try:
            datetime.fromisoformat(action["until"])
        except ValueError as exc:
            document.problem((*path, "until"), f"{action['until']!r} is not a date: {exc}")
    for name, param in action.get("params", {}).items():
        _check_param(document, (*path, "params", name), param)
    _check_unique(document, (*path, "treatments"), action["treatments"])
    for index, treatment in enumerate(action["treatments"]):
        _check_treatment(document, (*path, "treatments", index), treatment, action.get("params", {}))


def _check_param(document: Document, path: Path, param: Mapping[str, Any]) -> None:
    kinds = sorted(set(param) - {"default"})
    if len(kinds) != 1:
        document.problem(
            path, f"takes one of trait, record, signal, money and text, not {' and '.join(kinds) or 'none'}"
        )
        return
    source = param_source(param)
    if source is not None:
        try:
            reader_of(source)
        except UnknownNameError as exc:
            document.problem((*path, kinds[0]), str(exc))


def _check_treatment(document: Document, path: Path, treatment: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    if (treatment["channel"] == "webhook") != ("address" in treatment):
        document.problem(path, "address names the webhook: it is needed on the channel webhook, and only there")
    if treatment["channel"] == "email":
        for language, text in treatment["languages"].items():
            if not text.get("subject"):
                document.problem((*path, "languages", language), "an e-mail needs a subject")
    lowered = [language.lower() for language in treatment["languages"]]
    if len(set(lowered)) < len(lowered):
        document.problem((*path, "languages"), "a language stands here twice, in capitals and not: remove one")
    for language, text in treatment["languages"].items():
        for part in ("subject", "body"):
            try:
                check_template(text.get(part, ""), params)
            except TemplateError as exc:
                document.problem((*path, "languages", language, part), str(exc))
