"""What protects a customer stays on both sides of a split."""

from typing import Any

from schemas.identity_rules import IdentityRules
from streams.core import identity
from streams.core.facet_state import Contact, Facet
from streams.core.golden_record import merge
from streams.core.kept import keep, unite, with_contacts
from streams.core.links import Found, Message, Rule
from streams.core.state import Alias, Root, Tie, decode, encode
from streams.core.ties import pair
from tests.unit.streams.core.making import DAY, T, consent, customer, folded, look

A, B = b"a" * 16, b"b" * 16
MARKETING = "marketing|email"


def contact(number: int, at_ms: int, **fields: Any) -> Contact:
    values: dict[str, Any] = {
        "action_id": f"a{number}", "decision_id": "d", "action": "offer", "treatment": "t", "channel": "email",
        "purpose": "marketing", "at_ms": at_ms, "control": False, "outcome": "", "outcome_at_ms": 0,
        "reward_due_ms": at_ms + DAY, "goal": "order", "features": b"12345678", "propensity": 0.5, "predicted": 0.1,
        "version": 1,
    }  # fmt: skip
    return Contact(**values | fields)


def tied(*facets: Facet) -> Root:
    root = customer(*facets)
    root.ties[pair(*root.members)] = Tie("s", "shop", T)
    return root


def parted(root: Root, at_ms: int) -> tuple[Root, Root]:
    """Cut a customer of two identifiers; return both parts."""
    rule = Rule("r1", "cut", A, B)
    step = identity.handle(root, Message(root.node, root.node, rule), now_ms=at_ms, rules=IdentityRules())
    (found,) = [message for message in step.messages if isinstance(message.body, Found)]
    alias = Alias(root.node, T)
    part = identity.handle(alias, found, now_ms=at_ms, rules=IdentityRules()).record
    assert isinstance(step.record, Root)
    assert isinstance(part, Root)
    assert isinstance(decode(found.body.root_state), Root)  # type: ignore[union-attr]  # a Found
    return step.record, part


def test_a_withdrawal_holds_on_both_sides_until_a_grant_after_the_split() -> None:
    root = tied(folded(consent(True, at=T), node=A), folded(consent(False, at=T + 10), node=B))
    for part in parted(root, T + 100):
        assert not merge(part, T + 200).consent[MARKETING].granted
    again = tied(folded(consent(True, at=T), node=A), folded(consent(False, at=T + 10), node=B))
    first, second = parted(again, T + 100)
    one = first if A in first.members else second
    one.facets[A] = folded(consent(True, at=T), consent(True, at=T + 50), node=A)
    assert not merge(one, T + 200).consent[MARKETING].granted, "given before anybody knew of the split"
    one.facets[A] = folded(consent(True, at=T), consent(True, at=T + 150), node=A)
    assert merge(one, T + 200).consent[MARKETING].granted


def test_a_proof_stays_with_who_gave_it() -> None:
    """The other side keeps the fact; an erasure of who gave it leaves none of their words anywhere."""
    root = tied(folded(consent(False, at=T), node=A), folded(look("y"), node=B))
    proof = root.facets[A].consent[MARKETING].proof
    assert proof
    for part in parted(root, T + 100):
        own = A in part.members
        seen = merge(part, T + 200).consent[MARKETING]
        assert (seen.granted, seen.at_ms, seen.proof) == (False, T, proof if own else "")
        assert (proof.encode() in encode(part)) is own


def test_what_was_granted_does_not_spread() -> None:
    """Most restrictive on both sides: a grant stays where it was given."""
    root = tied(folded(consent(True, at=T), node=A), folded(look("x"), node=B))
    sides = {next(iter(part.members)): merge(part, T + 200).consent for part in parted(root, T + 100)}
    assert sides[A][MARKETING].granted
    assert MARKETING not in sides[B]


def test_contacts_count_on_both_sides_once_and_closed() -> None:
    one, other = folded(look("x"), node=A), folded(look("y"), node=B)
    one.contacts, other.contacts = [contact(1, T + 5)], [contact(2, T + 9), contact(3, T + 7, control=True)]
    for part in parted(tied(one, other), T + 100):
        contacts = merge(part, T + 200).contacts
        assert [c.action_id for c in contacts if not c.control] == ["a2", "a1"], "newest first, of both"
        own = {c.action_id for facet in part.facets.values() for c in facet.contacts}
        for seen in contacts:
            assert (seen.reward_due_ms != 0) == (seen.action_id in own), "a question is open on one side only"
    assert [c.action_id for c in one.contacts] == ["a1"], "the facets are as they were"


def test_what_was_kept_outlives_the_next_split_and_a_merge() -> None:
    root = tied(folded(consent(False, at=T), node=A), folded(look("y"), node=B))
    first, second = parted(root, T + 100)
    kept = [part.kept for part in (first, second)]
    assert all(each is not None and MARKETING in each.consent for each in kept)
    united = unite(*kept)
    assert united is not None
    assert united.consent[MARKETING].since_ms == T + 100
    whole = customer(folded(look("y"), node=B))
    whole.kept = united
    again = keep(whole, {B}, T + 500)
    assert again is not None
    assert again.consent[MARKETING].since_ms == T + 100, "kept since the first split, not since the last"


def test_nothing_to_keep_costs_nothing() -> None:
    root = tied(folded(look("x"), node=A), folded(look("y"), node=B))
    assert [part.kept for part in parted(root, T + 100)] == [None, None]
    contacts = [contact(1, T)]
    assert with_contacts(None, contacts) is contacts
