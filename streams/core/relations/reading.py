"""The section ``relations`` of rules.yaml: which relations there are, with every problem at its place."""

from typing import Any, Final

from schemas.document import Document, Path
from streams.core.relations.declared import DEFAULT_RELATIONS, KINDS, REFERRED_BY, Relation

# Each is looked up in every signal that states traits; what a family or a firm has in common is told by fewer.
MAX_FIELDS: Final = 6


def read_relations(document: Document, value: Any) -> tuple[Relation, ...]:
    """Return the declared relations: the default ones without a section, none where it is empty.

    Parameters
    ----------
    document : takes the problems
    value : of the section; None: there is none
    """
    if value is None:
        return DEFAULT_RELATIONS
    if not isinstance(value, dict):
        document.problem(("relations",), f"must be a mapping of {', '.join(KINDS)}")
        return ()
    found: list[Relation] = []
    for kind, stated in value.items():
        path: Path = ("relations", kind)
        if kind not in KINDS:
            document.problem(path, f"{str(kind)[:60]!r} is no relation; there are {', '.join(KINDS)}")
        elif not isinstance(stated, dict):
            document.problem(path, "must be a mapping")
        elif kind == REFERRED_BY:
            found += _referral(document, path, stated)
        else:
            found += _group(document, path, kind, stated)
    return tuple(found)


def _group(document: Document, path: Path, kind: str, stated: dict[str, Any]) -> list[Relation]:
    same = stated.get("same")
    if set(stated) != {"same"} or not isinstance(same, list) or not 0 < len(same) <= MAX_FIELDS:
        document.problem(path, f"must be {{same: [1 to {MAX_FIELDS} traits]}}; a|b: the first that is there counts")
        return []
    if not all(_is_field(field) for field in same):
        document.problem((*path, "same"), "must name traits; alternatives without spaces: last_name|surname")
        return []
    return [Relation(kind, tuple(tuple(field.split("|")) for field in same))]


def _referral(document: Document, path: Path, stated: dict[str, Any]) -> list[Relation]:
    trait, identifier = stated.get("trait"), stated.get("identifier")
    if set(stated) != {"trait", "identifier"} or not _is_field(trait) or not isinstance(identifier, str):
        document.problem(path, "must be {trait: what names the referrer, identifier: the kind it is named by}")
        return []
    return [Relation(kind=REFERRED_BY, same=(tuple(str(trait).split("|")),), identifier=identifier)]


def _is_field(field: Any) -> bool:
    return isinstance(field, str) and all(part and part.strip() == part for part in field.split("|"))
