"""What a record of the past tells the new generation."""

from typing import Any

from deploy.rebuild.past import Lay, Past, marks_of
from schemas.codecs import Codecs
from schemas.identifiers import Hasher, Identifier
from schemas.identity_rules import IdentityRules
from schemas.wire import codec_of
from streams.agents.naming import Namer
from streams.agents.routing import Owner

HASHER = Hasher(b"k" * 32)
OWNER = Owner(4)


NOBODY = [{"kind": "email", "value": "x"}]
NOW_MS = 1_700_000_000_000


def past(since_ms: int = 0) -> Past:
    return Past(Codecs(str), Namer(HASHER, IdentityRules()), OWNER, since_ms=since_ms)


def signal(**more: Any) -> bytes:
    names = [{"kind": "anonymous_id", "value": "a"}, {"kind": "email", "value": "sara@example.com"}]
    head = {"id": "s", "kind": "behaviour", "name": "product_viewed", "channel": "web", "source": "shop"}
    times = {"occurred_at_ms": NOW_MS, "received_at_ms": NOW_MS, "context": {}, "behaviour": {"item_id": "i"}}
    return codec_of("signal").encode({**head, "identifiers": names, **times, **more})


def test_a_signal_goes_to_its_strongest_identifier_by_the_new_rules() -> None:
    told = past().tell(Lay("signals.web", 1, 7, 42, signal()))
    assert told is not None
    node = HASHER.node(Identifier("email", "sara@example.com"))
    assert (told.key, told.partition) == (node, OWNER.partition_of(node))
    said = codec_of("replay").decode(told.value)
    assert (said["kind"], said["at_ms"], said["origin"], said["topic"]) == ("signal", 42, "1/7", "signals.web")
    assert said["value"] == signal()


def test_what_was_a_dead_letter_stays_one_and_is_counted() -> None:
    """Neither what is no signal nor whom nobody can name stops the copy."""
    made = past()
    assert made.tell(Lay("signals.web", 0, 0, 1, b"no signal")) is None
    assert made.tell(Lay("signals.web", 0, 1, 1, signal(identifiers=NOBODY))) is None
    assert sum(made.left_out.values()) == 2
    assert "no-identifier" in made.left_out


def ruling(kind: str) -> bytes:
    said = {"id": "r", "kind": kind, "node": b"n" * 16, "other": b"o" * 16, "reason": "x", "by": "op", "at_ms": 1}
    return codec_of("ruling").encode(said)


def test_rulings_of_before_are_told_once_those_of_after_in_their_time() -> None:
    """Cuts and merges of before are marks by now; a release is told when its time comes."""
    made = past(since_ms=100)
    told = {kind: made.tell(Lay("rulings", 0, 0, 99, ruling(kind))) for kind in ("cut", "split", "merge", "erase")}
    assert set(told.values()) == {None}
    assert made.tell(Lay("rulings", 0, 0, 99, ruling("release"))) is not None
    assert made.tell(Lay("rulings", 0, 0, 100, ruling("cut"))) is not None


def test_only_the_signals_of_a_replay_are_told_again() -> None:
    made = past()
    told = made.tell(Lay("signals.web", 1, 7, 42, signal()))
    assert told is not None
    again = made.tell(Lay("replay", 0, 3, 42, told.value))
    assert again == told
    (tick, *_) = made.tick(50)
    assert made.tell(Lay("replay", 0, 4, 50, tick.value)) is None


def test_marks_are_those_of_cut_members_with_their_sides() -> None:
    member = {"kind": "email", "value": "v", "original": "", "source": "s", "signal_id": "i", "since_ms": 3}
    cut = {**member, "node": b"a" * 16, "cuts": [b"c"], "cut_sides": [1]}
    free = {**member, "node": b"b" * 16, "cuts": [], "cut_sides": []}
    given = {"purpose": "marketing", "channel": "sms", "at_ms": 5, "source": "s", "proof": "call"}
    consent = [{**given, "granted": False}, {**given, "channel": "email", "granted": True}]
    ((node, since_ms, mark),) = marks_of({"members": [cut, free], "consent": consent}, now_ms=9)
    assert (node, since_ms, mark["cuts"], mark["sides"]) == (b"a" * 16, 3, [b"c"], [1])
    no = {"purpose": "marketing", "channel": "sms", "at_ms": 5, "source": "s", "since_ms": 9}
    assert mark["withdrawn"] == [no], "what the whole took back binds each of its parts, without another's words"
