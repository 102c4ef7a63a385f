"""The catalogue's JSON schema: the shape of the file that marketers write."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "catalogue.schema.json"


@cache
def catalogue_schema() -> Mapping[str, Any]:
    """Return the JSON schema (draft 2020-12) of a catalogue document."""
    schema: Mapping[str, Any] = json.loads(_FILE.read_text())
    return schema
