"""What the identity API and the command line tell: pure. Without the right to reveal, values are masked."""

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.operate.explain import Apart, Explanation
from connectors.operate.graph import Profile, Tie
from connectors.operate.mask import mask


def rulings_of(profile: Profile) -> list[str]:
    """Return the ids of the rulings that a profile speaks of, each once."""
    story = [chapter["ruling"] for chapter in profile.get("story", ()) if chapter["ruling"]]
    cuts = [refusal["signal_id"] for refusal in profile["refusals"] if refusal["reason"] == "cut"]
    ties = [tie["signal_id"] for tie in profile.get("ties", ()) if not tie["source"]]
    return list(dict.fromkeys([*story, *cuts, *ties]))


def explanation(
    found: Explanation,
    one: str,
    other: str,
    profiles: Iterable[Profile],
    rulings: Mapping[str, Mapping[str, Any]],
    *,
    reveal: bool,
) -> dict[str, Any]:
    """Return an explanation for a client; without ``reveal`` values are masked."""
    members = {member["node"]: member for profile in profiles for member in profile["members"]}

    def named(node: str) -> dict[str, Any]:
        member = members.get(node)
        return {"node": node} if member is None else member_of(member, reveal=reveal)

    def said(id_: str) -> dict[str, Any] | None:
        return ruling_said(rulings[id_], reveal=reveal) if id_ in rulings else None

    def tie(each: Tie) -> dict[str, Any]:
        return {
            "one": named(each.one),
            "other": named(each.other),
            "signal_id": each.signal_id,
            "source": each.source,
            "at_ms": each.at_ms,
            "ruling": None if each.source else said(each.signal_id),
        }

    def apart(each: Apart) -> dict[str, Any]:
        return {
            "reason": each.reason,
            "ours": named(each.ours) if each.ours else None,
            "theirs": named(each.theirs) if each.theirs else None,
            "told_by": each.told_by,
            "at_ms": each.at_ms,
            "ruling": said(each.told_by),
        }

    return {
        "one": named(one),
        "other": named(other),
        "customers": [profile["customer"] for profile in profiles],
        "same_customer": found.same,
        "chain": [tie(each) for each in found.chain],
        "apart": [apart(each) for each in found.apart],
    }


def member_of(member: Mapping[str, Any], *, reveal: bool) -> dict[str, Any]:
    """Return a member of a profile for a client."""
    if reveal:
        return dict(member)
    kept = {name: member[name] for name in ("node", "kind", "since_ms", "suspended_at_ms", "cuts") if name in member}
    return {**kept, "value": mask(member["value"])}


def ruling_said(ruling: Mapping[str, Any], *, reveal: bool) -> dict[str, Any]:
    """Return a ruling for a client; who ruled is our own people's business."""
    return {name: value for name, value in ruling.items() if reveal or name not in {"by", "outcomes"}}
