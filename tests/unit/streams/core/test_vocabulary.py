import pytest

from streams.core.vocabulary import ROLES, is_activity, is_complaint_reason, role_of, snake
from tests.unit.streams.core.making import consent, look, make, message, order, outcome, service, traits


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("product_viewed", "view"),
        ("Product Viewed", "view"),
        ("ProductAdded", "add"),
        ("add-to-cart", "add"),
        ("page_viewed", ""),
        ("", ""),
    ],
)
def test_foreign_names_come_to_ours(name: str, role: str) -> None:
    assert role_of(name) == role


def test_the_table_is_in_its_own_form() -> None:
    assert all(snake(name) == name for name in ROLES)


def test_reasons_in_any_spelling() -> None:
    assert is_complaint_reason("Late delivery")
    assert not is_complaint_reason("opening hours")


@pytest.mark.parametrize(
    ("signal", "own"),
    [
        (look("a"), True),
        (order(), True),
        (order(type="return"), True),
        (order(type="refund"), False),
        (order(type="payment"), False),
        (message("x"), True),
        (message("x", direction="outbound"), False),
        (make("survey", {"survey": "nps"}), True),
        (service("opened"), True),
        (service("closed"), False),
        (consent(True), False),
        (traits({}), False),
        (outcome("clicked"), True),
        (outcome("delivered"), False),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else str(value),
)
def test_what_is_the_customers_own_doing(signal: object, own: bool) -> None:
    assert is_activity(signal) is own  # type: ignore[arg-type]  # parametrised
