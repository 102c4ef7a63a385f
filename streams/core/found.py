"""After a split: an alias becomes the root of a part, others learn where they belong."""

import msgspec

from schemas.identity_rules import IdentityRules
from streams.core.handshake import advance, tie
from streams.core.links import Compress, Found, Joined, Repoint, Step
from streams.core.state import Alias, Root, decode
from streams.core.turn import ProtocolError, Turn


def become_root(node: bytes, found: Found, *, now_ms: int, rules: IdentityRules) -> Step:
    """Make an alias the root of the part that it was sent.

    Raises
    ------
    ProtocolError
        the part cannot be read or is another node's
    """
    try:
        root = decode(found.root_state)
    except msgspec.DecodeError as exc:
        raise ProtocolError(f"the part that came for {node.hex()} cannot be read: {exc}") from exc
    if not isinstance(root, Root) or root.node != node:
        raise ProtocolError(f"the part that came for {node.hex()} is another's")
    turn = Turn(root, rules, now_ms)
    turn.events.extend(Joined(each, node, member.kind) for each, member in root.members.items())
    waiting, root.waiting = root.waiting, {}
    for to, link in waiting.items():  # whom we wait for may be larger than we are now
        tie(turn, to, link)
    advance(turn)
    return turn.step()


def repoint(alias: Alias, news: Compress | Repoint, now_ms: int) -> Step:
    """Let an alias point at its root."""
    if news.root == alias.to:
        return Step(alias, changed=False)
    return Step(Alias(news.root, now_ms))
