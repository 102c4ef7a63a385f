"""The graph of one customer's identifiers, as the profile tells it: pure.

Nodes are in hexadecimal digits here, as in the view. The protocol parts customers by the same rules
(streams.core.ties); a test holds both to each other.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

Profile = Mapping[str, Any]


class Tie(NamedTuple):
    """Two identifiers that one signal named, or one ruling made one; ``source`` is empty for a ruling."""

    one: str
    other: str
    signal_id: str
    source: str
    at_ms: int

    def end(self, node: str) -> str:
        """Return the other end."""
        return self.other if node == self.one else self.one


class Graph:
    """Members and ties of a customer.

    Parameters
    ----------
    profile : as in the view; one from before there were ties has none
    """

    def __init__(self, profile: Profile) -> None:
        self.customer: str = profile["customer"]
        self.members: dict[str, Mapping[str, Any]] = {member["node"]: member for member in profile["members"]}
        known = self.members
        self.ties = [
            Tie(tie["one"], tie["other"], tie["signal_id"], tie["source"], tie["at_ms"])
            for tie in profile.get("ties", ())
            if tie["one"] in known and tie["other"] in known and tie["one"] != tie["other"]
        ]
        self.near: dict[str, list[Tie]] = {node: [] for node in known}
        # The oldest first: of two ways of the same length the one that was there first is told.
        for tie in sorted(self.ties, key=lambda tie: (tie.at_ms, tie.one, tie.other)):
            self.near[tie.one].append(tie)
            self.near[tie.other].append(tie)

    def path(self, one: str, other: str) -> list[Tie] | None:
        """Return the shortest chain of ties from one member to another; None where nothing ties them."""
        came: dict[str, Tie | None] = {one: None}
        edge = deque([one])
        while edge and other not in came:
            node = edge.popleft()
            for tie in self.near.get(node, ()):
                if tie.end(node) not in came:
                    came[tie.end(node)] = tie
                    edge.append(tie.end(node))
        if other not in came or one not in self.members:
            return None
        chain: list[Tie] = []
        node = other
        while (last := came[node]) is not None:
            chain.append(last)
            node = last.end(node)
        return chain[::-1]

    def tied(self, one: str, other: str) -> bool:
        """Say whether a tie joins two members directly."""
        return any(tie.end(one) == other for tie in self.near.get(one, ()))

    def parts(self, *, without: str = "", cut: tuple[str, str] | None = None) -> list[list[str]]:
        """Return the customers that there would be: first the one that keeps the id, members as the profile has them.

        Parameters
        ----------
        without : a member taken out: a part of its own
        cut : two members whose direct tie does not count
        """
        left = dict.fromkeys(self.members)
        found: list[set[str]] = []
        while left:
            part = {next(iter(left))}
            edge = list(part)
            while edge:
                node = edge.pop()
                near = [tie.end(node) for tie in self.near[node] if not _gone(tie, cut)]
                news = set() if node == without else set(near) - part - {without}
                part |= news
                edge += news
            for node in part:
                del left[node]
            found.append(part)
        found.sort(key=lambda part: self.customer not in part)
        return [[node for node in self.members if node in part] for part in found]


def _gone(tie: Tie, cut: tuple[str, str] | None) -> bool:
    return cut is not None and {tie.one, tie.other} == set(cut)
