"""Whom a customer is related to, for the page: the other's name and what says so. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from connectors.desk.lines import Profile
from connectors.desk.locale import Locale, plain

# What an agent reads in three seconds; the API has all.
MOST_RELATIONS = 6


class Relation(NamedTuple):
    """A line: what relates them, the other's page and name (both empty in a crowded group), and the evidence."""

    label: str
    hex: str
    name: str
    evidence: str


def shown(profile: Profile) -> list[Mapping[str, Any]]:
    """Return the relations that the page shows."""
    return list(profile.get("relations", ()))[:MOST_RELATIONS]


def line(relation: Mapping[str, Any], name: str, locale: Locale) -> Relation:
    """Return a relation's line; ``name`` is the other's as its own page has it."""
    evidence = [locale.named(relation["source"])] if relation["source"] else []
    evidence.append(locale.date(relation["at_ms"]))
    if relation["crowded"]:
        return Relation(locale.word(f"same {relation['kind']}"), "", locale.word("crowded"), " · ".join(evidence))
    key = relation["kind"] if relation["direction"] == "out" else "has referred"
    label = locale.word(f"same {relation['kind']}" if relation["direction"] == "both" else key)
    return Relation(label, relation["customer"], plain(name, 80), " · ".join(evidence))
