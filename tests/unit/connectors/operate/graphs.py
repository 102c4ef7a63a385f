"""Profiles with ties, for the tests of operators' doors."""

from collections.abc import Sequence
from typing import Any

import orjson

from connectors.serve.keys import profile_json
from tests.peers.people import profile

KINDS = ("user_id", "email", "phone", "anonymous_id", "device_id")


def node(number: int) -> str:
    return f"{number:032x}"


def customer(
    members: Sequence[int], ties: Sequence[tuple[int, int, int]] = (), *, root: int | None = None, **fields: Any
) -> dict[str, Any]:
    """Return a profile as the view has it: members and ties (one, other, at) by number; the first is the root."""
    found = [
        {
            "node": bytes.fromhex(node(n)),
            "kind": KINDS[n % len(KINDS)],
            "value": f"value-of-{n}",
            "since_ms": n,
            "signal_id": f"s{n}",
            **fields.pop(f"member_{n}", {}),
        }
        for n in members
    ]
    tied = [
        {
            "one": bytes.fromhex(node(one)),
            "other": bytes.fromhex(node(other)),
            "signal_id": f"t{one}-{other}",
            "source": "web",
            "at_ms": at,
        }
        for one, other, at in ties
    ]
    view = profile(members[0] if root is None else root, now_ms=1, members=found, ties=tied, **fields)
    told: dict[str, Any] = orjson.loads(profile_json(view))
    return told
