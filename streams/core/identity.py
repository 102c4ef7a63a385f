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
from schemas.identity_rules import IdentityRules
from streams.core import claims, erasure, handshake, split, ties
from streams.core.absorb import on_absorb
from streams.core.found import become_root, repoint
from streams.core.links import (
    Absorb,
    Answer,
    Compress,
    Erase,
    Found,
    Joined,
    Link,
    Message,
    Propose,
    Reconsider,
    Repoint,
    Rule,
    Step,
    Verdict,
    Void,
    aim,
)
from streams.core.near import pairs
from streams.core.near.likeness import NEAR_MATCH, on_holds
from streams.core.near.messages import Alike, Borne, Compare, Holds
from streams.core.relations import group, related
from streams.core.relations.messages import Ask, Belong, Release, Told
from streams.core.state import Alias, Claim, Erased, Group, Member, NodeRecord, Root, Tie
from streams.core.turn import ProtocolError, Stage, Turn, is_refused

# Pointers lead to ever smaller roots, and a customer's identifiers are limited: a chain this long is a circle.
MAX_HOPS = 1_000
# After so many hops a message goes through the log even on its own partition, so that news there is read first: real
# chains are short, since pointers are shortened.
REST_AFTER_HOPS = 16


def _on_rule(turn: Turn, rule: Rule) -> None:
    """Take up an operator's ruling."""
    if rule.kind not in split.KINDS:
        raise ProtocolError(f"ruling {rule.id[:100]!r} is of kind {rule.kind[:40]!r}")
    split.order(turn, rule)
    handshake.advance(turn)


_HANDLERS: Mapping[type, Callable[[Turn, Any], None]] = {
    Link: handshake.on_link,
    Propose: handshake.on_propose,
    Answer: handshake.on_answer,
    Absorb: on_absorb,
    Compress: handshake.on_compress,
    Rule: _on_rule,
    Reconsider: split.on_reconsider,
    Told: related.on_told,
}

# Those that leave most records as they are; they say whether they did.
_WEIGHERS: Mapping[type, Callable[[Turn, Any], bool]] = {
    Alike: pairs.on_alike,
    Compare: pairs.on_compare,
    Borne: pairs.on_borne,
    Holds: on_holds,
}


def open_root(node: bytes, identifier: Identifier, *, signal_id: str, source: str, now_ms: int) -> Step:
    """Return a new customer: the first signal of its strongest identifier came in.

    Parameters
    ----------
    node : of ``identifier``; it has no record
    now_ms : stream time of the partition; with the node it orders roots
    """
    member = Member(
        identifier.kind,
        identifier.value,
        now_ms,
        signal_id,
        source=source,
        original=identifier.original,
        created_at_ms=now_ms,
    )
    return Step(Root(node, now_ms, members={node: member}), (), (Joined(node, node, identifier.kind),))


def claim(
    root: Root,
    by: bytes,
    others: Sequence[tuple[bytes, Identifier]],
    *,
    signal_id: str,
    source: str,
    now_ms: int,
    rules: IdentityRules,
) -> Step:
    """Link the other identifiers that a signal at this root names; members and refused ones cost two look-ups each.

    Parameters
    ----------
    by : the signal's own identifier, a member

    Notes
    -----
    A link that is under way or was refused is not sent again. ``changed`` is false when nothing was done.
    """
    members, known = root.members, root.ties
    for node, _ in others:
        if ties.pair(by, node) not in known if node in members else not is_refused(root, node, now_ms):
            break
    else:
        return Step(root, changed=False)
    if members[by].suspended_at_ms:
        return Step(root, changed=False)
    turn, news = Turn(root, rules, now_ms), False
    links = False
    for node, identifier in others:
        if node in members:
            news |= ties.bind_more(root, by, node, Tie(signal_id, source, now_ms))
            continue
        kind, value, original = identifier
        held = Claim(kind, value, signal_id, now_ms, Stage.HELD, by, source, original)
        links |= claims.hold_claim(turn, node, held)
    if links:
        handshake.advance(turn)
    return turn.step()._replace(changed=news or links)


