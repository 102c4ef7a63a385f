"""identity.yaml → the rules of identity: all problems at once, each with its line, its path and what to do.

What the file leaves out is as in ``IdentityRules``; see deploy/identity.example.yaml.
"""

import difflib
from collections.abc import Collection, Mapping
from typing import Any

import phonenumbers

from schemas.document import Document, DocumentError, read_yaml
from schemas.document import Path as At
from schemas.durations import duration_ms
from schemas.identifiers import BLOCKED, DEFAULT_FORMS, EVERY, KINDS, KNOWN_KINDS, MAX_GLOB, Blocked, Form, Forms
from schemas.identity_rules import DEFAULT_LIMITS, DEFAULT_SUSPENSION, Bound, IdentityRules, NearRules, SourceTrust
from schemas.spelling import EmailForm

_TOP = ("version", "region", "kinds", "email", "phone", "blocked", "sources", "near")
_KIND = ("normalise", "case", "known", "link", "limit", "suspend", "priority")
_RESERVED = ("customer_id",)


def read_rules(text: str, file: str = "identity.yaml", *, region: str | None = None) -> IdentityRules:
    """Return the rules that a YAML file holds.

    Parameters
    ----------
    text : the file's text
    file : its name, for problems
    region : of phone numbers, where the file says none

    Raises
    ------
    DocumentError
        with every problem
    """
    document = read_yaml(text, file)
    reader = _Reader(document)
    top = reader.mapping((), _TOP)
    if top.get("version") != 1:
        document.problem(("version",), "must be 1: the version of this form of file")
    kinds = reader.kinds(top.get("kinds", {}))
    found = reader.forms(top, kinds, region)
    sources = {str(name): reader.trust(("sources", name)) for name in reader.mapping(("sources",), None)}
    near = reader.near() if "near" in top else None
    document.refuse_if_bad()
    return IdentityRules(
        limits=kinds.limits,
        priority=tuple(kinds.priority),
        known=frozenset(kinds.known),
        suspension=kinds.suspension,
        links=frozenset(kinds.links),
        others=sources.pop(EVERY, SourceTrust()),
        sources=sources,
        forms=found,
        near=near,
    )


class _Kinds:
    """What is said of the kinds, the defaults first."""

    def __init__(self) -> None:
        self.forms: dict[str, Form] = dict(DEFAULT_FORMS)
        self.limits: dict[str, int] = dict(DEFAULT_LIMITS)
        self.suspension: dict[str, Bound] = dict(DEFAULT_SUSPENSION)
        self.priority: list[str] = list(KINDS)
        self.known: set[str] = set(KNOWN_KINDS)
        self.links: set[str] = set(KINDS)


