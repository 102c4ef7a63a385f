"""Erasure: a customer is forgotten, and each of its identifiers is refused from then on.

An operator's ruling *erase* goes to the customer of its node as every ruling does, and waits until no handshake of that
customer is open. Then the root forgets all that it holds, and so does every member's record (*erase*): what remains
under each node is that it was erased, and by which ruling. What the world needs to know is in the event ``Forgotten``.

What had become one customer before is erased with it, and nothing else:

- A root that was promised a place has accepted to be part of this customer, on evidence and within limits; its state is
  on its way and it is an alias already. The erasure waits for it and erases it, too: to leave it out would leave half
  of a person. A root that has proposed itself waits for the answer; accepted, it takes the ruling along.
- While a ruling waits, the root promises nothing and asks for nothing (``handshake.advance``). So the wait ends, and
  the customer does not grow by anything but what was settled before.
- Who has asked to come is refused, whom we would have gone to is told, and a link that comes later is refused by the
  node itself, all with the limit ERASED: no claim on an erased identifier stays open anywhere, nor its value.

A message that was on its way when the customer was erased finds ``Erased`` and ends there: a link or a proposal is
refused, a ruling is void, a signal is a dead letter (the agent's work), news for who is no more is dropped. One about a
node that had left the customer in a split goes on to that node, as at a root. An answer to a proposal or an offer, an
absorbed state and a split's part cannot arrive: the erasure has waited for each of them.

A node that nobody has seen is marked as well. So in a replay, which obeys rulings first, what was erased stays erased;
for that the ruling is repeated for every node of the customer (``outgoing.of_events``).
"""

from itertools import chain
from typing import Final

from streams.core.cuts import ERASED
from streams.core.links import (
    Answer,
    Compress,
    Erase,
    Forgotten,
    Link,
    Message,
    Propose,
    Reconsider,
    Refused,
    Repoint,
    Rule,
    Step,
    Void,
)
from streams.core.near import likeness
from streams.core.near.carding import withdrawn
from streams.core.near.messages import Alike, Borne, Compare, Holds
from streams.core.relations.messages import Place, Told
from streams.core.relations.places import releases
from streams.core.relations.related import leave_all
from streams.core.state import Erased, Ordered, Proof
from streams.core.turn import ProtocolError, Turn

# The operator's order.
ERASE: Final = "erase"


def erase(turn: Turn, ruling: Ordered) -> None:
    """Forget a customer. No proposal, promise or offer of its own is open.

    What else was ruled on it and is not obeyed yet has no effect: its outcome is told here.
    """
    root = turn.root
    for other, asked in root.asked.items():
        turn.answer_proposal(other, asked, "refuse", ERASED)
    for proof in chain.from_iterable((waiting.proof, *waiting.also) for waiting in root.waiting.values()):
        turn.note_refusal(proof, ERASED)
    for claim in root.claims.values():
        if claim.ruling:
            turn.void(claim.by, ERASED, claim.ruling)
    for more in root.ordered:
        if more.node not in root.members:  # it has just left
            turn.send(more.node, Rule(more.id, more.kind, more.node, more.other))
        elif more.id:  # a suspension is our own order
            turn.void(more.node, ERASED, more.id)
    nodes = sorted(root.members)
    turn.events.extend(withdrawn(root))
    likeness.end_all(turn, nodes)
    leave_all(turn)
    for node in nodes:
        if node != root.node:
            turn.send(node, Erase(ruling.id))
    turn.events.append(Forgotten(root.node, tuple(nodes), ruling.node, ruling.id))
    turn.record = Erased(turn.now_ms, ruling.id)
    root.members = {}  # who goes on with this turn finds nobody: a pointer must not be shortened to us


def forget(ruling: str, now_ms: int) -> Step:
    """Return what becomes of an alias of a customer that is erased."""
    return Step(Erased(now_ms, ruling))


def mark(rule: Rule, now_ms: int) -> Step:
    """Return what a ruling leaves at a node that nobody has seen: it is refused from then on."""
    return Step(Erased(now_ms, rule.id), events=(Forgotten(rule.node, (rule.node,), rule.node, rule.id),))


def at_erased(erased: Erased, message: Message) -> Step:
    """Handle a message at a node that was erased; it is about this very node or about nobody.

    Raises
    ------
    ProtocolError
        for what the erasure has waited for: it cannot be
    """
    match message.body:
        case Link() as link:
            proof = Proof(link.node, link.by, link.signal_id, link.source, link.ruling)
            return _refused(erased, message.to, link.root, proof, releases=link.offer)
        case Propose() as propose if not propose.releases:
            proof = Proof(propose.theirs, propose.node, propose.signal_id, propose.source, propose.ruling)
            return _refused(erased, message.to, propose.root, proof, to_proposal=True)
        case Rule() as rule:
            # Repeated for every node, the erasing ruling itself comes again.
            void = () if rule.id == erased.ruling else (Void(message.to, rule.node, ERASED, rule.id),)
            return Step(erased, events=void, changed=False)
        case Answer() as answer if not (answer.to_proposal or answer.releases):
            return Step(erased, changed=False)
        case Place() as place:
            return Step(erased, releases(place, message.to), changed=False)
        case Holds() as held if not held.erased:
            gone = Holds(held.other, held.node, [held.node])
            return Step(erased, (Message(held.other, message.to, gone),), changed=False)
        case Compress() | Repoint() | Reconsider() | Erase() | Alike() | Compare() | Borne() | Holds() | Told():
            return Step(erased, changed=False)
    raise ProtocolError(f"{type(message.body).__name__} for node {message.to.hex()}, which was erased")


def _refused(
    erased: Erased, node: bytes, to: bytes, proof: Proof, *, releases: bool = False, to_proposal: bool = False
) -> Step:
    """Refuse a link or a proposal; ``proof`` is ours, ``to`` the root that asked."""
    answer = Answer(
        node,
        erased.since_ms,
        proof.ours,
        "refuse",
        ERASED,
        to_proposal=to_proposal,
        releases=releases,
        signal_id=proof.signal_id,
        theirs=proof.theirs,
        source=proof.source,
        ruling=proof.ruling,
    )
    refused = Refused(to, node, ERASED, proof.signal_id)
    return Step(erased, (Message(to, node, answer),), (refused,), changed=False)
