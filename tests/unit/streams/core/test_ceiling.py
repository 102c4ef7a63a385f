"""However many facets are filled on purpose, a customer fits into a record of Kafka, and what is decided by stays."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from models.scorers import ScorerSet
from schemas.identity_rules import MOST_MEMBERS, IdentityRules
from schemas.topics import STATE_MAX_BYTES
from streams.core.ceiling import BESIDE_BYTES, FREELY, MOST_BYTES, keep_below
from streams.core.customer import Brain, Effects, observe
from streams.core.cuts import MAX_CUTS
from streams.core.facet_state import MAX_CONTACTS, MAX_FACET_BYTES, MAX_OTHERS, Contact, Facet, Trait
from streams.core.golden_record import merge, moment_of
from streams.core.limits import MEMBERS, broken_limit
from streams.core.near.likeness import MAX_DIFFERENT, MAX_LIKENESSES
from streams.core.relations.declared import KINDS
from streams.core.relations.group import MAX_MEMBERS
from streams.core.state import (
    Asked,
    Chapter,
    Claim,
    Entered,
    Likeness,
    Member,
    Ordered,
    Proof,
    Refusal,
    Related,
    Root,
    Tie,
    Waiting,
    encode,
    size_of,
)
from streams.core.ties import MAX_TIES
from streams.core.turn import (
    MAX_ALSO,
    MAX_ASKED,
    MAX_CLAIMS,
    MAX_ORDERED,
    MAX_REFUSALS,
    MAX_STORY,
    MAX_WAITING,
)
from streams.core.validate import MAX_ID, MAX_IDENTIFIER, MAX_NAME
from tests.unit.streams.core.bots import bot
from tests.unit.streams.core.making import T

# Signals of the bot after which its facet has all that it may have.
FULL = 3_000


@pytest.fixture(scope="module")
def full() -> Facet:
    root, brain = Root(b"n" * 16, T, {b"n" * 16: Member("email", "x", T, "s")}), Brain(ScorerSet())
    for signal in bot(FULL):
        at_ms = signal["occurred_at_ms"]
        observe(root, b"n" * 16, signal, at_ms, stream_ms=at_ms, brain=brain, effects=Effects())
    facet = root.facets[b"n" * 16]
    word = "日" * 100
    for number, trait in enumerate(facet.traits.values()):
        # What four sources said, each at the bound.
        trait.others = [Trait("日" * 66, f"{number} {k}{word}"[:100], T - k, word) for k in range(MAX_OTHERS)]
    facet.contacts = [
        Contact(
            f"a{n}", f"d{n}", word, word, "email", word, T - n, False, word, T, T + 1, word, bytes(136), 0.5, 0.5, 1
        )
        for n in range(MAX_CONTACTS)
    ]
    return facet


def crowd(full: Facet, count: int) -> Root:
    """Return a customer of so many full facets, each last seen at another time."""
    root = Root(bytes(16), T)
    for number in range(count):
        node = number.to_bytes(16, "big")
        facet = copy.deepcopy(full)
        facet.node, facet.last_ms = node, full.last_ms - number
        root.members[node], root.facets[node] = Member("anonymous_id", f"a{number}", T, "s"), facet
    return root


def beside() -> Root:
    """Return a customer that has no facet, and of all else as much as there may be."""
    text, word, source = "日" * MAX_IDENTIFIER, "i" * MAX_ID, "s" * MAX_NAME

    def node(number: int) -> bytes:
        return number.to_bytes(16, "big")

    def times(count: int, one: Callable[[int], Any]) -> dict[bytes, Any]:
        return {node(number): one(number) for number in range(count)}

    proof = Proof(node(1), node(2), word, source, word)
    cuts = times(MAX_CUTS, lambda _: 1)
    member = Member("anonymous_id", text, T, word, T, source, text, T, T, cuts)
    tie = Tie(word, source, T)
    claim = Claim("anonymous_id", text, word, T, 3, node(1), source, text, word, times(MAX_ALSO, lambda _: tie))
    why = {node(1): Entered(word, source, T, True)}
    related = Related("referred_by", why, bytes(16 * MAX_MEMBERS), node(2), False, 9)
    alike = Likeness(node(1), 0.5, 0.5, bytes(9), T, 2, bytes(16), "email")
    return Root(
        node(0),
        T,
        members=times(MOST_MEMBERS, lambda _: member),
        claims=times(MAX_CLAIMS, lambda _: claim),
        waiting=times(MAX_WAITING, lambda _: Waiting(T, proof, [proof])),
        asked=times(MAX_ASKED, lambda _: Asked({"anonymous_id": 9, "email": 9}, proof)),
        refusals=times(MAX_REFUSALS, lambda _: Refusal(node(3), "anonymous_id", word, T, node(4))),
        ties={node(number) * 2: tie for number in range(MAX_TIES)},
        ordered=[Ordered(word, "different", node(1), node(2))] * MAX_ORDERED,
        story=[Chapter("merged", node(1), "日" * 500, word, word, T)] * MAX_STORY,
        likenesses=times(2 * MAX_LIKENESSES + MAX_DIFFERENT, lambda _: alike),
        # Of each identifier a group of each kind, and one of those who name it.
        relations=times(MOST_MEMBERS * (len(KINDS) + 1), lambda _: related),
    )


def test_all_beside_the_facets_has_its_place() -> None:
    """The ceiling counts on it: so many full facets and all of this fit without a look."""
    assert BESIDE_BYTES / 2 < len(encode(beside())) <= BESIDE_BYTES


def test_as_many_as_there_may_be_fit(full: Facet) -> None:
    """All full: the state stays below what Kafka takes, with room for the message around it."""
    assert size_of(full) <= MAX_FACET_BYTES
    root = crowd(full, MOST_MEMBERS)
    assert len(encode(root)) > STATE_MAX_BYTES
    assert keep_below(root) > 0
    assert len(encode(root)) <= MOST_BYTES < STATE_MAX_BYTES - 1_000_000
    assert keep_below(root) == 0


def test_what_is_decided_by_stays(full: Facet) -> None:
    """Counts, windows, money, consent, contacts, labels and ids are those of before; texts are fewer."""
    root = crowd(full, MOST_MEMBERS)
    before = merge(copy.deepcopy(root), moment_of(root))
    labels = {node: (f.pending, f.contacts, f.recent_ids) for node, f in copy.deepcopy(root).facets.items()}
    keep_below(root)
    after = merge(root, moment_of(root))
    assert {node: (f.pending, f.contacts, f.recent_ids) for node, f in root.facets.items()} == labels
    assert after.history.rolled() == before.history.rolled()
    assert (after.history.counts, after.history.decayed) == (before.history.counts, before.history.decayed)
    assert (after.value, after.flags) == (before.value, before.flags)
    assert {key: c.granted for key, c in after.consent.items()} == {key: c.granted for key, c in before.consent.items()}


def test_the_longest_unseen_give_up_first(full: Facet) -> None:
    """And only as many as it takes."""
    root = crowd(full, FREELY + 4)
    gave = keep_below(root, most_bytes=size_of(full) * FREELY)
    spared = {node for node, facet in root.facets.items() if facet.traits == full.traits}
    assert 0 < gave < len(root.facets)
    assert spared == {number.to_bytes(16, "big") for number in range(FREELY + 4 - gave)}


def test_few_facets_are_not_even_measured(full: Facet) -> None:
    """So many fit, however full: nothing is taken from them."""
    root = crowd(full, FREELY)
    before = encode(root)
    assert len(before) <= MOST_BYTES
    assert keep_below(root, most_bytes=1) == 0
    assert encode(root) == before


def test_a_customer_has_so_many_identifiers_and_no_more() -> None:
    """Of all kinds together, those without a limit of their own included; marks of cuts are no identifiers."""
    rules = IdentityRules(limits={})
    assert broken_limit(rules, {"email": 70, "cut:0a:0": 1}, {"phone": 5}) is None
    assert broken_limit(rules, {"email": 70}, {"phone": 6}) == MEMBERS
    assert broken_limit(rules, {"phone": 6}, {"email": 70}) == MEMBERS
    assert sum(IdentityRules().limits.values()) < IdentityRules().members