class _Reader:
    """Takes the parts of a document, and notes what is wrong with them."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def _at(self, path: At) -> Any:
        value = self._document.value
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        return value

    def mapping(self, path: At, names: Collection[str] | None) -> Mapping[str, Any]:
        """Return the mapping at a path, empty when there is none; names that are not known are problems."""
        value = self._at(path)
        if value is None and path:
            return {}
        if not isinstance(value, dict):
            self._document.problem(path, "is not a mapping of names and values")
            return {}
        for name in value if names is not None else ():
            if name not in (known := names or ()):
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
                self._document.problem((*path, name), f"is not known here: {hint}")
        return value

    def one_of(self, path: At, names: Collection[str], default: str) -> Any:
        value = self._at(path)
        if value is None:
            return default
        if not isinstance(value, str) or value not in names:
            self._document.problem(path, f"must be one of {', '.join(names)}")
            return default
        return value

    def flag(self, path: At, *, default: bool) -> bool:
        value = self._at(path)
        if value is None or isinstance(value, bool):
            return default if value is None else value
        self._document.problem(path, "must be true or false")
        return default

    def number(self, path: At, default: int, least: int) -> int:
        value = self._at(path)
        if value is None:
            return default
        if type(value) is not int or not least <= value <= 1_000_000:
            self._document.problem(path, f"must be a whole number from {least} to 1000000")
            return default
        return value

    def kinds(self, named: Any) -> _Kinds:
        found = _Kinds()
        for kind in self.mapping(("kinds",), None) if named is not None else ():
            path: At = ("kinds", kind)
            told = self.mapping(path, _KIND)
            if kind not in KINDS:
                self._declare(found, kind, told)
            if kind not in found.forms:
                continue
            form = found.forms[kind]
            found.forms[kind] = form._replace(case=self.one_of((*path, "case"), ("keep", "fold"), form.case))
            for name, members in (("known", found.known), ("link", found.links)):
                (members.add if self.flag((*path, name), default=kind in members) else members.discard)(kind)
            self._bounds(found, kind, told)
        return found

    def _declare(self, found: _Kinds, kind: str, told: Mapping[str, Any]) -> None:
        path: At = ("kinds", kind)
        if kind in _RESERVED or not (kind.isascii() and kind.isidentifier() and kind.islower() and len(kind) <= 40):
            self._document.problem(path, "a kind of your own is a_z, digits and _, at most 40, and not customer_id")
            return
        how = self.one_of((*path, "normalise"), ("id", "digits", "email", "phone"), "")
        if not how:
            self._document.problem(path, "'normalise' is missing: id, digits, email or phone")
            return
        words = str(told.get("priority", "")).split()
        if len(words) != 2 or words[0] not in ("before", "after") or words[1] not in found.priority:
            self._document.problem(
                (*path, "priority"), f"must be 'after' or 'before' and one of {', '.join(found.priority)}"
            )
            return
        found.priority.insert(found.priority.index(words[1]) + (words[0] == "after"), kind)
        found.forms[kind] = Form(how)
        found.links.add(kind)

    def _bounds(self, found: _Kinds, kind: str, told: Mapping[str, Any]) -> None:
        path: At = ("kinds", kind)
        if kind in KINDS:
            for name in ("normalise", "priority"):
                if name in told:
                    self._document.problem((*path, name), "is fixed for a kind of Sada's own: remove it")
        if told.get("limit") == "none":
            found.limits.pop(kind, None)
        elif "limit" in told:
            found.limits[kind] = self.number((*path, "limit"), 1, 1)
        if told.get("suspend") == "never":
            found.suspension.pop(kind, None)
        elif "suspend" in told:
            where: At = (*path, "suspend")
            bound = self.mapping(where, ("above", "within"))
            for name in {"above", "within"} - set(bound):
                self._document.problem(where, f"{name!r} is missing: write 'never', or above: 20 and within: 24h")
            within = self.duration((*where, "within"))
            found.suspension[kind] = Bound(self.number((*where, "above"), 1, 1), within)

    def duration(self, path: At) -> int:
        try:
            found = duration_ms(str(self._at(path) or "1d"))
        except ValueError as exc:
            self._document.problem(path, str(exc))
            return 1
        if found < 1:
            self._document.problem(path, "must be more than 0")
        return max(found, 1)

    def forms(self, top: Mapping[str, Any], kinds: _Kinds, region: str | None) -> Forms:
        said = top.get("region", region)
        if said is not None and said not in phonenumbers.SUPPORTED_REGIONS:
            self._document.problem(("region",), f"{str(said)[:20]!r} is no ISO 3166 region: write IR, DE, ...")
            said = None
        self.mapping(("email",), ("case", "gmail_dots", "tags"))
        email = EmailForm(
            self.one_of(("email", "case"), ("keep", "fold"), "fold"),
            self.flag(("email", "gmail_dots"), default=True),
            self.one_of(("email", "tags"), ("keep", "drop"), "keep"),
        )
        take = self.one_of(("phone",), ("possible", "valid"), "possible")
        blocked = {EVERY: Blocked(BLOCKED)}
        for kind in self.mapping(("blocked",), (EVERY, *kinds.forms)):
            if kind == EVERY or kind in kinds.forms:
                blocked[kind] = self._blocked(kind)
        return Forms(kinds=kinds.forms, email=email, phone=take, region=said, blocked=blocked)

    def _blocked(self, kind: str) -> Blocked:
        path: At = ("blocked", kind)
        exact, globs = set(BLOCKED if kind == EVERY else ()), []
        values = self._at(path)
        if not isinstance(values, list):
            self._document.problem(path, "is not a list of values")
            return Blocked()
        for index, value in enumerate(values):
            where: At = (*path, index)
            if not isinstance(value, str) or not value.strip():
                self._document.problem(where, "must be a text: put it in quotes, or its zeros are lost")
            elif not ("*" in value or "?" in value):
                exact.add(value)
            elif len(value) > MAX_GLOB or not value.strip("*?"):
                self._document.problem(where, f"must hold more than * and ?, and at most {MAX_GLOB} characters")
            else:
                globs.append(value)
        return Blocked(frozenset(exact), tuple(globs))

    def near(self) -> NearRules | None:
        if _is_off(self._at(("near",))):
            return None
        told = self.mapping(("near",), ("review", "automatic"))
        review = self.probability(("near", "review"), NearRules().review)
        if _is_off(told.get("automatic", False)):
            return NearRules(review)
        automatic = self.probability(("near", "automatic"), 1.0)
        if automatic < review:
            self._document.problem(("near", "automatic"), f"is below review, {review:g}: nobody would be asked first")
        return NearRules(review, automatic)

    def probability(self, path: At, default: float) -> float:
        value = self._at(path)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
            self._document.problem(path, "must be a probability above 0 and below 1, like 0.5")
            return default
        return float(value)

    def trust(self, path: At) -> SourceTrust:
        self.mapping(path, ("link", "rank"))
        return SourceTrust(self.flag((*path, "link"), default=True), self.number((*path, "rank"), 100, 0))


def _is_off(value: object) -> bool:
    return value is False or value == "off"


__all__ = ["DocumentError", "read_rules"]
