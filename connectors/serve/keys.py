"""THE module of the view's keys in Redis: what lies where. Writers and readers ask here.

=======================  =====  =============================================================
``Pprofile:<hex>``       text   a customer's golden record, JSON (see ``profile_json``)
``Pnode:<hex>``          text   hex of the customer that a node belongs to
``Perased:<hex>``         text   id of the ruling that erased a node's customer; for ever
``Pruling:<id>``         hash   an operator's ruling, and what came of it (see ``RULING``); for ``RULING_LASTS_S``
``Pmatch:<id>``          text   an open pair of near matches, JSON (match.avsc); gone as soon as it is settled
``Pmatches``             zset   ids of open pairs by probability: the review queue
``Pmatches:since``       zset   the same by the time at which they were found, epoch ms of stream time
``Palike:<hex>``         zset   a node's open pairs
``Pposition:<topic>``    hash   partition → next offset to apply: what the rest reflects
=======================  =====  =============================================================

P is the topic prefix, so that tenants and tests share a Redis. Nodes are keyed hashes: no key holds an identifier.

A ruling's hash has the field ``RULING``, the ruling itself, and one field for each thing that came of it, named by what
it is: told twice it is written once. Rulings and what came of them lie in two topics; either may come first.
"""

from collections.abc import Mapping
from typing import Any

import orjson

# The field of a ruling's hash that holds the ruling; every other field holds one thing that came of it.
RULING = "ruling"

# How long a ruling stays in the view, in seconds, counted from when it was last written: thirteen months, so that a
# yearly audit still reads the reasons. At 1,000 rulings a day, 500 bytes each, it is 200 MB. Kafka keeps them for ever.
RULING_LASTS_S = 400 * 86_400


class ViewKeys:
    """The names of the view's keys.

    Parameters
    ----------
    prefix : of the generation (``Settings.view_prefix``)
    shared : of what all generations share: who is erased; None: the same
    """

    def __init__(self, prefix: str, shared: str | None = None) -> None:
        self.prefix = prefix if shared is None else shared
        self._profile = f"{prefix}profile:"
        self._node = f"{prefix}node:"
        self._erased = f"{self.prefix}erased:"
        self._ruling = f"{prefix}ruling:"
        self._match = f"{prefix}match:"
        self._alike = f"{prefix}alike:"
        self.matches = f"{prefix}matches"
        self.matches_since = f"{prefix}matches:since"
        self._position = f"{prefix}position:"

    def profile(self, customer: bytes) -> str:
        """Return where a customer's profile is."""
        return self._profile + customer.hex()

    def node(self, node: bytes) -> str:
        """Return where a node's customer is."""
        return self._node + node.hex()

    def erased(self, node: bytes) -> str:
        """Return where it says that a node was erased."""
        return self._erased + node.hex()

    def is_erased(self, key: str) -> bool:
        """Say whether a key is a mark of an erasure."""
        return key.startswith(self._erased)

    def ruling(self, ruling: str) -> str:
        """Return where a ruling and what came of it are."""
        return self._ruling + ruling

    def match(self, pair: str) -> str:
        """Return where an open pair is, by its id in hex."""
        return self._match + pair

    def alike(self, node: str) -> str:
        """Return where a node's open pairs are, by its hex."""
        return self._alike + node

    def position(self, topic: str) -> str:
        """Return where a topic's positions are; the topic without prefix."""
        return self._position + topic


def profile_json(profile: Mapping[str, Any]) -> bytes:
    """Return a profile as JSON; bytes (customers, nodes) become hex."""
    return record_json(profile)


def record_json(record: Mapping[str, Any]) -> bytes:
    """Return a record of ours as JSON; bytes (customers, nodes) become hex."""
    return orjson.dumps(record, default=_hex)


def outcome_field(merge: Mapping[str, Any]) -> str:
    """Return the field of what came of a ruling; the same thing told again has the same field."""
    return f"{merge['kind']}:{merge['customer'].hex()}:{merge['merged'].hex()}"


def _hex(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no place in the view")
