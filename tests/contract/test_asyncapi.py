"""The contract page: valid AsyncAPI 3, and never behind the schemas."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from schemas import contract, wire
from schemas.topics import TOPICS

SPEC = Path(__file__).parent / "asyncapi" / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"


@pytest.fixture(scope="module")
def validator() -> Any:
    """The specification's own JSON schema."""
    schema = json.loads(SPEC.read_text())
    return jsonschema.Draft7Validator(schema)


def test_the_document_is_valid(validator: Any) -> None:
    """AsyncAPI's own schema takes it."""
    assert [error.message[:200] for error in validator.iter_errors(contract.asyncapi())] == []


def test_the_validator_can_refuse(validator: Any) -> None:
    """The test above can fail."""
    broken = copy.deepcopy(contract.asyncapi())
    broken["operations"]["read-profiles"]["action"] = "listen"
    assert not validator.is_valid(broken)


def test_the_committed_files_are_current() -> None:
    """Run `python -m schemas.contract` after a change of schemas or topics."""
    assert json.loads(contract.ASYNCAPI.read_text()) == contract.asyncapi()
    assert contract.PAGE.read_text() == contract.page()


def test_every_topic_and_every_field_is_on_the_page() -> None:
    """A foreign producer finds all that it needs."""
    page = contract.page()
    for topic in TOPICS.values():
        assert f"| `{topic.name}` |" in page
    for name in {topic.schema for topic in TOPICS.values() if topic.schema}:
        for field in wire.load(name)["fields"]:
            assert f"| `{field['name']}` | " in page
