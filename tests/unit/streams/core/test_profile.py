import fastavro
import pytest

from schemas.wire import codec_of
from streams.core.facet import remember_contact
from streams.core.facet_state import Contact
from streams.core.golden_record import merge
from streams.core.profile import profile_of
from streams.core.state import LastDecision, Refusal, Root, ScoreState
from tests.unit.streams.core.making import (
    DAY,
    T,
    cart,
    consent,
    customer,
    folded,
    look,
    make,
    message,
    order,
    service,
    traits,
)

NOW = T + 20


def _rich() -> Root:
    facet = folded(
        look("sku-1"),
        make(payload={"query": "shoes"}, name="products_searched", at=T + 1),
        cart("product_added", "sku-2", at=T + 2),
        order(at=T - DAY, amount=900, margin=100),
        service("opened", at=T + 4, ticket_id="t", reason="quality", priority="high"),
        message("thank you", at=T + 5),
        consent(True, at=T + 6),
        traits({"city": "Shiraz"}, at=T + 7),
    )
    for n in range(25):
        remember_contact(
            facet,
            Contact(f"a{n}", "d", "x", "t", "email", "marketing", T + n, False, "", 0, 0, "order", b"", 0.5, 0.1, 1),
        )
    root = customer(facet)
    root.scores["churn"] = ScoreState(0.25, 3, T)
    root.last_decision = LastDecision("d", "x", "t", "email", "cart", T)
    root.refusals[b"o" * 16] = Refusal(b"o" * 16, "user_id", "s", T)
    return root


def test_a_profile_survives_the_wire_whole() -> None:
    root = _rich()
    codec = codec_of("profile")
    written = profile_of(root, merge(root, NOW))
    assert codec.decode(codec.encode(written)) == written


def test_what_the_public_sees() -> None:
    root = _rich()
    profile = profile_of(root, merge(root, NOW))
    assert profile["last_seen_ms"] == T + 5
    assert profile["updated_at_ms"] == NOW
    assert [contact["at_ms"] for contact in profile["contacts"]] == [T + n for n in range(24, 4, -1)]
    assert profile["consent"][0]["purpose"] == "marketing"
    assert profile["consent"][0]["channel"] == "email"
    assert profile["value"]["mean_order_minor"] == 900.0
    assert profile["value"]["last_order_ms"] == T - DAY
    assert profile["activity"]["open_tickets"]["t"]["priority"] == "high"
    assert profile["refusals"][0]["reason"] == "user_id"
    assert len(profile["history"]["timeline"]) == 8


def test_an_empty_customer_has_a_valid_profile() -> None:
    root = Root(b"n" * 16, T)
    profile = profile_of(root, merge(root, T))
    assert profile["next_action"] is None
    assert fastavro.validate(profile, codec_of("profile").parsed)


@pytest.mark.parametrize("field", ["members", "traits", "scores", "timeline"])
def test_every_part_is_filled(field: str) -> None:
    root = _rich()
    profile = profile_of(root, merge(root, NOW))
    assert profile.get(field) or profile["history"][field]
