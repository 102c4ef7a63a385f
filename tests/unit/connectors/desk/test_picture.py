"""The picture of a customer's graph: bounded, mirrored, nothing on top of another."""

from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from connectors.desk.locale import Language, Locale
from connectors.desk.picture import MOST_DOTS, picture
from connectors.operate.graph import Graph
from tests.unit.connectors.operate.graphs import customer, node


def _locale(language: Language = "en") -> Locale:
    return Locale(language, ZoneInfo("UTC"), 0)


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=60))
def test_every_graph_has_a_picture(members: int, edges: list[tuple[int, int]]) -> None:
    """Each dot a place of its own inside of it; as many lines as a tree has; from right to left its mirror image."""
    graph = Graph(customer(range(members), [(one, other, 1) for one, other in edges]))
    found, mirrored = picture(graph, _locale()), picture(graph, _locale("fa"))
    assert len(found.dots) == min(members, MOST_DOTS)
    assert len(found.lines) < len(found.dots)
    assert len({(dot.x, dot.y) for dot in found.dots}) == len(found.dots)
    assert all(0 < dot.x < found.width and 0 < dot.y < found.height for dot in found.dots)
    assert [(found.width - dot.x, dot.y) for dot in found.dots] == [(dot.x, dot.y) for dot in mirrored.dots]


def test_from_the_best_tied_and_strongest() -> None:
    """One way to each; what else ties them is a faint line."""
    graph = Graph(customer((0, 1, 2), [(0, 1, 1), (1, 2, 2), (0, 2, 3)]))
    found = picture(graph, _locale())
    assert found.dots[0].kind == "user id"
    assert (len(found.lines), len(found.more)) == (2, 1)
    assert graph.path(node(0), node(2)) is not None


def test_states() -> None:
    """Suspended and cut identifiers look it; a ruling's tie is an operator's."""
    view = customer((0, 1, 2), [(0, 1, 1), (1, 2, 2)], member_1={"suspended_at_ms": 5}, member_2={"cuts": [b"c"]})
    view["ties"][0]["source"] = ""
    found = picture(Graph(view), _locale())
    assert {dot.kind: dot.state for dot in found.dots} == {"user id": "", "e-mail": "suspended", "phone": "cut"}
    assert any("operator" in line.words for line in found.lines)
