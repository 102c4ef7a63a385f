"""Every rule of relations, household caps and near matches, broken once: the properties notice each."""

import pytest

from tests.property.people_mutants import MUTATIONS, catch, groups, held_once

# Those that need random worlds take longest.
SLOW = [name for name, broken in MUTATIONS.items() if broken.noticed_by is groups]


@pytest.mark.parametrize("name", [name for name in MUTATIONS if name not in SLOW])
def test_the_properties_notice(name: str) -> None:
    """Code with one rule broken does not pass."""
    assert catch(name) is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_the_worlds_notice(name: str) -> None:
    """The same, for what only random worlds show."""
    assert catch(name) is not None


def test_with_every_rule_whole_the_worlds_pass() -> None:
    """What is noticed is the broken rule's doing."""
    held_once()
    groups()
