"""Whose a record is, and how what is held is written down."""

from typing import Any

import orjson

from connectors.privacy.export import OF_TOPICS, whole
from connectors.privacy.theirs import Theirs
from schemas.codecs import Codecs
from schemas.identifiers import Hasher, Identifier
from schemas.identity_rules import IdentityRules
from schemas.topics import DEAD_LETTERS, TOPICS
from tests.peers.delivery import action
from tests.property.cluster import START_MS, page_view

HASHER = Hasher(b"k" * 32)
CODECS = Codecs(lambda name: name)
SARA = HASHER.node(Identifier("email", "sara@example.com"))
MEMBER = {"node": SARA.hex(), "kind": "email", "value": "sara@example.com", "original": 'Sara "S"@Example.com'}
PROFILE = {"customer": SARA.hex(), "members": [MEMBER], "consent": [{"purpose": "marketing", "at_ms": START_MS}]}


def theirs() -> Theirs:
    return Theirs(PROFILE, CODECS, HASHER, IdentityRules())


def picked(topic: str, raw: bytes) -> dict[str, Any] | None:
    _, pick = theirs().topics[topic]
    return pick(raw)


def letter(topic: str, value: bytes | None, key: bytes | None = None) -> bytes:
    fields = {"code": "bad-name", "detail": "", "stage": "customers", "partition": 0, "offset": 1, "at_ms": START_MS}
    return CODECS.of(DEAD_LETTERS).encode({**fields, "topic": topic, "key": key, "value": value})


def test_a_signal_that_names_them_in_any_spelling_is_theirs() -> None:
    """Also where it belongs to somebody else and names them besides."""
    for names in ([("email", " SARA@example.com")], [("user_id", "omid"), ("email", "sara@example.com")]):
        assert picked("signals.web", page_view(1, names, START_MS)) is not None
    assert picked("signals.web", page_view(1, [("email", "omid@example.com")], START_MS)) is None
    outcome = page_view(1, [("customer_id", SARA.hex())], START_MS)
    assert picked("signals.web", outcome) is not None


def test_what_cannot_be_read_stops_nothing() -> None:
    assert picked("signals.web", b"\xc3\x01 not avro") is None
    assert picked("signals.web", page_view(1, [("email", "no address")], START_MS)) is None


def test_actions_and_decisions_are_by_customer() -> None:
    mine = action(1, customer=SARA)
    assert (picked("actions.email", CODECS.of("actions.email").encode(mine)) or {})["address"] == mine["address"]
    assert picked("actions.email", CODECS.of("actions.email").encode(action(2))) is None


def test_dead_letters_of_theirs_whatever_they_hold() -> None:
    """A signal or an action that failed, opened; what no codec takes, by its raw bytes; without bytes, by its node."""
    signal = page_view(1, [("email", "sara@example.com")], START_MS)
    found = picked(DEAD_LETTERS, letter("signals.web", signal))
    assert found is not None
    assert found["value"]["identifiers"][0]["value"] == "sara@example.com"
    sent = CODECS.of("actions.email").encode(action(1, customer=SARA))
    assert picked(DEAD_LETTERS, letter("actions.email", sent)) is not None
    raw = orjson.dumps({"userId": 'Sara "S"@Example.com'})
    found = picked(DEAD_LETTERS, letter("/v1/track", raw + b"\xff"))
    assert found is not None
    assert found["value"].endswith("\ufffd")
    assert picked(DEAD_LETTERS, letter("signals.web", None, SARA)) is not None
    other = page_view(1, [("email", "omid@example.com")], START_MS)
    for value in (other, b"{}", None):
        assert picked(DEAD_LETTERS, letter("signals.web", value, b"o" * 16)) is None


def test_every_topic_that_others_read_is_looked_at() -> None:
    named = theirs().topics
    assert {topic for topic in TOPICS if topic.startswith(("signals.", "actions."))} <= named.keys()
    assert {section for section, _ in named.values()} == set(OF_TOPICS)


def test_the_document_is_for_people_and_programs() -> None:
    """Dates beside milliseconds; nodes as hex; nothing that JSON does not have; times that no calendar holds, too."""
    strange = {"at_ms": 10**17, "node": SARA, "flags": (True, None)}
    document = whole(PROFILE, {"signals": [strange]}, at_ms=START_MS)
    assert orjson.loads(orjson.dumps(document)) == document
    assert document["signals"] == [{"at_ms": 10**17, "at": str(10**17), "node": SARA.hex(), "flags": [True, None]}]
    assert document["consent"][0]["at"] == "2023-11-14T22:13:20.000Z"
    assert document.keys() >= set(OF_TOPICS)
