"""What the view keeps of a pair of near matches."""

from typing import Any

import pytest

from connectors.serve.changes import GONE, GONE_SCORE, changes
from connectors.serve.keys import ViewKeys
from schemas.topics import MATCHES
from schemas.wire import codec_of

ID, NODE, OTHER = b"i" * 16, b"n" * 16, b"o" * 16
CODEC = codec_of("match")
KEYS = ViewKeys("t-")


def match(**fields: Any) -> bytes:
    known = {"id": ID, "node": NODE, "other": OTHER, "customer": NODE, "state": "open", "match": 0.75, "household": 0.1}
    known |= {"agreement": {"birth": "same"}, "limit": "", "by": "", "at_ms": 9, "since_ms": 8}
    return CODEC.encode({**known, **fields})


def test_an_open_pair_is_in_the_queue_and_beside_both() -> None:
    found, bad = changes(MATCHES, [(ID, match())], KEYS, CODEC.decode)
    assert not bad
    record, since, *sets = found
    assert record.key == f"t-match:{ID.hex()}"
    assert b'"birth":"same"' in record.value
    assert (since.key, since.field, since.score) == ("t-matches:since", ID.hex(), "8")
    assert [(each.key, each.field, float(each.score)) for each in sets] == [
        (key, ID.hex(), 0.75) for key in ("t-matches", f"t-alike:{NODE.hex()}", f"t-alike:{OTHER.hex()}")
    ]


@pytest.mark.parametrize("state", ["linking", "linked", "different", "gone"])
def test_a_settled_pair_leaves(state: str) -> None:
    """Also where both states come in one batch: the last word counts."""
    found, _ = changes(MATCHES, [(ID, match()), (ID, match(state=state))], KEYS, CODEC.decode)
    assert [(each.value, each.score) for each in found] == [(GONE, "")] + 4 * [(GONE, GONE_SCORE)]


def test_a_record_without_a_value_is_refused() -> None:
    assert [each.code for each in changes(MATCHES, [(ID, None)], KEYS, CODEC.decode)[1]] == ["no-value"]
