"""Profiles for the desk's tests: a customer on a bad day, and a hostile one."""

import time
from typing import Any

from schemas.wire import codec_of

DAY_MS = 86_400_000


def profile(number: int = 1, *, now_ms: int | None = None, **fields: Any) -> dict[str, Any]:
    """Return a full golden record: Sara, whose parcel is late."""
    now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    customer = number.to_bytes(16, "big")

    def trait(value: str) -> dict[str, Any]:
        return {"value": value, "source": "crm", "at_ms": now - 90 * DAY_MS}

    def entry(minutes: int, kind: str, name: str, channel: str, summary: str) -> dict[str, Any]:
        return {"at_ms": now - minutes * 60_000, "kind": kind, "name": name, "channel": channel, "summary": summary}

    def member(kind: str, value: str, days: int) -> dict[str, Any]:
        node = value.encode()[:16].ljust(16, b"-")
        return {"node": node, "kind": kind, "value": value, "since_ms": now - days * DAY_MS, "signal_id": f"s-{days}"}

    view: dict[str, Any] = {
        "customer": customer,
        "updated_at_ms": now - 60_000,
        "created_at_ms": now - 400 * DAY_MS,
        "last_seen_ms": now - 60_000,
        "members": [
            member("user_id", "u-1042", 400),
            member("email", "sara@example.com", 400),
            member("phone", "+989123456789", 120),
            member("anonymous_id", "7f0c11b2-55aa", 2),
        ],
        "traits": {
            "name": trait("سارا محمدی"),
            "city": trait("تهران"),
            "language": trait("fa"),
            "time_zone": trait("Asia/Tehran"),
        },
        "activity": {
            "session_started_ms": now - 8 * 60_000,
            "session_signals": 6,
            "session_channel": "web",
            "cart": {
                "SKU-881": {"quantity": 1, "value_minor": 4_590_000, "at_ms": now - 300_000},
                "SKU-14": {"quantity": 2, "value_minor": 890_000, "at_ms": now - 200_000},
            },
            "open_tickets": {"T-77": {"reason": "delivery", "priority": "high", "opened_at_ms": now - DAY_MS}},
            "searches": ["کفش پیاده‌روی", "return policy"],
            "viewed": ["SKU-881", "SKU-14"],
        },
        "history": {
            "signals": 214,
            "orders": 9,
            "returns": 1,
            "calls": 2,
            "messages": 3,
            "complaints": 1,
            "surveys": 1,
            "per_channel": {"web": 180, "call-centre": 2},
            "windows": {
                "signals": {"days_1": 14, "days_7": 41, "days_30": 96, "days_90": 151},
                "orders": {"days_1": 0, "days_7": 1, "days_30": 1, "days_90": 3},
                "calls": {"days_1": 1, "days_7": 1, "days_30": 2, "days_90": 2},
                "complaints": {"days_1": 1, "days_7": 1, "days_30": 1, "days_90": 1},
            },
            "channel_windows": {
                "web": {"days_1": 12, "days_7": 38, "days_30": 88, "days_90": 140},
                "call-centre": {"days_1": 2, "days_7": 3, "days_30": 4, "days_90": 4},
            },
            "timeline": [
                entry(1, "behaviour", "product_viewed", "web", "SKU-881"),
                entry(4, "behaviour", "product_added", "web", "SKU-14 ×2"),
                entry(1_440, "service", "ticket_opened", "call-centre", "سفارش من هنوز نرسیده است"),
                entry(2_900, "survey", "nps_answered", "email", "3 of 10"),
                entry(9_000, "transaction", "order_completed", "app", "order 9001, 6,370,000 IRR"),
            ],
        },
        "value": {
            "currency": "IRR",
            "spent_minor": 148_200_000,
            "returned_minor": 4_100_000,
            "margin_minor": 0,
            "mean_order_minor": 16_466_667.0,
            "last_order_ms": now - 6 * DAY_MS,
            "mean_gap_s": 3_500_000.0,
            "spent_windows": {"days_1": 0, "days_7": 6_370_000, "days_30": 6_370_000, "days_90": 44_100_000},
            "lifetime_minor": 21_400_000.0,
            "lifetime_basis": "revenue",
        },
        "flags": {"mood": -0.6, "vip": True, "complained": True, "do_not_contact": False, "suspicious": False},
        "quality": {"completeness": 0.8, "conflict": 0.25, "violations": {"order-has-currency": 2}},
        "consent": [
            {
                "purpose": "marketing",
                "channel": "email",
                "granted": True,
                "at_ms": now - 300 * DAY_MS,
                "source": "web",
                "proof": "form-3",
            },
            {
                "purpose": "marketing",
                "channel": "sms",
                "granted": False,
                "at_ms": now - 20 * DAY_MS,
                "source": "call-centre",
                "proof": "rec-9",
            },
        ],
        "contacts": [
            {
                "action_id": "a1",
                "action": "win_back",
                "treatment": "gentle",
                "channel": "email",
                "at_ms": now - 30 * DAY_MS,
                "outcome": "clicked",
            },
            {
                "action_id": "a2",
                "action": "cart_reminder",
                "treatment": "plain",
                "channel": "app",
                "at_ms": now - 3 * DAY_MS,
                "outcome": "",
            },
        ],
        "scores": {
            "churn": {"p": 0.71, "version": 12, "at_ms": now},
            "intent.buy": {"p": 0.22, "version": 4, "at_ms": now},
            "intent.complain": {"p": 0.48, "version": 4, "at_ms": now},
        },
        "next_action": {
            "decision_id": "d1",
            "action": "",
            "treatment": "",
            "channel": "",
            "reason": "complaint",
            "at_ms": now - 60_000,
        },
        "refusals": [],
    }
    codec = codec_of("profile")
    return codec.decode(codec.encode({**view, **fields}))


