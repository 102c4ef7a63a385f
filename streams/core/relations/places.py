"""Caps per household: who would act asks every household of the customer for a place, and decides upon the answer.

Exact, not best effort: a household has one writer, its partition, so of two members that would be sent something in
the same second one is granted the place and the other is told who has it. Meanwhile the trigger waits in the message.
A place that comes to nothing is given back. Where the catalogue states no such cap nothing is asked.
"""

from collections.abc import Sequence

import msgspec

from schemas.views import Signal
from streams.core.catalogue import Policy
from streams.core.links import Message
from streams.core.relations.declared import HOUSEHOLD
from streams.core.relations.messages import Ask, Place, Release
from streams.core.state import Root

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Signal] = msgspec.msgpack.Decoder()


def households(root: Root, policy: Policy) -> list[bytes]:
    """Return the groups whose cap holds for a customer: none where the catalogue states none."""
    if policy.household_cap is None or not root.relations:
        return []
    return sorted(group for group, held in root.relations.items() if held.kind == HOUSEHOLD and not held.crowded)


def ask(
    root: Root,
    node: bytes,
    signal: Signal,
    *,
    decision: str,
    trigger: str,
    at_ms: int,
    policy: Policy,
    groups: Sequence[bytes],
    held: Sequence[bytes] = (),
) -> Message:
    """Return the question for a place, to the first of some households; the others are asked when it grants.

    Parameters
    ----------
    node : whose facet the signal is in
    decision : id of the decision that would act
    at_ms : when: the decision, if it is granted, is of this moment
    groups : at least one, those of ``households`` that have not granted yet
    held : those that have
    """
    cap = policy.household_cap
    day, week = (None, None) if cap is None else (cap.day, cap.week)
    asked = Ask(node, root.node, decision, trigger, _encode(signal), at_ms, day, week, list(groups[1:]), list(held))
    # Through the log: behind the message by which we entered.
    return Message(groups[0], root.node, asked, by_log=True)


def signal_of(place: Place) -> Signal:
    """Return the signal that waited for the answer."""
    return _decoder.decode(place.signal)


def releases(place: Place, sender: bytes) -> tuple[Message, ...]:
    """Give back what was granted."""
    return tuple(Message(group, sender, Release(place.id), by_log=True) for group in place.held)
