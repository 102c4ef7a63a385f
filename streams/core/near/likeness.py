"""Who may be the same person as a customer: what its root remembers of that, through merges and splits.

A likeness is kept at one root of the two, by one identifier of each. It goes with our identifier. An operator's
*different* is kept for ever and at whatever root that identifier comes to; it binds near matches only: a signal that
names both still links them, as it does any two.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from schemas.identifiers import NODE_BYTES
from streams.core.cuts import CUT
from streams.core.near.compare import DIFFERS, FIELDS, NEAR, SAME, SIMILAR
from streams.core.near.messages import Distinguished, Holds, Matched
from streams.core.state import Likeness, Ordered, Proof, Root

if TYPE_CHECKING:
    from streams.core.turn import Turn

# The source of links that were made by themselves.
NEAR_MATCH: Final = "near-match"

# Likenesses of one customer that nobody has judged, and as many that others hold: beyond them the least probable is
# dropped. More are a name and a birthday that many share, and no person looks at the seventeenth.
MAX_LIKENESSES = 16
# People that operators have told apart from one customer; nothing of it is ever dropped.
MAX_DIFFERENT = 64


class Stage(IntEnum):
    """How far a likeness is."""

    THEIRS = -1  # the other customer holds the pair, and is told should this one be erased
    WEIGHING = 0  # the near stage is asked whether all records of both bear it
    UNBORNE = 1  # they do not
    OPEN = 2  # a person may answer
    AGAIN = 3  # open, and weighed again since records have changed
    LINKING = 4  # by itself
    DIFFERENT = 5  # an operator says that they are two


_TOLD = frozenset({Stage.OPEN, Stage.AGAIN, Stage.LINKING})

_WORDS: Mapping[int, str] = {SAME: "same", NEAR: "near", SIMILAR: "similar", DIFFERS: "differs"}


def pair_id(one: bytes, other: bytes) -> bytes:
    """Return the id of a pair, whichever is named first."""
    return blake2b(min(one, other) + max(one, other), digest_size=NODE_BYTES).digest()


def agreement(pattern: bytes) -> dict[str, str]:
    """Return a pattern in words: what agrees, and how; what a side lacks is left out."""
    return {field.name: _WORDS[level] for field, level in zip(FIELDS, pattern, strict=False) if level in _WORDS}


def told_apart(root: Root, members: Iterable[bytes]) -> bool:
    """Say whether an operator has told a customer with these identifiers apart from this one."""
    known = root.likenesses
    return any(node in known and known[node].stage == Stage.DIFFERENT for node in members)


def different_from(root: Root) -> list[bytes]:
    """Return the identifiers of people that an operator has told apart from this customer."""
    return [other for other, likeness in root.likenesses.items() if likeness.stage == Stage.DIFFERENT]


def tell(turn: "Turn", other: bytes, found: Likeness, state: str, *, by: str = "", taught: bool | None = None) -> None:
    """Tell the world what has become of a likeness."""
    turn.events.append(
        Matched(
            found.ours,
            other,
            turn.root.node,
            state,
            found.match,
            found.household,
            found.pattern,
            found.limit,
            by,
            found.at_ms,
            taught if found.pattern else None,
        )
    )


def make_room(turn: "Turn") -> None:
    """Drop the least probable likenesses that are too many; what an operator said stays."""
    known = turn.root.likenesses
    for theirs in (False, True):
        of_kind = [k for k, v in known.items() if v.stage != Stage.DIFFERENT and (v.stage == Stage.THEIRS) is theirs]
        of_kind.sort(key=lambda k: (known[k].match, k))
        for least in of_kind[: max(0, len(of_kind) - MAX_LIKENESSES)]:
            drop(turn, least, known.pop(least))


def drop(turn: "Turn", other: bytes, found: Likeness) -> None:
    """Tell that a likeness is no more, if the world knew of it."""
    if found.stage in _TOLD:
        tell(turn, other, found, "gone")


def withdraw(turn: "Turn", members: Iterable[bytes]) -> bool:
    """Drop what was asked on a customer that an operator has parted, or told apart; return whether there was any."""
    known = turn.root.likenesses
    gone = [node for node in members if node in known and known[node].stage != Stage.DIFFERENT]
    for node in gone:
        drop(turn, node, known.pop(node))
    return bool(gone)


def unite(turn: "Turn", other: Root, proof: Proof, ruling: str) -> None:
    """Take in the likenesses of a customer that was absorbed; those between both are settled.

    What a signal or an operator has proved teaches; what was linked by itself would confirm its own opinion.
    """
    known = turn.root.likenesses
    for node, likeness in other.likenesses.items():
        ours = known.get(node)
        if ours is None:
            known[node] = likeness
            continue
        # Both were like the same third: one question is enough, the one that is further.
        more, less = sorted((ours, likeness), key=lambda each: (each.stage, each.match, each.ours), reverse=True)
        drop(turn, node, less)
        known[node] = more
    for node in [node for node in known if node in turn.root.members]:
        if known[node].stage == Stage.DIFFERENT and not ruling:
            continue  # should they be parted again, the operator's word still holds
        found = known.pop(node)
        if found.stage not in _TOLD:
            continue
        if proof.source == NEAR_MATCH and not ruling:
            tell(turn, node, found, "linked", by=NEAR_MATCH)
        else:
            tell(turn, node, found, "linked", by=ruling or proof.signal_id, taught=True)
    make_room(turn)


def share(old: Root, group: Iterable[bytes]) -> dict[bytes, Likeness]:
    """Return the likenesses that go with a part."""
    kept = frozenset(group)
    return {other: likeness for other, likeness in old.likenesses.items() if likeness.ours in kept}


def refused(turn: "Turn", theirs: bytes, limit: str) -> None:
    """Let a person answer what could not be linked by itself; a cut is an answer already."""
    found = turn.root.likenesses.get(theirs)
    if found is None or found.stage != Stage.LINKING:
        return
    if limit == CUT:
        drop(turn, theirs, turn.root.likenesses.pop(theirs))
    else:
        found.stage, found.limit = Stage.OPEN, limit
        tell(turn, theirs, found, "open")


def on_holds(turn: "Turn", told: Holds) -> bool:
    """Remember who holds a pair with us, or end those with who was erased; return whether the record has changed."""
    known = turn.root.likenesses
    if told.erased:
        ended = [erased(turn, theirs) for theirs in told.erased]
        return any(ended)
    if told.other in known or told.other in turn.root.members:
        return False
    known[told.other] = Likeness(told.node, 0.0, 0.0, b"", turn.now_ms, Stage.THEIRS)
    make_room(turn)
    return told.other in known


def erased(turn: "Turn", theirs: bytes) -> bool:
    """End the question on a customer that was erased: nobody can answer it; an operator's *different* stays."""
    found = turn.root.likenesses.get(theirs)
    if found is None or found.stage == Stage.DIFFERENT:
        return False
    drop(turn, theirs, turn.root.likenesses.pop(theirs))
    return True