def tied(number: int = 1, *, ruling: str = "r1") -> dict[str, Any]:
    """Return Sara with a history: ties, a merge, a split by an operator, a suspension and two refusals."""
    now = time.time_ns() // 1_000_000
    whole = profile(number, now_ms=now)
    members = whole["members"]
    user, email, phone, browser = (member["node"] for member in members)
    tablet = b"tablet-7".ljust(16, b"-")
    members[1] |= {"original": "Sara@Example.COM", "source": "crm"}
    members[2] |= {"original": "۰۹۱۲ ۳۴۵ ۶۷۸۹", "source": "call-centre", "cuts": [b"c" * 8]}
    members.append(
        {
            **members[3],
            "node": tablet,
            "kind": "device_id",
            "value": "tablet-7",
            "source": "app",
            "suspended_at_ms": now - DAY_MS,
        }
    )

    def tie(one: bytes, other: bytes, signal: str, source: str, days: int) -> dict[str, Any]:
        return {"one": one, "other": other, "signal_id": signal, "source": source, "at_ms": now - days * DAY_MS}

    def chapter(kind: str, other: bytes, said: dict[str, str], days: int) -> dict[str, Any]:
        told = {"reason": "link", "signal_id": "", "ruling": "", **said}
        return {"kind": kind, "other": other, "at_ms": now - days * DAY_MS, **told}

    def refusal(reason: str, signal: str, days: int) -> dict[str, Any]:
        told = {"other": b"o" * 16, "ours": phone, "theirs": b"t" * 16}
        return {"reason": reason, "signal_id": signal, "at_ms": now - days * DAY_MS, **told}

    ties = [
        tie(user, email, "s-400", "crm", 400),
        tie(user, phone, ruling, "", 120),
        tie(email, browser, "s-2", "web", 2),
        tie(browser, tablet, "s-1", "app", 1),
        tie(user, browser, "s-0", "web", 1),
    ]
    story = [
        chapter("suspended", tablet, {"reason": "links", "signal_id": "s-1"}, 1),
        chapter("merged", browser, {"signal_id": "s-2"}, 2),
        chapter("split", b"p" * 16, {"reason": "ruling", "signal_id": ruling, "ruling": ruling}, 20),
    ]
    refusals = [refusal("user_id", "s-7", 7), refusal("cut", ruling, 20)]
    lost = {"value": "Karaj", "source": "web", "at_ms": now - 95 * DAY_MS, "signal_id": "s-95", "times": 2}
    whole["traits"]["city"] |= {"signal_id": "s-90", "times": 3, "rule": "trusted", "others": [lost]}
    codec = codec_of("profile")
    return codec.decode(codec.encode({**whole, "ties": ties, "story": story, "refusals": refusals}))


# What a hostile customer writes into every field that is theirs to write.
ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "\"'><svg/onload=alert(3)>",
    "javascript:alert(4)",
    "{{ 7*7 }}{% raw %}",
    "</dd></dl></section><iframe srcdoc='<script>alert(5)</script>'>",
    "\u202egnp.exe\u2066\u202d",
    "a" * 5_000,
    "\x00\x1b[31m",
)


def hostile(number: int = 2) -> dict[str, Any]:
    """Return a golden record in which every text is an attack."""
    now = time.time_ns() // 1_000_000
    attack = "".join(ATTACKS)
    found = profile(number, now_ms=now)
    return {**_poisoned(found, attack), "customer": found["customer"]}


def _poisoned(value: Any, attack: str) -> Any:
    if isinstance(value, str):
        return attack
    if isinstance(value, dict):
        many = value and all(isinstance(part, dict) for part in value.values())
        return {(f"{name}{attack}" if many else name): _poisoned(part, attack) for name, part in value.items()}
    return [_poisoned(part, attack) for part in value] if isinstance(value, list) else value
