"""Every rule of the identity protocol, broken once: the properties notice each."""

import pytest

from tests.property.identity_mutants import MUTATIONS, catch


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_the_properties_notice(name: str) -> None:
    """A protocol with one rule broken does not pass."""
    assert catch(name) is not None
