"""THE module of the view's keys in Redis: what lies where. Writers and readers ask here.

=======================  =====  =============================================================
``Pprofile:<hex>``       text   a customer's golden record, JSON (see ``profile_json``)
``Pnode:<hex>``          text   hex of the customer that a node belongs to
``Pposition:<topic>``    hash   partition → next offset to apply: what the rest reflects
=======================  =====  =============================================================

P is the topic prefix, so that tenants and tests share a Redis. Nodes are keyed hashes: no key holds an identifier.
"""

from collections.abc import Mapping
from typing import Any

import orjson


class ViewKeys:
    """The names of the view's keys.

    Parameters
    ----------
    prefix : topic prefix
    """

    def __init__(self, prefix: str) -> None:
        self._profile = f"{prefix}profile:"
        self._node = f"{prefix}node:"
        self._position = f"{prefix}position:"

    def profile(self, customer: bytes) -> str:
        """Return where a customer's profile is."""
        return self._profile + customer.hex()

    def node(self, node: bytes) -> str:
        """Return where a node's customer is."""
        return self._node + node.hex()

    def position(self, topic: str) -> str:
        """Return where a topic's positions are; the topic without prefix."""
        return self._position + topic


def profile_json(profile: Mapping[str, Any]) -> bytes:
    """Return a profile as JSON; bytes (customers, nodes) become hex."""
    return orjson.dumps(profile, default=_hex)


def _hex(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no place in a profile")
