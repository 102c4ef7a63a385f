"""What an operator reads before and after a ruling."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.operate.explain import Apart, Explanation, explain
from connectors.operate.preview import VOID, came_of, explained, named, preview
from connectors.operate.rulings import KINDS
from streams.cli import build
from tests.unit.connectors.operate.graphs import customer, node

WHOLE = customer(range(4), [(0, 1, 1), (1, 2, 2), (2, 3, 3), (0, 2, 4)])


def test_who_stays_and_who_leaves() -> None:
    """The identifier, and what it alone held together."""
    lines = preview("split", node(2), WHOLE, "", None, show=True).lines
    assert lines[0].endswith("user_id value-of-0, email value-of-1")
    assert lines[1:3] == ["leaves: phone value-of-2", "leaves: anonymous_id value-of-3"]
    masked = preview("split", node(2), WHOLE, "", None, show=False).lines
    assert "value-of" not in "".join(masked)


@pytest.mark.parametrize(
    ("kind", "one", "other", "void"),
    [
        ("cut", 0, 1, "still-tied"),
        ("cut", 2, 3, None),
        ("cut", 1, 3, "not-tied"),
        ("cut", 0, 9, "not-one-customer"),
        ("split", 3, None, None),
        ("merge", 0, 3, "same-customer"),
        ("merge", 0, 9, None),
        ("release", 0, None, "not-suspended"),
    ],
)
def test_what_will_have_no_effect(kind: str, one: int, other: int | None, void: str | None) -> None:
    """Is said before it is made."""
    theirs = customer((9,)) if other == 9 else WHOLE
    against = "" if other is None else node(other)
    assert preview(kind, node(one), WHOLE, against, theirs, show=False).void == void


def test_alone_and_suspended() -> None:
    """Nothing to take out; something to release."""
    alone = customer((0,), member_0={"suspended_at_ms": 5})
    assert preview("split", node(0), alone, "", None, show=False).void == "only-member"
    assert preview("release", node(0), alone, "", None, show=False).void is None


def test_reasons_are_those_of_the_protocol() -> None:
    """Each reason for which a ruling is void has its words: the protocol's own sources name no other."""
    core = Path(__file__).parents[4] / "streams" / "core"
    text = "".join(
        (core / name).read_text() for name in ("split.py", "handshake.py", "turn.py", "identity.py", "cuts.py")
    )
    assert [reason for reason in VOID if f'"{reason}"' not in text] == []
    assert set(KINDS) == {"cut", "split", "merge", "release", "different"}


def test_a_terminal_obeys_no_stranger() -> None:
    """Escapes in values, sources and signals are not written to it."""
    hostile = customer((0, 1), [(0, 1, 1)], member_0={"value": "\x1b[2Jevil-value"})
    hostile["ties"][0] |= {"source": "\x1b]0;x\x07", "signal_id": "\x1b[31m"}
    found = explain(node(0), hostile, node(1), hostile)
    text = "".join(explained(found, [hostile], {}, show=True))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert named(hostile["members"][0], show=False) == "user_id ?…ue"


def test_explained() -> None:
    """Chains link by link, with rulings' reasons; what keeps two apart in words."""
    lines = explained(explain(node(3), WHOLE, node(0), WHOLE), [WHOLE], {}, show=True)
    assert lines[0] == "One customer, by 2 links:"
    assert "anonymous_id" in lines[1]
    assert "signal t2-3 from web" in lines[1]
    apart = [
        Apart("cut", node(0), node(9), "r1", 2),
        Apart("email", node(1), "", "s1", 1),
        Apart("suspended", "", "", "", 1),
    ]
    text = "\n".join(
        explained(Explanation(False, (), apart), [WHOLE], {"r1": {"by": "op", "reason": "sisters"}}, show=False)
    )
    assert "a cut, ruling r1 by op: sisters" in text
    assert "too many of email" in text
    assert "suspended" in text
    assert explained(Explanation(False, (), ()), [WHOLE], {}, show=False) == [
        "Two customers: no signal has named identifiers of both."
    ]


def test_what_came_of_it() -> None:
    """Every kind of outcome, and the next step where there was none."""
    each = {"customer": "c", "merged": "m", "reason": "still-tied", "at_ms": 1, "nodes": ["m"]}
    for kind, word in (("void", "explain"), ("split", "1 identifiers"), ("merged", "part of c"), ("released", "m.")):
        (line,) = came_of({"state": "done", "outcomes": [{**each, "kind": kind}]})
        assert word in line
    assert came_of({"state": "pending", "outcomes": []}) == ["Nothing yet: it waits for its customer."]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["split", "sara@example.com", "--reason", "ticket 12"], "KIND:VALUE"),
        (["split", "node:xyz", "--reason", "ticket 12"], "hexadecimal"),
        (["split", "shoe_size:44", "--reason", "ticket 12"], "is not one of"),
        (["split", "user_id:u", "--reason", "x"], "3 to 500"),
        (["split", "user_id:u", "--reason", "call 0912 345 6789"], "name the ticket"),
        (["cut", "user_id:u", "user_id:u", "--reason", "ticket 12"], "name two that differ"),
    ],
)
def test_what_is_wrong_is_said(monkeypatch: pytest.MonkeyPatch, words: list[str], said: str) -> None:
    """Before Kafka or Redis is asked: exit 1, and what to do."""
    monkeypatch.setenv("SADA_NODE_KEY", "5a" * 32)
    result = CliRunner().invoke(build(["identity"]), ["identity", *words])
    assert result.exit_code == 1
    assert said in result.stderr


def test_redis_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 69: try again later."""
    monkeypatch.setenv("SADA_NODE_KEY", "5a" * 32)
    monkeypatch.setenv("SADA_REDIS", "redis://127.0.0.1:1/0")
    result = CliRunner().invoke(build(["identity"]), ["identity", "explain", "user_id:a", "user_id:b"])
    assert (result.exit_code, "SADA_REDIS" in result.stderr) == (69, True)
