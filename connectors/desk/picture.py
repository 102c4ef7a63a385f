"""The small picture of a customer's graph: where each identifier's dot and each tie's line is. Pure.

A tree of shortest ways from the identifier with most ties, drawn from the side on which reading begins; other ties are
faint lines without words. Sizes in pixels of the picture.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from connectors.desk.lines import RANK, ltr
from connectors.desk.locale import Locale, plain
from connectors.operate.graph import Graph, Tie

# Identifiers drawn: more is a thicket that nobody reads; the list below has them all.
MOST_DOTS = 14

_COLUMN, _ROW, _MARGIN, _TOP = 250, 62, 78, 24
# A line bends within so much after its dot, then runs straight, with its words above.
_BEND = 50
# Characters of a value, and of who said it on a line, that fit; the date has 12.
_VALUE, _WHO = 22, 14


class Dot(NamedTuple):
    """An identifier: where it is, and its two words below."""

    x: int
    y: int
    kind: str
    value: str
    state: str


class Line(NamedTuple):
    """A tie: its path, its words, and where they stand."""

    path: str
    words: str
    x: int
    y: int


class Picture(NamedTuple):
    """The whole picture; ``title`` says it to those who cannot see it."""

    width: int
    height: int
    dots: Sequence[Dot]
    lines: Sequence[Line]
    more: Sequence[str]
    title: str


def picture(graph: Graph, locale: Locale) -> Picture:
    """Return the picture of a graph."""
    tree = _tree(graph)
    places = _places(tree)
    columns = max(column for column, _ in places.values()) + 1
    rows = max(row for _, row in places.values()) + 1
    width = 2 * _MARGIN + (columns - 1) * _COLUMN

    def at(node: str) -> tuple[int, int]:
        column, row = places[node]
        x = _MARGIN + column * _COLUMN
        return (x if locale.direction == "ltr" else width - x), int(_TOP + row * _ROW)

    lines = [_line(at(up), at(node), tie, locale) for node, (up, tie) in tree.items() if up and tie is not None]
    drawn = {frozenset((node, up)) for node, (up, _) in tree.items()}
    more = [
        "M{} {} L{} {}".format(*at(tie.one), *at(tie.other))
        for tie in graph.ties
        if tie.one in tree and tie.other in tree and frozenset((tie.one, tie.other)) not in drawn
    ]
    dots = [Dot(*at(node), *_words(graph.members[node], locale)) for node in tree]
    return Picture(width, int(_TOP + rows * _ROW), dots, lines, more, locale.word("why one"))


def _tree(graph: Graph) -> dict[str, tuple[str, Tie | None]]:
    """Return each node that is drawn with the node and the tie that lead to it, in the order of a walk."""
    left = sorted(graph.members, key=lambda node: _first(graph, node))[: 4 * MOST_DOTS]
    found: dict[str, tuple[str, Tie | None]] = {}
    for start in left:
        if start in found:
            continue
        found[start] = ("", None)
        edge = [start]
        for node in edge:  # it grows while it is walked
            for tie in graph.near[node]:
                if tie.end(node) not in found:
                    found[tie.end(node)] = (node, tie)
                    edge.append(tie.end(node))
    return dict(list(found.items())[:MOST_DOTS])


def _first(graph: Graph, node: str) -> tuple[int, int, str]:
    """Return where a node stands among those from which a tree may start: most ties, then the strongest kind."""
    return -len(graph.near[node]), RANK.get(graph.members[node]["kind"], len(RANK)), node


def _places(tree: Mapping[str, tuple[str, Tie | None]]) -> dict[str, tuple[int, float]]:
    """Return each node's column and row: leaves one below the other, the rest in the middle of theirs."""
    below: dict[str, list[str]] = {node: [] for node in tree}
    for node, (up, _) in tree.items():
        if up:
            below[up].append(node)
    places: dict[str, tuple[int, float]] = {}
    row = 0
    for start, (up, _) in tree.items():
        walk = [(start, 0, False)] if not up else []
        while walk:
            node, column, done = walk.pop()
            if done:
                rows = [places[leaf][1] for leaf in below[node]]
                places[node] = (column, (rows[0] + rows[-1]) / 2)
            elif below[node]:
                walk.append((node, column, True))
                walk += [(leaf, column + 1, False) for leaf in reversed(below[node])]
            else:
                places[node] = (column, row)
                row += 1
    return places


def _line(start: tuple[int, int], end: tuple[int, int], tie: Tie, locale: Locale) -> Line:
    (x, y), (to_x, to_y) = start, end
    way = 1 if to_x > x else -1
    bend = x + way * _BEND
    path = f"M{x} {y} C{bend} {y} {x} {to_y} {bend} {to_y} L{to_x} {to_y}"
    who = locale.word(tie.source) if tie.source else locale.word("operator")
    words = f"\u2068{plain(who, _WHO)}\u2069 · {locale.date(tie.at_ms)}"
    return Line(path, locale.own(words), (bend + to_x) // 2, to_y - 7)


def _words(member: Mapping[str, Any], locale: Locale) -> tuple[str, str, str]:
    state = "suspended" if member.get("suspended_at_ms") else "cut" if member.get("cuts") else ""
    return locale.word(member["kind"]), ltr(plain(member["value"], _VALUE)), state
