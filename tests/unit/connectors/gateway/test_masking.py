"""What a key without the right to reveal sees."""

import orjson
import pytest

from connectors.gateway.customers import masked
from connectors.operate.mask import mask
from connectors.serve.keys import profile_json
from tests.peers.people import profile


def test_no_word_of_or_about_the_person() -> None:
    """Numbers and states only: neither identifiers nor traits, searches, words or addresses."""
    whole = orjson.loads(profile_json(profile(1)))
    text = orjson.dumps(masked(whole)).decode()
    for secret in ("sara@example.com", "+989123456789", "u-1042", "سارا", "تهران", "return policy", "هنوز", "SKU-881"):
        assert secret in orjson.dumps(whole).decode()
        assert secret not in text
    assert masked(whole)["scores"]["churn"]["p"] == whole["scores"]["churn"]["p"]


@pytest.mark.parametrize(("value", "shown"), [("", "…"), ("u1", "…"), ("1234567", "…"), ("+989123456789", "+…89")])
def test_mask(value: str, shown: str) -> None:
    """Short values show nothing."""
    assert mask(value) == shown