def handle(record: NodeRecord | None, message: Message, *, now_ms: int, rules: IdentityRules) -> Step:
    """Handle a message at the record of ``message.to``.

    A ``Deliver`` is handled here only at an alias, which forwards it; elsewhere the agent folds or refuses its signal.

    Raises
    ------
    ProtocolError
        the message cannot be, given the record; nothing was changed
    """
    body = message.body
    if isinstance(record, Group) or isinstance(body, (Belong, Ask, Release)):
        return group.handle(record, message)
    if isinstance(record, Alias):
        return _at_alias(record, message, now_ms, rules)
    if record is None:
        return _first_contact(message, now_ms)
    aimed = aim(body)
    if isinstance(record, Erased):
        if aimed is not None and aimed != message.to:
            return onward(record, aimed, message)
        return erasure.at_erased(record, message)
    if aimed is not None and aimed not in record.members:
        return onward(record, aimed, message)
    weigher = _WEIGHERS.get(type(body))
    if weigher is not None:
        turn = Turn(record, rules, now_ms)
        changed = weigher(turn, body)
        return turn.step()._replace(changed=changed)
    handler = _HANDLERS.get(type(body))
    if handler is None:
        raise ProtocolError(f"{type(body).__name__} at root {record.node.hex()} is not for a root")
    turn = Turn(record, rules, now_ms)
    handler(turn, body)
    if isinstance(body, Link) and body.offer:
        turn.messages.extend(shorten(record, body.node, message.hops))
    return turn.step()


def _at_alias(alias: Alias, message: Message, now_ms: int, rules: IdentityRules) -> Step:
    """Handle what is for the alias itself, forward the rest."""
    match message.body:
        case Compress() | Repoint() as news:
            return repoint(alias, news, now_ms)
        case Found() as found:
            return become_root(message.to, found, now_ms=now_ms, rules=rules)
        case Erase(ruling):
            return erasure.forget(ruling, now_ms)
    return forward(alias, message)


def forward(alias: Alias, message: Message) -> Step:
    """Send a message along an alias's pointer.

    Raises
    ------
    ProtocolError
        when it was forwarded so often that the pointers must form a circle
    """
    return Step(alias, (_onward(message, alias.to),), changed=False)


def onward(record: NodeRecord, aimed: bytes, message: Message) -> Step:
    """Send a message on to where its identifier is: along an alias's pointer, or back to the identifier itself.

    The latter where an old pointer has led to the wrong part of a split. What tells the identifier's own node where it
    belongs was written before the part could come to be; so the message goes through the log, behind it.

    Parameters
    ----------
    record : at which it has arrived: an alias, or a root that the identifier is not a member of, or an erased node
    aimed : the identifier that it is about

    Raises
    ------
    ProtocolError
        as forward
    """
    if isinstance(record, Alias):
        return Step(record, (_onward(message, record.to),), changed=False)
    return Step(record, (_onward(message, aimed)._replace(by_log=True),), changed=False)


def _onward(message: Message, to: bytes) -> Message:
    if message.hops >= MAX_HOPS:
        raise ProtocolError(f"forwarded {message.hops} times, last by {message.to.hex()} to {to.hex()}")
    # In the middle of a split's news pointers may form a circle, until the next message in the log is read.
    hops = message.hops + 1
    return message._replace(to=to, hops=hops, by_log=hops % REST_AFTER_HOPS == 0)


def shorten(root: Root, via: bytes, hops: int) -> tuple[Message, ...]:
    """Return the message that lets ``via`` point straight at the root if its messages took a detour.

    Parameters
    ----------
    via : the node where the message entered the pointers: a signal's facet, a link's node
    hops : of the message as it arrived
    """
    if hops > 1 and via in root.members:  # it may have left with a part in this very turn
        return (Message(via, root.node, Compress(root.node)),)
    return ()


def _first_contact(message: Message, now_ms: int) -> Step:
    """Handle a message at a node that nobody has seen: a link with an offer is taken."""
    body = message.body
    if isinstance(body, Link) and body.offer:
        # Both rest on a customer that is there: a signal brings a new identifier's kind and value, these do not.
        unknown = bool(body.ruling) or body.source == NEAR_MATCH
        verdict: Verdict = "unknown" if unknown else "joined"
        answer = Answer(
            body.root,
            body.created_at_ms,
            body.node,
            verdict,
            "",
            to_proposal=False,
            releases=True,
            signal_id=body.signal_id,
            theirs=body.by,
            source=body.source,
            ruling=body.ruling,
        )
        record = None if unknown else Alias(body.root, now_ms)
        return Step(record, (Message(body.root, body.node, answer),), changed=record is not None)
    if isinstance(body, Rule) and body.kind == erasure.ERASE:
        return erasure.mark(body, now_ms)
    if isinstance(body, Rule):
        return Step(None, events=(Void(body.node, body.node, "unknown-customer", body.id),), changed=False)
    if isinstance(body, (Link, Compress, Reconsider, Alike, Compare, Borne, Holds, Told)) or (
        isinstance(body, Answer) and not body.to_proposal and not body.releases
    ):
        return Step(None, changed=False)  # news for a customer who is not there
    raise ProtocolError(f"{type(body).__name__} for node {message.to.hex()}, which has no record")
