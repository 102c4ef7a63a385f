"""Every rule of the identity protocol, broken once: the properties notice each.

A rule whose breach nothing notices is either not needed or not tested.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from streams.core import absorb, handshake, identity, turn
from streams.core.limits import add, broken_limit, count_members
from streams.core.links import Absorb, Answer, Compress, Deliver, Joined, Link, Merged, Message, Propose, Step
from streams.core.state import Alias, Promise, Root, encode
from streams.core.turn import ProtocolError, Stage, Turn
from tests.property.identity_world import ViolationError, fuzz

# Each mutation is found within the first few hundred graphs; most within ten.
GRAPHS = 2_500

Mutation = Callable[[pytest.MonkeyPatch], None]


def replaced(module: object, name: str, make: Callable[[Any], Any]) -> Mutation:
    """Return a mutation that replaces a function by what ``make`` makes of it, wherever it is named."""

    def mutate(monkeypatch: pytest.MonkeyPatch) -> None:
        original = getattr(module, name)
        changed = make(original)
        for part in (absorb, handshake, identity, turn):
            if getattr(part, name, None) is original:
                monkeypatch.setattr(part, name, changed)
        for body, handler in identity._HANDLERS.items():
            if handler is original:
                monkeypatch.setitem(identity._HANDLERS, body, changed)

    return mutate


def travels_without(field: str) -> Mutation:
    """Return a mutation in which a root that moves leaves something behind."""

    def without(root: Root) -> bytes:
        return encode(msgspec.structs.replace(root, **{field: {}}))

    return replaced(handshake, "encode", lambda _: without)


def turns(module: object, name: str, edit: Callable[[Turn, Any], None]) -> Mutation:
    """Return a mutation that edits what came of a handler's turn."""

    def make(original: Callable[..., None]) -> Callable[..., None]:
        def changed(turn_: Turn, body: Any, *args: Any, **kwargs: Any) -> None:
            original(turn_, body, *args, **kwargs)
            edit(turn_, body)

        return changed

    return replaced(module, name, make)


def advance_although_it_moves(turn_: Turn) -> None:
    proposal, turn_.root.proposal = turn_.root.proposal, None
    if turn_.root.waiting:
        if proposal is None and not turn.is_tied(turn_.root):
            handshake._propose(turn_)
    elif handshake._answer_asked(turn_):
        handshake._place_claims(turn_)
    turn_.root.proposal = turn_.root.proposal or proposal


def refuse_what_might_fit(turn_: Turn) -> bool:
    root = turn_.root
    counts = add(turn.count_sure(root), turn.count_offers(root))
    for other, asked in list(root.asked.items()):
        del root.asked[other]
        if limit := broken_limit(turn_.rules, counts, asked.counts):
            turn.refuse(turn_, asked.proof, other, limit)
            turn_.answer_proposal(other, asked, "refuse", limit)
        else:
            counts = add(counts, asked.counts)
            root.promises[other] = Promise(asked.counts, asked.proof)
            turn_.answer_proposal(other, asked, "accept")
    return True


def drop(kind: type) -> Mutation:
    """Return a mutation in which an alias does not forward messages of a kind."""

    def make(original: Callable[[Alias, Message], Step]) -> Callable[[Alias, Message], Step]:
        return lambda alias, message: Step(alias) if isinstance(message.body, kind) else original(alias, message)

    return replaced(identity, "forward", make)


def contact(edit: Callable[[Step], Step]) -> Mutation:
    """Return a mutation of what an unknown node does."""
    return replaced(identity, "_first_contact", lambda original: lambda *args: edit(original(*args)))


def unreleased(turn_: Turn, _: Any) -> None:
    turn_.messages[:] = [
        m._replace(body=m.body._replace(releases=False)) if isinstance(m.body, (Answer, Propose)) else m
        for m in turn_.messages
    ]


def forget_events(kind: type) -> Callable[[Turn, Any], None]:
    def edit(turn_: Turn, _: Any) -> None:
        turn_.events[:] = [event for event in turn_.events if not isinstance(event, kind)]

    return edit


def drop_sent(kind: type) -> Callable[[Turn, Any], None]:
    def edit(turn_: Turn, _: Any) -> None:
        turn_.messages[:] = [message for message in turn_.messages if not isinstance(message.body, kind)]

    return edit


def compress_in_a_circle(root: Root, via: bytes, hops: int) -> tuple[Message, ...]:
    return (Message(via, root.node, Compress(via)),) if hops > 1 else ()


def without_self_check(original: Callable[[Turn, Link], None]) -> Callable[[Turn, Link], None]:
    def on_link(turn_: Turn, link: Link) -> None:
        # As if the link came from a stranger of our rank.
        if link.root == turn_.root.node:
            link = link._replace(root=link.root + b"?")
        original(turn_, link)

    return on_link


def ask_again(original: Callable[..., bool]) -> Callable[..., bool]:
    def hold_claim(turn_: Turn, node: bytes, *args: Any) -> bool:
        turn_.root.refusals.pop(node, None)
        return original(turn_, node, *args)

    return hold_claim


