"""Identity: a union-find whose nodes are records on many partitions and whose edges are messages.

Every function here touches one record: the agent looks up the record of ``message.to``, calls ``handle``, writes the
record and sends the messages; those for its own partition it handles at once, first in first out, the others go
through the inbox. Messages are exactly once and in order per pair of partitions; no other assumption is made. The
handshake itself is in ``handshake`` and ``absorb``.

Records are changed in place, as the lane allows: a batch that fails forgets them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from schemas.identifiers import Identifier
from streams.core import handshake
from streams.core.absorb import on_absorb
from streams.core.limits import IdentityRules
from streams.core.links import Absorb, Answer, Compress, Joined, Link, Message, Propose, Step
from streams.core.state import Alias, Member, NodeRecord, Root
from streams.core.turn import ProtocolError, Turn

# Pointers lead to ever smaller roots, and a customer's identifiers are limited: a chain this long is a circle.
MAX_HOPS = 1_000

_HANDLERS: Mapping[type, Callable[[Turn, Any], None]] = {
    Link: handshake.on_link,
    Propose: handshake.on_propose,
    Answer: handshake.on_answer,
    Absorb: on_absorb,
    Compress: handshake.on_compress,
}


def open_root(node: bytes, identifier: Identifier, *, signal_id: str, now_ms: int) -> Step:
    """Return a new customer: the first signal of its strongest identifier came in.

    Parameters
    ----------
    node : of ``identifier``; it has no record
    now_ms : stream time of the partition; with the node it orders roots
    """
    member = Member(identifier.kind, identifier.value, now_ms, signal_id)
    return Step(Root(node, now_ms, members={node: member}), (), (Joined(node, node, identifier.kind),))


def claim(
    root: Root,
    others: Sequence[tuple[bytes, Identifier]],
    *,
    signal_id: str,
    now_ms: int,
    rules: IdentityRules,
) -> Step:
    """Link the other identifiers that a signal at this root names; members and refused ones cost one look-up each.

    Notes
    -----
    A link that is under way or was refused is not sent again. ``changed`` is false when nothing was done.
    """
    members, refusals = root.members, root.refusals
    for node, _ in others:
        if node not in members and node not in refusals:
            break
    else:
        return Step(root, changed=False)
    turn = Turn(root, rules, now_ms)
    held = [handshake.hold_claim(turn, node, identifier, signal_id) for node, identifier in others]
    if any(held):
        handshake.advance(turn)
    return turn.step()._replace(changed=any(held))


def handle(record: NodeRecord | None, message: Message, *, now_ms: int, rules: IdentityRules) -> Step:
    """Handle a message at the record of ``message.to``.

    A ``Deliver`` is handled here only at an alias, which forwards it; elsewhere the agent folds its signal.

    Raises
    ------
    ProtocolError
        the message cannot be, given the record; nothing was changed
    """
    body = message.body
    if isinstance(record, Alias):
        if isinstance(body, Compress):
            return _repoint(record, body, now_ms)
        return forward(record, message)
    if record is None:
        return _first_contact(message, now_ms)
    handler = _HANDLERS.get(type(body))
    if handler is None:
        raise ProtocolError(f"{type(body).__name__} at root {record.node.hex()} is the agent's to fold")
    turn = Turn(record, rules, now_ms)
    handler(turn, body)
    if isinstance(body, Link) and body.offer:
        turn.messages.extend(shorten(record, body.node, message.hops))
    return turn.step()


def forward(alias: Alias, message: Message) -> Step:
    """Send a message along an alias's pointer.

    Raises
    ------
    ProtocolError
        when it was forwarded so often that the pointers must form a circle
    """
    if message.hops >= MAX_HOPS:
        raise ProtocolError(f"forwarded {message.hops} times, last by {message.to.hex()} to {alias.to.hex()}")
    return Step(alias, (message._replace(to=alias.to, hops=message.hops + 1),), changed=False)


def shorten(root: Root, via: bytes, hops: int) -> tuple[Message, ...]:
    """Return the message that lets ``via`` point straight at the root if its messages took a detour.

    Parameters
    ----------
    via : the node where the message entered the pointers: a signal's facet, a link's node
    hops : of the message as it arrived
    """
    if hops > 1:
        return (Message(via, root.node, Compress(root.node)),)
    return ()


def _repoint(alias: Alias, compress: Compress, now_ms: int) -> Step:
    if compress.root == alias.to:
        return Step(alias, changed=False)
    return Step(Alias(compress.root, now_ms))


def _first_contact(message: Message, now_ms: int) -> Step:
    """Handle a message at a node that nobody has seen: a link with an offer is taken."""
    body = message.body
    if isinstance(body, Link) and body.offer:
        answer = Answer(
            body.root,
            body.created_at_ms,
            body.node,
            "joined",
            "",
            to_proposal=False,
            releases=True,
            signal_id=body.signal_id,
        )
        return Step(Alias(body.root, now_ms), (Message(body.root, body.node, answer),))
    if isinstance(body, (Link, Compress)) or (isinstance(body, Answer) and not body.to_proposal and not body.releases):
        return Step(None, changed=False)  # news for a customer who is not there
    raise ProtocolError(f"{type(body).__name__} for node {message.to.hex()}, which has no record")
