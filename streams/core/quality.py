"""How good a record is: how much of it is filled, and on how much of it the sources disagree."""

from collections.abc import Mapping

from streams.core.facet_state import MAX_VIOLATIONS, Facet, Trait
from streams.core.rules import Rules
from streams.core.state import Member
from streams.core.survival import is_contested

# Rules beyond MAX_VIOLATIONS in one facet are counted together under this name.
OTHER_RULES = "other"


def completeness(members: Mapping[bytes, Member], traits: Mapping[str, Trait], rules: Rules) -> float:
    """Return the weight of the fields that are filled, of that of all declared fields: [0, 1].

    A field is an identifier's kind or a trait; of alternatives (``name|first_name``) one suffices.
    """
    total = sum(rules.weights.values())
    if not total:
        return 1.0
    there = {member.kind for member in members.values()}
    there.update(name for name, trait in traits.items() if trait.value)
    filled = sum(weight for names, weight in rules.weights.items() if not there.isdisjoint(names.split("|")))
    return filled / total


def conflict(traits: Mapping[str, Trait], rules: Rules) -> float:
    """Return the share of traits on which another source said otherwise: [0, 1], 0 without traits.

    A field that keeps all values has no conflict.
    """
    asked = [trait for name, trait in traits.items() if rules.fields.get(name) != "all"]
    return sum(map(is_contested, asked)) / len(asked) if asked else 0.0


def note_violation(facet: Facet, rule: str) -> None:
    """Count a rule that a signal of this facet broke."""
    violations = facet.violations
    if rule not in violations and len(violations) >= MAX_VIOLATIONS:
        rule = OTHER_RULES
    violations[rule] = violations.get(rule, 0) + 1
