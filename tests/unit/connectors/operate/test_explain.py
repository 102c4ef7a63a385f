"""Why two identifiers are one customer, or two."""

from typing import Any

from connectors.operate.explain import Apart, cut_of, explain
from connectors.operate.told import explanation, rulings_of
from streams.core import split
from tests.unit.connectors.operate.graphs import customer, node

RULING = {"reason": "two sisters", "by": "op", "kind": "cut", "state": "done", "outcomes": []}


def _refusal(other: int, reason: str, ours: int, theirs: int, *, told: str = "s9") -> dict[str, Any]:
    nodes = {"other": other, "ours": ours, "theirs": theirs}
    return {
        **{name: bytes.fromhex(node(number)) for name, number in nodes.items()},
        "reason": reason,
        "signal_id": told,
        "at_ms": 5,
    }


def test_one_customer() -> None:
    """The chain of signals that ties them."""
    whole = customer(range(4), [(0, 1, 1), (1, 2, 2), (2, 3, 3)])
    found = explain(node(0), whole, node(3), whole)
    assert found.same
    assert [tie.signal_id for tie in found.chain] == ["t0-1", "t1-2", "t2-3"]
    assert not found.apart


def test_two_customers_and_a_limit() -> None:
    """The refusal is told once, though both have it, and from the asker's side."""
    one = customer((0, 1), refusals=[_refusal(2, "user_id", 1, 3)])
    other = customer((2, 3), refusals=[_refusal(0, "user_id", 3, 1)])
    found = explain(node(0), one, node(2), other)
    assert (found.same, list(found.chain)) == (False, [])
    assert list(found.apart) == [Apart("user_id", node(1), node(3), "s9", 5)]
    turned = explain(node(2), other, node(0), one)
    assert list(turned.apart) == [Apart("user_id", node(3), node(1), "s9", 5)]


def test_refusals_of_others_do_not_count() -> None:
    """Nothing was ever named together: nothing keeps them apart."""
    one = customer((0, 1), refusals=[_refusal(7, "email", 1, 8)])
    assert explain(node(0), one, node(2), customer((2, 3))) == (False, (), [])


def test_the_other_may_have_had_another_id() -> None:
    """A refusal names the root of then; as a member it is found."""
    one = customer((0, 1), refusals=[_refusal(3, "email", 1, 9)])
    found = explain(node(0), one, node(2), customer((2, 3), root=2))
    assert [each.reason for each in found.apart] == ["email"]


def test_a_cut() -> None:
    """By its refusal with the ruling; by its mark alone where what tied them is long forgotten."""
    mark = {"cuts": [bytes.fromhex(cut_of("r1"))]}
    one = customer((0, 1), member_1=mark, refusals=[_refusal(2, "cut", 1, 3, told="r1")])
    other = customer((2, 3), member_3=mark)
    (apart,) = explain(node(0), one, node(2), other).apart
    assert (apart.reason, apart.told_by) == ("cut", "r1")
    (apart,) = explain(node(0), customer((0, 1), member_1=mark), node(2), other).apart
    assert (apart.reason, apart.told_by) == ("cut", "")
    assert not explain(node(0), customer((0, 1)), node(2), other).apart


def test_marks_are_those_of_the_protocol() -> None:
    """As long as the protocol's."""
    assert len(bytes.fromhex(cut_of("r1"))) == split.CUT_BYTES


def test_suspended() -> None:
    """An identifier that ties nobody is said to be one."""
    one = customer((0,), member_0={"suspended_at_ms": 77})
    (apart,) = explain(node(0), one, node(2), customer((2, 3))).apart
    assert (apart.reason, apart.ours, apart.at_ms) == ("suspended", node(0), 77)
    (apart,) = explain(node(2), customer((2, 3)), node(0), one).apart
    assert (apart.reason, apart.theirs) == ("suspended", node(0))


def test_as_clients_see_it() -> None:
    """Values only for whoever may read them; who ruled, too."""
    one = customer((0, 1), refusals=[_refusal(2, "cut", 1, 3, told="r1")])
    other = customer((2, 3))
    found = explain(node(0), one, node(2), other)
    for reveal in (True, False):
        told = explanation(found, node(0), node(2), [one, other], {"r1": RULING}, reveal=reveal)
        (apart,) = told["apart"]
        assert (told["one"]["value"] == "value-of-0") == reveal
        assert ("value-of" in str(told)) == reveal
        assert ("by" in apart["ruling"]) == reveal
        assert apart["ruling"]["reason"] == "two sisters"
        assert told["customers"] == [node(0), node(2)]


def test_rulings_of_a_profile() -> None:
    """Of its story, its cuts and its ties; each once."""
    chapter = {"kind": "split", "other": b"o" * 16, "reason": "ruling", "signal_id": "r2", "ruling": "r2", "at_ms": 1}
    whole = customer(
        (0, 1), refusals=[_refusal(2, "cut", 1, 3, told="r1"), _refusal(2, "email", 1, 3)], story=[chapter]
    )
    whole["ties"] = [{"one": node(0), "other": node(1), "signal_id": "r2", "source": "", "at_ms": 1}]
    assert rulings_of(whole) == ["r2", "r1"]