MUTATIONS: dict[str, Mutation] = {
    "a root with a promise or an offer open proposes": replaced(turn, "is_tied", lambda _: lambda root: False),
    "a root with an offer open proposes": replaced(turn, "is_tied", lambda _: lambda root: bool(root.promises)),
    "a root with a promise open proposes": replaced(
        turn, "is_tied", lambda _: lambda root: any(c.stage == Stage.OFFERED for c in root.claims.values())
    ),
    "a root with a proposal open takes on more": replaced(handshake, "advance", lambda _: advance_although_it_moves),
    "promises are not counted": replaced(turn, "count_sure", lambda _: count_members),
    "offers are not counted": replaced(turn, "count_offers", lambda _: lambda root: {}),
    "limits are not checked": replaced(handshake, "forbids", lambda _: lambda *args: None),
    "a proposal is refused for what may lapse": replaced(handshake, "_answer_asked", lambda _: refuse_what_might_fit),
    "a claim is refused for what is only promised": lambda monkeypatch: monkeypatch.setattr(
        handshake, "count", turn.count_sure
    ),
    "equal times are not told apart by node": replaced(turn, "rank", lambda _: lambda root: (root.created_at_ms, b"")),
    "the rank is the node alone": replaced(turn, "rank", lambda _: lambda root: (0, root.node)),
    "facets stay behind": travels_without("facets"),
    "members stay behind": travels_without("members"),
    "waiting links stay behind": travels_without("waiting"),
    "unanswered proposals stay behind": travels_without("asked"),
    "held links stay behind": travels_without("claims"),
    "refusals stay behind": travels_without("refusals"),
    "the mover does not become an alias": turns(
        handshake, "on_answer", lambda turn_, answer: setattr(turn_, "record", turn_.root)
    ),
    "the mover sends nothing": turns(handshake, "on_answer", drop_sent(Absorb)),
    "an alias drops signals": drop(Deliver),
    "an alias drops links": drop(Link),
    "an alias drops proposals": drop(Propose),
    "an alias drops answers": drop(Answer),
    "a new node joins and does not say so": contact(lambda step: step._replace(messages=())),
    "a new node says that it joined and does not": contact(lambda step: step._replace(record=None)),
    "an offer is not answered": turns(handshake, "on_link", unreleased),
    "a link that comes back is taken for a stranger's": replaced(handshake, "on_link", without_self_check),
    "a promise is not redeemed": replaced(
        absorb,
        "on_absorb",
        lambda original: (
            lambda turn_, body: (
                kept := dict(turn_.root.promises),
                original(turn_, body),
                turn_.root.promises.update(kept),
            )
        ),
    ),
    "nothing follows an absorb": replaced(
        absorb,
        "on_absorb",
        lambda original: lambda turn_, body: _with(absorb, "advance", lambda _: None, original, turn_, body),
    ),
    "nothing follows an answer": replaced(
        handshake,
        "on_answer",
        lambda original: lambda turn_, answer: _with(handshake, "advance", lambda _: None, original, turn_, answer),
    ),
    "a larger root is not asked to come": replaced(
        handshake,
        "tie",
        lambda original: (
            lambda turn_, other, link: (
                None if (link.created_at_ms, other) > turn.rank(turn_.root) else original(turn_, other, link)
            )
        ),
    ),
    "a smaller root is not moved to": replaced(
        handshake,
        "tie",
        lambda original: (
            lambda turn_, other, link: (
                None if (link.created_at_ms, other) < turn.rank(turn_.root) else original(turn_, other, link)
            )
        ),
    ),
    "a refusal is not remembered": replaced(turn, "remember", lambda _: lambda *args: None),
    "a refused link is asked again": replaced(handshake, "hold_claim", ask_again),
    "a merge is not told": turns(absorb, "on_absorb", forget_events(Merged)),
    "a member's move is not told": turns(absorb, "on_absorb", forget_events(Joined)),
    "a new member is not told": turns(handshake, "on_answer", forget_events(Joined)),
    "a merge is told twice": turns(absorb, "on_absorb", lambda turn_, _: turn_.events.extend(tuple(turn_.events))),
    "pointers are compressed into a circle": replaced(identity, "shorten", lambda _: compress_in_a_circle),
    "pointers are not compressed": replaced(identity, "shorten", lambda _: lambda *args: ()),
    "a pointer that is told its root stays": replaced(identity, "repoint", lambda _: lambda alias, *args: Step(alias)),
}


def _with(module: object, name: str, value: object, call: Callable[..., None], *args: object) -> None:
    original = getattr(module, name)
    setattr(module, name, value)
    try:
        call(*args)
    finally:
        setattr(module, name, original)


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_properties_notice(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A protocol with one rule broken does not pass."""
    MUTATIONS[name](monkeypatch)
    # KeyError: a tie to who is not a member.
    with pytest.raises((ViolationError, ProtocolError, KeyError)):
        fuzz(GRAPHS)