def end_all(turn: "Turn", nodes: list[bytes]) -> None:
    """End this customer's questions here and at whoever shares them: these nodes are erased."""
    for other, found in turn.root.likenesses.items():
        drop(turn, other, found)
        if found.stage != Stage.DIFFERENT:
            turn.send(other, Holds(other, found.ours, nodes))


def distinguish(turn: "Turn", ruling: Ordered) -> str | None:
    """Obey a ruling that two customers are two people; return why it has no effect."""
    root, ours, other = turn.root, ruling.node, ruling.other
    if other in root.members:
        return "same-customer"
    if len(different_from(root)) >= MAX_DIFFERENT:
        return "too-many"
    found = root.likenesses.get(other)
    if found is not None and found.ours != ours and found.stage != Stage.DIFFERENT:
        # The question was on another identifier of ours. It is answered; the word goes with the one that was named,
        # should a split part them one day.
        if found.stage in _TOLD:
            tell(turn, other, found, "different", by=ruling.id, taught=False)
        found = None
    if found is None:
        found = root.likenesses[other] = Likeness(ours, 0.0, 0.0, b"", turn.now_ms, Stage.DIFFERENT)
    found.stage = Stage.DIFFERENT
    tell(turn, other, found, "different", by=ruling.id, taught=False)
    turn.events.append(Distinguished(root.node, ours, other, ruling.id))
    return None
