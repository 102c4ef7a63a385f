"""Who a signal names: its identifiers, normalised, as nodes; the strongest first."""

from functools import lru_cache
from typing import NamedTuple

from schemas.identifiers import MAX_VALUE, NODE_BYTES, Forms, Hasher, Identifier, IdentifierError, node_of_hex
from schemas.identity_rules import IdentityRules
from schemas.topics import signals
from schemas.views import Signal
from streams.core.errors import SignalError

# What delivery knows of a customer: the id itself. Taken on the outcome channel only.
CUSTOMER_ID = "customer_id"
# No kind of identifier: nodes of blocking keys are none of a customer's.
BLOCK = "near"
# No kind of identifier: nodes of groups are none of a customer's.
GROUP = "relation:"
OUTCOME_TOPIC = signals("outcome")

# Identifiers whose node is remembered: a customer who is here comes again within minutes, and normalising an address
# takes 50 us. 400 to 560 bytes each: 25 MB.
_REMEMBERED = 50_000


class Named(NamedTuple):
    """The nodes that a signal names.

    Parameters
    ----------
    node : the signal's own: that of its strongest identifier
    identifier : the strongest, or None when the signal names a customer by id
    others : the other nodes with their identifiers
    unusable : identifiers that were left out, with their codes
    """

    node: bytes
    identifier: Identifier | None
    others: tuple[tuple[bytes, Identifier], ...]
    unusable: tuple[str, ...]


class Namer:
    """Turns identifiers into nodes.

    Parameters
    ----------
    hasher : holds the secret
    rules : which identifiers there are and how they are spelled; a region alone: the default rules with it
    """

    def __init__(self, hasher: Hasher, rules: IdentityRules | str | None) -> None:
        held = rules if isinstance(rules, IdentityRules) else IdentityRules(forms=Forms(region=rules))

        @lru_cache(maxsize=_REMEMBERED)
        def node_of(kind: str, value: str) -> tuple[bytes, Identifier]:
            identifier = held.normalise(kind, value)
            return hasher.node(identifier), identifier

        self._node_of = node_of
        self._hasher = hasher
        self._strongest = held.strongest

    def block(self, key: str) -> bytes:
        """Return what is told of a blocking key of near matches: nothing of its values."""
        return self._hasher.node(Identifier(BLOCK, key))

    def group(self, kind: str, common: str) -> bytes:
        """Return the node of a group of customers: nothing tells what they have in common."""
        return self._hasher.node(Identifier(GROUP + kind, common))

    def node_of(self, kind: str, value: str) -> bytes | None:
        """Return the node of an identifier that a trait names, None where it can be none."""
        try:
            return self._node_of(kind, value)[0]
        except IdentifierError:
            return None

    def name(self, signal: Signal, channel_topic: str) -> Named:
        """Return the nodes that a signal names.

        Parameters
        ----------
        channel_topic : the topic it came in on, without prefix

        Raises
        ------
        SignalError
            no-identifier, when none can be used; the message names each with its reason, never its value
        """
        found: dict[bytes, Identifier] = {}
        unusable: list[str] = []
        for given in signal["identifiers"]:
            if given["kind"] == CUSTOMER_ID and channel_topic == OUTCOME_TOPIC:
                return Named(_customer_node(given["value"]), None, (), ())
            try:
                node, identifier = self._node_of(given["kind"], given["value"])
            except IdentifierError as exc:
                unusable.append(exc.code)
                continue
            original = given.get("original")
            if original:  # a door has normalised it
                identifier = identifier._replace(original=original[:MAX_VALUE])
            found.setdefault(node, identifier)  # of two spellings of one, the first is its original
        if not found:
            reasons = ", ".join(sorted(set(unusable))) or "there is none"
            raise SignalError("no-identifier", f"no identifier can be used: {reasons}")
        if len(found) == 1:
            ((node, first),) = found.items()
            return Named(node, first, (), tuple(unusable))
        first = self._strongest(found.values())
        node = next(n for n, identifier in found.items() if identifier is first)
        others = tuple((n, identifier) for n, identifier in found.items() if n != node)
        return Named(node, first, others, tuple(unusable))


def _customer_node(value: str) -> bytes:
    node = node_of_hex(value)
    if node is None:
        raise SignalError("bad-customer-id", f"customer_id is not {2 * NODE_BYTES} hexadecimal digits")
    return node
