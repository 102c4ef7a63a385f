"""The timeline in the agent's language: every form that the golden record writes is known."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.desk.locale import Language, Locale
from connectors.desk.summaries import said
from streams.core.facet_state import Facet, Faded
from streams.core.fading import NAMES, Weights
from streams.core.folds import FOLDS

_TRANSACTION = {"type": "order", "amount_minor": 6_000, "currency": "EUR", "items": [], "margin_minor": None}
_SERVICE = {"event": "opened", "reason": "delivery", "ticket_id": None, "priority": None, "text": None}


def _summary(kind: str, body: dict[str, Any], channel: str = "web") -> str:
    """Return what the golden record itself writes of a signal."""
    signal: Any = {"name": "n", "channel": channel, "source": "shop", **body}
    return FOLDS[kind](
        Facet(b"n" * 16, 1, faded=Faded([0.0] * len(NAMES))), signal, 1_000, Weights(*(1.0 for _ in Weights._fields))
    )


def _told(kind: str, summary: str, language: Language = "fa") -> str:
    found = said({"kind": kind, "summary": summary}, Locale(language, ZoneInfo("UTC"), 0))
    return "".join(c for c in found if c not in "\u2066\u2068\u2069")


@pytest.mark.parametrize(
    ("kind", "body", "fa"),
    [
        ("traits", {"traits": {"values": {"a": "1", "b": "2", "c": "3"}}}, "۳ ویژگی"),
        ("transaction", {"transaction": _TRANSACTION}, "۶۰٫۰۰ یورو"),
        ("message", {"message": {"direction": "outbound"}}, "ارسالی"),
        ("message", {"message": {"direction": "inbound", "text": "x"}}, "دریافتی"),
        ("message", {"message": {"direction": "inbound", "text": "terrible awful"}}, "دریافتی · حال -"),
        ("survey", {"survey": {"survey": "nps", "score": 3.0}}, "nps ۳ از ۱۰"),
        ("survey", {"survey": {"survey": "own", "score": 4.5}}, "own ۴٫۵"),
        ("service", {"service": _SERVICE}, "باز شد: ارسال"),
        ("service", {"service": {**_SERVICE, "event": "call_started", "reason": None}}, "تماس گرفت"),
        (
            "consent",
            {"consent": {"purpose": "marketing", "channel": "email", "granted": False}},
            "پیشنهادها · ایمیل: خیر",
        ),
        ("outcome", {"outcome": {"event": "clicked", "action": "win_back", "action_id": "a"}}, "کلیک شد: win back"),
    ],
)
def test_what_the_record_writes_is_said(kind: str, body: dict[str, Any], fa: str) -> None:
    """In Persian words and digits, from the record's own summary."""
    assert _told(kind, _summary(kind, body)).startswith(fa)


def test_carts_and_orders() -> None:
    """Items keep their names, counts take the language's digits."""
    assert _told("behaviour", "2 x lamp-1") == "lamp-1 ×۲"
    assert _told("behaviour", "2 x lamp-1", "ar") == "lamp-1 ×٢"
    assert _told("behaviour", "2 x lamp-1", "en") == "lamp-1 ×2"
    assert _told("transaction", "1,234.50 EUR (2 x)") == "۱٬۲۳۴٫۵۰ یورو · ۲ قلم"


@pytest.mark.parametrize("kind", [*FOLDS, "of another version"])
@pytest.mark.parametrize("summary", ["", "سفارش من", "\u202ex\u2066", "1 x ", "a" * 5_000, "granted: on", "(((((("])
def test_strangers_words_are_shown_as_they_are(kind: str, summary: str) -> None:
    """What has no form of ours is plain text: never an error, never a direction mark."""
    found = said({"kind": kind, "summary": summary}, Locale("fa", ZoneInfo("UTC"), 0))
    assert "\u202e" not in found
    assert len(found) <= 200
