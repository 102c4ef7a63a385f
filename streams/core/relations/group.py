"""A group at its own node: who is in it, told to all in it at each change, and the places under a household's cap.

A group knows identifiers, as their traits say, and at which customer each is. Merges and splits move identifiers and
change nothing else. All that is for a group goes through the log, also on its own partition; so what caused a message
stands before it, and a *leave* can never overtake the *enter*.

What a group tells may be overtaken on its way along the pointers; versions put it right.
"""

from streams.core.links import Crowded, Message, Rule, Step, Void
from streams.core.relations.messages import Ask, Belong, Place, Release, Told
from streams.core.state import Grant, Group, Mate, NodeRecord
from streams.core.turn import ProtocolError

# More identifiers are no household: a dormitory, a hotel, a value like "Tehran" or "none". A crowded group is shown as
# such, used in nothing, and remembers nobody; it stays crowded.
MAX_MEMBERS = 32
# Grants remembered, the newest: caps are at most 50 a week (catalogue.schema.json), and late answers look back.
MAX_GRANTS = 64
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS


def handle(record: NodeRecord | None, message: Message) -> Step:
    """Handle a message at a group.

    Raises
    ------
    ProtocolError
        the message cannot be, given the record; nothing was changed
    """
    body = message.body
    if isinstance(body, Belong) and record is None:
        if body.verb != "enter":
            return Step(None, changed=False)  # nobody has named who seeks
        record = Group(body.kind, of=body.of)
    if not isinstance(record, Group):
        raise ProtocolError(f"{type(body).__name__} for {message.to.hex()}, which is no group")
    match body:
        case Belong():
            return _belong(record, message.to, body)
        case Ask():
            return _ask(record, message.to, body)
        case Release():
            kept = [grant for grant in record.grants if grant.id != body.id]
            changed, record.grants = len(kept) < len(record.grants), kept
            return Step(record, changed=changed)
        case Rule():
            void = Void(body.node, body.node, "unknown-customer", body.id)
            return Step(record, events=(void,), changed=False)
    raise ProtocolError(f"{type(body).__name__} at group {message.to.hex()} is for a customer")


def _belong(group: Group, here: bytes, belong: Belong) -> Step:
    members, node = group.members, belong.node
    if group.crowded:
        told = (_told(group, here, node),) if belong.verb == "enter" else ()
        return Step(group, told, changed=False)
    if belong.verb == "seek":
        return Step(group, () if node in members else (_told(group, here, node),), changed=False)
    if belong.verb == "leave":
        if members.pop(node, None) is None:
            return Step(group, changed=False)
    elif belong.verb == "move" and node not in members:
        return Step(group, changed=False)
    else:
        members[node] = Mate(belong.root, belong.refers)
    group.version += 1
    news = _tell(group, here)
    return Step(group, news, (Crowded(here, group.kind),) if group.crowded else ())


def _tell(group: Group, here: bytes) -> tuple[Message, ...]:
    """Tell each customer in the group once, by one of its identifiers, and ask a referrer to enter."""
    by_root: dict[bytes, bytes] = {}
    for node in sorted(group.members):
        by_root.setdefault(group.members[node].root, node)
    nodes = list(by_root.values())
    if group.of and group.of not in group.members and nodes:
        nodes.append(group.of)
    if len(group.members) > MAX_MEMBERS:
        group.crowded, group.members, group.grants = True, {}, []
    return tuple(_told(group, here, node) for node in nodes)


def _told(group: Group, here: bytes, node: bytes) -> Message:
    mates = sorted({mate.root for mate in group.members.values() if not mate.refers})
    referrer = group.members.get(group.of)
    of = referrer.root if referrer is not None else group.of
    told = Told(node, here, group.kind, b"".join(mates), of, group.crowded, group.version)
    return Message(node, here, told)


def _ask(group: Group, here: bytes, ask: Ask) -> Step:
    """Grant a place, or deny it; with several households all must grant."""
    by = b"" if group.crowded else _against(group, ask)
    if by:
        back = tuple(Message(other, here, Release(ask.id), by_log=True) for other in ask.held)
        place = Place(ask.node, ask.id, ask.trigger, ask.signal, ask.at_ms, False, here, by, [])
        return Step(group, (*back, Message(ask.node, here, place)), changed=False)
    if not group.crowded:
        group.grants.append(Grant(ask.id, ask.at_ms, ask.root))
        group.grants.sort(key=lambda grant: (-grant.at_ms, grant.id))
        del group.grants[MAX_GRANTS:]
    held = [*ask.held, here]
    if ask.rest:
        onward = ask._replace(rest=ask.rest[1:], held=held)
        return Step(group, (Message(ask.rest[0], here, onward, by_log=True),))
    place = Place(ask.node, ask.id, ask.trigger, ask.signal, ask.at_ms, True, b"", b"", held)
    return Step(group, (Message(ask.node, here, place),))


def _against(group: Group, ask: Ask) -> bytes:
    """Return whose offer stands against another one, b"" where none does.

    Partitions' clocks differ, so a grant counts that lies less than the window before or after.
    """
    for most, window_ms in ((ask.day, DAY_MS), (ask.week, WEEK_MS)):
        if most is None:
            continue
        near = [grant for grant in group.grants if abs(grant.at_ms - ask.at_ms) < window_ms]
        if len(near) >= most:
            return near[0].root if near else ask.root
    return b""
