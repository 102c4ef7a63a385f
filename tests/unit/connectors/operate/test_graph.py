"""The graph of a customer: the same parts as the protocol would make, and chains that hold."""

from hypothesis import given
from hypothesis import strategies as st

from connectors.operate.graph import Graph
from streams.core import ties as protocol
from streams.core.state import Member, Root, Tie
from tests.unit.connectors.operate.graphs import customer, node

_edges = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda e: e[0] != e[1]), max_size=12)


def _root(members: int, edges: list[tuple[int, int]]) -> Root:
    root = Root(bytes.fromhex(node(0)), 0)
    root.members = {bytes.fromhex(node(n)): Member("email", str(n), 0, "") for n in range(members)}
    for one, other in edges:
        protocol.bind(root, bytes.fromhex(node(one)), bytes.fromhex(node(other)), Tie("", "web", 0))
    return root


@given(_edges, st.integers(0, 6), st.integers(0, 6))
def test_parts_are_those_of_the_protocol(edges: list[tuple[int, int]], without: int, other: int) -> None:
    """Whatever is taken out, an operator is shown what will happen."""
    graph, root = Graph(customer(range(7), [(*edge, 1) for edge in edges])), _root(7, edges)
    for ours, theirs in (
        (graph.parts(), protocol.parts(root)),
        (graph.parts(without=node(without)), protocol.parts(root, without={bytes.fromhex(node(without))})),
        (
            graph.parts(cut=(node(without), node(other))),
            protocol.parts(root, cut=protocol.pair(bytes.fromhex(node(without)), bytes.fromhex(node(other)))),
        ),
    ):
        assert {frozenset(part) for part in ours} == {frozenset(n.hex() for n in part) for part in theirs}
        assert node(0) in ours[0]


@given(_edges, st.integers(0, 6), st.integers(0, 6))
def test_a_chain_holds_link_by_link(edges: list[tuple[int, int]], one: int, other: int) -> None:
    """From one to the other without a gap; None only where they are in different parts."""
    graph = Graph(customer(range(7), [(*edge, at) for at, edge in enumerate(edges)]))
    chain = graph.path(node(one), node(other))
    together = any({node(one), node(other)} <= set(part) for part in graph.parts())
    assert (chain is not None) == together
    at = node(one)
    for tie in chain or ():
        assert at in {tie.one, tie.other}
        at = tie.end(at)
    assert chain is None or at == node(other)


def test_the_shortest_and_the_oldest() -> None:
    """Two hops rather than three, and of equals the one that was there first."""
    graph = Graph(customer(range(6), [(0, 1, 9), (1, 5, 9), (0, 2, 3), (2, 5, 3), (0, 3, 1), (3, 4, 1), (4, 5, 1)]))
    assert [tie.signal_id for tie in graph.path(node(0), node(5)) or ()] == ["t0-2", "t2-5"]
    assert graph.path(node(0), node(0)) == []
    assert graph.path(node(0), node(9)) is None
    assert graph.path(node(9), node(9)) is None


def test_ties_of_strangers_do_not_count() -> None:
    """A profile that names a node which is no member breaks nothing."""
    graph = Graph(customer((0, 1), [(0, 1, 1), (1, 7, 1), (1, 1, 1)]))
    assert len(graph.ties) == 1
    assert graph.tied(node(0), node(1))
    assert not graph.tied(node(1), node(7))
