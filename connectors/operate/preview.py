"""What a ruling will do, before it is made, in words: pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from connectors.operate.explain import Explanation
from connectors.operate.graph import Graph, Profile, Tie
from connectors.operate.mask import mask

# Members named in one part; a customer may have 75.
MOST = 12

# Why a ruling had no effect, and what to do: the protocol's reasons (streams.core.split, handshake, links).
VOID: Mapping[str, str] = {
    "unknown-customer": "nobody is known by this identifier: check its kind and spelling",
    "same-customer": "they are one customer already: nothing to do, or split them if they are two people",
    "not-one-customer": "they are two customers already: nothing to do",
    "not-tied": "no signal named both, so there is no link to cut: cut a link of the chain that "
    "`sada identity explain` shows, or split one of them",
    "still-tied": "other links tie them as well: cut those too (`sada identity explain`), or split one of them",
    "only-member": "it is its customer's only identifier: there is nothing to take it out of",
    "not-suspended": "it is not suspended: nothing to release",
    "too-many": "too many rulings at once, or too many cuts already, on this customer: wait, or merge what was cut",
    "erased": "it was erased: nothing is held on it, and nothing will be",
    "busy": "the customer is in the middle of too many merges: say it again in a minute",
}


class Preview(NamedTuple):
    """What will happen: lines to show; ``void`` is the reason when it would have no effect."""

    lines: Sequence[str]
    void: str | None = None


def preview(kind: str, node: str, ours: Profile, other: str, theirs: Profile | None, *, show: bool) -> Preview:
    """Return what a ruling will do, as far as the view knows.

    Parameters
    ----------
    node, other : hex; other is empty where the ruling is about one
    ours, theirs : the profiles of their customers; theirs is None where there is no other
    show : values in full, else masked
    """
    return _OF[kind](Graph(ours), node, other, theirs, show)


def _split(graph: Graph, node: str, _: str, __: Profile | None, show: bool) -> Preview:
    if len(graph.members) < 2:
        return Preview((), "only-member")
    return Preview(_parted(graph, graph.parts(without=node), show))


def _cut(graph: Graph, node: str, other: str, _: Profile | None, show: bool) -> Preview:
    if other not in graph.members:
        return Preview((), "not-one-customer")
    if not graph.tied(node, other):
        return Preview((), "not-tied")
    parts = graph.parts(cut=(node, other))
    return Preview(_parted(graph, parts, show), None if len(parts) > 1 else "still-tied")


def _merge(graph: Graph, _: str, other: str, theirs: Profile | None, show: bool) -> Preview:
    if theirs is None or other in graph.members:
        return Preview((), "same-customer")
    both = [(graph, "one"), (Graph(theirs), "the other")]
    lines = [f"{name}: {_members(each, list(each.members), show)}" for each, name in both]
    return Preview([*lines, "They become one customer, limits and former cuts notwithstanding."])


def _release(graph: Graph, node: str, _: str, __: Profile | None, show: bool) -> Preview:
    if not graph.members.get(node, {}).get("suspended_at_ms"):
        return Preview((), "not-suspended")
    return Preview([f"{_members(graph, [node], show)} may tie customers again, from the next signal that names it."])


def _different(graph: Graph, _: str, other: str, theirs: Profile | None, show: bool) -> Preview:
    if theirs is None or other in graph.members:
        return Preview((), "same-customer")
    both = [(graph, "one"), (Graph(theirs), "the other")]
    lines = [f"{name}: {_members(each, list(each.members), show)}" for each, name in both]
    return Preview([*lines, "They stay two, whatever near matches find; a signal that names both links them."])


_OF: Mapping[str, Callable[[Graph, str, str, Profile | None, bool], Preview]] = {
    "split": _split,
    "cut": _cut,
    "merge": _merge,
    "release": _release,
    "different": _different,
}


def _parted(graph: Graph, parts: Sequence[Sequence[str]], show: bool) -> list[str]:
    lines = [f"stays ({graph.customer[:8]}…): {_members(graph, parts[0], show)}"]
    lines += [f"leaves: {_members(graph, part, show)}" for part in parts[1:]]
    return [*lines, "Each part takes its own history with it; the same evidence will not merge them again."]


def _members(graph: Graph, nodes: Sequence[str], show: bool) -> str:
    told = [named(graph.members[node], show=show) for node in nodes[:MOST]]
    return ", ".join(told) + (f" and {len(nodes) - MOST} more" if len(nodes) > MOST else "")


def named(member: Mapping[str, Any], *, show: bool) -> str:
    """Return an identifier in words: kind and value, without what a terminal would obey."""
    value = "".join(c if c.isprintable() else "?" for c in member["value"])
    return f"{member['kind']} {value if show else mask(value)}"


def explained(found: Explanation, profiles: Sequence[Profile], rulings: Mapping[str, Any], *, show: bool) -> list[str]:
    """Return an explanation in lines."""
    members = {member["node"]: member for profile in profiles for member in profile["members"]}

    def name(node: str) -> str:
        return named(members[node], show=show) if node in members else "an identifier no longer known"

    def said(id_: str) -> str:
        ruling = rulings.get(id_, {})
        return (
            f"ruling {id_} by {_plain(ruling['by'])}: {_plain(ruling['reason'])}" if "by" in ruling else f"ruling {id_}"
        )

    def link(tie: Tie) -> str:
        why = f"signal {_plain(tie.signal_id)} from {_plain(tie.source)}" if tie.source else said(tie.signal_id)
        return f"  {name(tie.one)} — {name(tie.other)}: {why}, {_day(tie.at_ms)}"

    if found.same:
        if not found.chain:
            return ["One customer; what tied them was not kept then."]
        return [
            f"One customer, by {len(found.chain)} link{'s' if len(found.chain) > 1 else ''}:",
            *map(link, found.chain),
        ]
    if not found.apart:
        return ["Two customers: no signal has named identifiers of both."]
    lines = ["Two customers, kept apart by:"]
    for each in found.apart:
        between = f"  {name(each.ours)} — {name(each.theirs)}: " if each.ours and each.theirs else "  "
        if each.reason == "cut":
            lines.append(f"{between}a cut, {said(each.told_by) if each.told_by else 'by an operator'}")
        elif each.reason == "suspended":
            lines.append(f"{between}an identifier that is suspended, because it tied too many")
        else:
            lines.append(f"{between}a merge would have too many of {each.reason} (signal {_plain(each.told_by)})")
    return lines


def came_of(told: Mapping[str, Any]) -> list[str]:
    """Return what came of a ruling, in lines."""
    if told["state"] == "pending":
        return ["Nothing yet: it waits for its customer."]
    lines = []
    for each in told["outcomes"]:
        if each["kind"] == "void":
            lines.append(f"No effect: {VOID.get(each['reason'], each['reason'])}.")
        elif each["kind"] == "split":
            lines.append(f"Split: {len(each['nodes'])} identifiers are now customer {each['merged']}.")
        elif each["kind"] == "erased":
            lines.append(f"Erased: customer {each['customer']}; its {len(each['nodes'])} identifiers are refused now.")
        elif each["kind"] == "merged":
            lines.append(f"Merged: customer {each['merged']} is now part of {each['customer']}.")
        elif each["kind"] == "different":
            lines.append(f"Told apart: customer {each['customer']} is another person.")
        else:
            lines.append(f"{each['kind'].capitalize()}: {each['merged']}.")
    return lines


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:200])


def _day(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
