"""What an operator may say."""

from typing import Any

import orjson
import pytest

from connectors.operate import rulings
from connectors.operate.rulings import ERASE, KINDS, OF_TWO, Ruling, RulingError, check_reason, outcome_of, to_kafka
from schemas.codecs import Codecs
from schemas.wire import codec_of
from streams.core import split

A, B = b"a" * 16, b"b" * 16


def _ruling(**fields: Any) -> Ruling:
    given: dict[str, Any] = {"id": "r1", "kind": "cut", "node": A, "other": B, "reason": "two people", "by": "op"}
    return Ruling(**{**given, "at_ms": 7, **fields})


def test_kinds_are_those_of_the_protocol() -> None:
    """What this door takes, a worker obeys."""
    assert {*KINDS, ERASE} == split.RULINGS
    assert OF_TWO == split.OF_TWO


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": "shred"}, "bad-kind"),
        ({"other": b""}, "bad-other"),
        ({"other": b"short"}, "bad-other"),
        ({"other": A}, "bad-other"),
        ({"kind": "split"}, "bad-other"),
        ({"kind": "release"}, "bad-other"),
        ({"by": ""}, "bad-by"),
        ({"by": "x" * 81}, "bad-by"),
        ({"by": "\x1b[2J"}, "bad-by"),
        ({"reason": ""}, "bad-reason"),
        ({"reason": "ab"}, "bad-reason"),
        ({"reason": "  a  "}, "bad-reason"),
        ({"reason": "x" * 501}, "bad-reason"),
        ({"reason": "two\nlines"}, "bad-reason"),
        ({"reason": "a\x00b c"}, "bad-reason"),
        ({"reason": "half \ud800 a letter"}, "bad-reason"),
    ],
)
def test_what_is_not_taken(fields: dict[str, Any], code: str) -> None:
    """Refused by a stable code."""
    with pytest.raises(RulingError) as found:
        _ruling(**fields)
    assert found.value.code == code


@pytest.mark.parametrize(
    "reason",
    [
        "it is sara@example.com, not him",
        "sara @example.com said so",
        "sara(at)example.com said so",
        "sara\u200b@example.com said so",
        "SARA＠EXAMPLE.COM said so",
        "called from +98 912 345 6789",
        "called from 09123456789",
        "called from ۰۹۱۲ ۳۴۵ ۶۷۸۹",
        "called from ٠٥٠١٢٣٤٥٦٧",
        "called from (0912) 345-67-89",
        "called from 0912\u2011345\u20116789",
        "card 6037 9911 1111 1111",
        "born 1990-01-02, 0912 345 6789",
    ],
)
def test_reasons_hold_no_personal_data(reason: str) -> None:
    """They are kept for ever; the refusal does not repeat them."""
    with pytest.raises(RulingError) as found:
        check_reason(reason)
    assert found.value.code == "personal-reason"
    assert reason not in str(found.value)
    assert "sara" not in str(found.value).lower()


@pytest.mark.parametrize(
    "reason",
    [
        "two sisters share the tablet",
        "ticket T-20261123, order 9001, 2026-11-23 14:30",
        "seen on 23.11.2026 and 2026-11-20 at till 12",
        "دو خواهر از یک تبلت استفاده می‌کنند، تیکت ۴۷۱۱",
        "تشارك الأختان جهازًا واحدًا",
        "the @shop account",
    ],
)
def test_reasons_that_are_taken(reason: str) -> None:
    """Tickets, orders, dates, and the letters of our languages."""
    assert check_reason(reason) == reason


def test_as_kafka_has_it() -> None:
    """Keyed by the node, under its full name, as the schema says."""
    topic, key, value = to_kafka(Codecs(lambda name: f"shop-{name}"), _ruling())
    assert (topic, key) == ("shop-rulings", A)
    assert codec_of("ruling").decode(value) == _ruling().record()


def test_what_came_of_it() -> None:
    """Pending until something did; void when nothing could."""
    said = {b"ruling": orjson.dumps({"id": "r1", "kind": "split"})}

    def merge(kind: str, at_ms: int) -> bytes:
        empty = {"customer": "c", "merged": "m", "nodes": [], "signal_id": "", "ruling": "r1"}
        return orjson.dumps({**empty, "kind": kind, "reason": "ruling", "at_ms": at_ms})

    assert outcome_of({}) is None
    assert outcome_of(said) == {"id": "r1", "kind": "split", "state": "pending", "outcomes": []}
    void = outcome_of({**said, b"x": merge("void", 1)})
    assert void is not None
    assert void["state"] == "void"
    done = outcome_of({b"y": merge("split", 2), b"x": merge("void", 1)})
    assert done is not None
    assert (done["state"], [each["kind"] for each in done["outcomes"]]) == ("done", ["void", "split"])
    assert rulings.MAX_REASON == 500
