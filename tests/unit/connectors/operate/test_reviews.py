"""Two golden records side by side."""

from typing import Any

import pytest

from connectors.operate.reviews import Review, is_id, review_of, ruling_of, standing, told
from connectors.operate.rulings import RulingError

MATCH: dict[str, Any] = {
    "id": "ab" * 16,
    "node": "01" * 16,
    "other": "02" * 16,
    "match": 0.93,
    "household": 0.04,
    "limit": "user_id",
    "since_ms": 7,
    "agreement": {
        "given_name": "near",
        "surname": "same",
        "birth": "same",
        "suburb_there": "near",
        "postcode": "differs",
    },
}


def customer(number: int, traits: dict[str, str], *members: tuple[str, str]) -> dict[str, Any]:
    return {
        "customer": f"{number:032x}",
        "traits": {name: {"value": value} for name, value in traits.items()},
        "members": [{"kind": kind, "value": value, "node": f"{n:032x}"} for n, (kind, value) in enumerate(members)],
    }


SARA = customer(
    1,
    {"first_name": "Sara", "last_name": "Karimi", "birthday": "1984-05-12", "address_city": "York", "zip": "12345"},
    ("user_id", "u-1"),
    ("email", "sara@example.com"),
)
SARAH = customer(
    2,
    {"given_name": "Sarah", "surname": "KARIMI ", "birth_date": "1984-05-12", "city": "Yorc", "postcode": "99999"},
    ("user_id", "u-2"),
)


def rows(review: Review) -> dict[str, tuple[str, str, str]]:
    return {row.name: (row.one, row.other, row.agreement) for row in review.rows}


def test_traits_meet_whatever_their_sources_call_them() -> None:
    """What both have stands first, with how it agrees; what one lacks says so by saying nothing."""
    review = review_of(MATCH, SARA, SARAH)
    assert rows(review) == {
        "given_name": ("Sara", "Sarah", "near"),
        "surname": ("Karimi", "KARIMI ", "same"),
        "birth_date": ("1984-05-12", "1984-05-12", "same"),
        "suburb": ("York", "Yorc", "near"),
        "postcode": ("12345", "99999", "differs"),
        "email": ("sara@example.com", "", ""),
    }
    assert [row.agreement for row in review.rows][-1] == ""
    assert review.names == ("Sara Karimi", "Sarah KARIMI ")
    assert (review.customers, review.limit) == ((SARA["customer"], SARAH["customer"]), "user_id")


def test_a_golden_record_that_differs_from_the_record_that_met_is_not_called_the_same() -> None:
    """The pattern is of two records; a customer's newest word may be another."""
    moved = customer(2, {"last_name": "Smith", "given_name": "Sara"})
    assert rows(review_of(MATCH, SARA, moved))["surname"] == ("Karimi", "Smith", "near")


def test_who_may_not_see_values_sees_how_they_agree() -> None:
    masked = review_of(MATCH, SARA, SARAH, reveal=False)
    assert rows(masked)["surname"][2] == "same"
    assert "Karimi" not in repr(masked.rows) + repr(masked.names)


@pytest.mark.parametrize(
    ("one", "other", "stands"), [(SARA, SARAH, True), (SARA, SARA, False), (None, SARA, False), (SARA, None, False)]
)
def test_what_is_settled_is_no_question(one: Any, other: Any, stands: bool) -> None:
    """They became one, or one is erased."""
    assert standing(one, other) is stands


def test_an_answer_is_a_ruling() -> None:
    """On the nodes of the pair, the holder's first: there the pair is known, and what it teaches."""
    made = ruling_of(MATCH, same=True, reason="passport seen", by="op", id_="r1", at_ms=5)
    assert (made.kind, made.node.hex(), made.other.hex()) == ("merge", MATCH["node"], MATCH["other"])
    assert ruling_of(MATCH, same=False, reason="two sisters", by="op", id_="r1", at_ms=5).kind == "different"
    with pytest.raises(RulingError, match="name the ticket"):
        ruling_of(MATCH, same=True, reason="sara@example.com said so", by="op", id_="r1", at_ms=5)


def test_what_the_api_tells() -> None:
    found = told(review_of(MATCH, SARA, SARAH))
    assert found["members"][0] == [{"kind": "user_id", "value": "u-1"}, {"kind": "email", "value": "sara@example.com"}]
    assert {"name": "suburb", "one": "York", "other": "Yorc", "agreement": "near"} in found["traits"]


@pytest.mark.parametrize("text", ["", "ab" * 15, "AB" * 16, "zz" * 16, "ab" * 17, "../" * 10 + "aa"])
def test_what_is_no_id(text: str) -> None:
    assert not is_id(text)
    assert is_id("ab" * 16)
