"""Which rules of identity differ between two generations, in words: what a change of customers may be due to."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from schemas.identifiers import EVERY
from schemas.identity_rules import IdentityRules

# Told kind by kind; what is left is told whole.
_OF_KINDS = ("limits", "suspension")
_KINDS = "every kind"


class Reason(NamedTuple):
    """A rule that differs. ``kind``: of the identifiers that it is about, or "every kind"."""

    kind: str
    text: str


def differences(old: IdentityRules, new: IdentityRules) -> list[Reason]:
    """Return what differs, by kind; what is about all kinds comes last.

    >>> differences(IdentityRules(), IdentityRules(links=frozenset({"user_id"})))[0]
    Reason(kind='crm_id', text='crm_id: may tie, now may not')
    """
    found: list[Reason] = []
    for kind in dict.fromkeys((*old.priority, *new.priority)):
        found += [Reason(kind, f"{kind}: {text}") for text in _of_kind(kind, old, new)]
    for name in ("email", "phone", "region"):
        found += _whole(f"{name} (form)", getattr(old.forms, name), getattr(new.forms, name))
    found += _whole("blocked for all kinds", old.forms.blocked.get(EVERY), new.forms.blocked.get(EVERY))
    found += [Reason(_KINDS, f"source {name}: {text}") for name, text in _changed(old.sources, new.sources)]
    for name in ("priority", "known", "others", "members", "near"):
        found += _whole(name, getattr(old, name), getattr(new, name))
    return found


def because(reasons: Iterable[Reason], kinds: Iterable[str]) -> list[str]:
    """Return those that a change of a customer with identifiers of these kinds may be due to."""
    present = {*kinds, _KINDS}
    return [reason.text for reason in reasons if reason.kind in present]


def _of_kind(kind: str, old: IdentityRules, new: IdentityRules) -> list[str]:
    texts = []
    if (kind in old.links) != (kind in new.links):
        texts.append("may tie, now may not" if kind in old.links else "may not tie, now may")
    for name in _OF_KINDS:
        before, after = getattr(old, name).get(kind), getattr(new, name).get(kind)
        if before != after:
            texts.append(f"{name} {_said(before)}, now {_said(after)}")
    for name in ("kinds", "blocked"):
        before, after = getattr(old.forms, name).get(kind), getattr(new.forms, name).get(kind)
        if before != after:
            texts.append(f"{'spelling' if name == 'kinds' else 'blocked values'} changed")
    return texts


def _whole(name: str, before: object, after: object) -> list[Reason]:
    return [] if before == after else [Reason(_KINDS, f"{name}: {_said(before)}, now {_said(after)}")]


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = sorted(old.keys() | new.keys())
    return [(n, f"{_said(old.get(n))}, now {_said(new.get(n))}") for n in names if old.get(n) != new.get(n)]


def _said(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, (set, frozenset)):
        return ", ".join(sorted(map(str, value)))
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return " > ".join(map(str, value))
    return str(value)
