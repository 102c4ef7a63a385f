"""Why this is one person: members, refusals, the story of merges, and the picture. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from connectors.desk.lines import RANK, Line, Listing, Profile, listing, ltr
from connectors.desk.locale import Locale, plain
from connectors.desk.picture import Picture, picture
from connectors.operate.graph import Graph

Rulings = Mapping[str, Mapping[str, Any]]

# Characters of a signal's or a ruling's id that are shown: enough to find it.
_ID = 24

# Values that did not survive and are shown with a field, of at most eight in the profile.
_OTHERS = 4


class Why(NamedTuple):
    """What lies behind the fold."""

    picture: Picture | None
    members: Listing
    fields: Listing
    refusals: Listing
    story: Listing
    cuts: str


def why(profile: Profile, rulings: Rulings, locale: Locale) -> Why:
    """Return why a profile's members are one, and what is not.

    Parameters
    ----------
    rulings : those that the profile speaks of, by id; what is not in the view any more is left out
    """
    graph = Graph(profile)
    cuts = {cut for member in profile["members"] for cut in member.get("cuts", ())}
    return Why(
        picture(graph, locale) if len(graph.members) > 1 else None,
        _members(profile, locale),
        listing([_field(name, trait, locale) for name, trait in sorted(profile["traits"].items())], locale),
        _refusals(profile, rulings, locale),
        _story(profile, rulings, locale),
        locale.word("cuts kept").format(locale.number(len(cuts))) if cuts else "",
    )


def _members(profile: Profile, locale: Locale) -> Listing:
    members = sorted(profile["members"], key=lambda member: (RANK.get(member["kind"], 9), member["value"]))
    return listing([_member(member, locale) for member in members], locale)


def _member(member: Mapping[str, Any], locale: Locale) -> Line:
    told = [f"{locale.word('since')} {locale.date(member['since_ms'])}"]
    if member.get("source"):
        told.insert(0, locale.named(member["source"]))
    if member.get("original"):
        told.append(f"{locale.word('written')} {ltr(plain(member['original'], 60))}")
    if member.get("suspended_at_ms"):
        told.append(f"{locale.word('suspended')}{locale.comma}{locale.date(member['suspended_at_ms'])}")
    told.append(f"\u2068{plain(member['signal_id'], _ID)}\u2069")
    tone = "alert" if member.get("suspended_at_ms") else ""
    return Line(locale.word(member["kind"]), ltr(plain(member["value"])), " · ".join(told), tone)


def _field(name: str, trait: Mapping[str, Any], locale: Locale) -> Line:
    """Return a field with who said it, when, how often and in which signal, and what it outlived."""
    told = [_statement(trait, locale)]
    if trait.get("rule"):
        told.insert(0, locale.word(f"rule {trait['rule']}"))
    if trait.get("signal_id"):
        told.append(ltr(plain(trait["signal_id"], _ID)))
    told += [
        f"{locale.word('not kept')} \u2068{plain(other['value'], 60)}\u2069 ({_statement(other, locale)})"
        for other in trait.get("others", ())[:_OTHERS]
    ]
    return Line(locale.trait(name), plain(trait["value"]), " · ".join(told))


def _statement(said: Mapping[str, Any], locale: Locale) -> str:
    times = said.get("times", 1)
    often = f" ×{locale.number(times)}" if times > 1 else ""
    return f"{locale.named(said['source'])}{often}{locale.comma}{locale.date(said['at_ms'])}"


def _refusals(profile: Profile, rulings: Rulings, locale: Locale) -> Listing:
    kinds = {member["node"]: member for member in profile["members"]}
    lines = []
    for refusal in profile["refusals"]:
        ours = kinds.get(refusal.get("ours", ""))
        label = ltr(plain(ours["value"], 40)) if ours else locale.word("other customer")
        text = _forbidden(refusal["reason"], locale)
        by = rulings.get(refusal["signal_id"])
        told = _said(by, locale) if by else f"{locale.word('signal')} \u2068{plain(refusal['signal_id'], _ID)}\u2069"
        lines.append(Line(label, text, f"{locale.date(refusal['at_ms'])} · {told}"))
    return listing(lines, locale)


def _forbidden(reason: str, locale: Locale) -> str:
    """Return why a link was refused, in words: a limit is a kind of identifier."""
    if reason in {"cut", "suspended", "erased"}:
        return locale.word(f"refused {reason}")
    return locale.word("refused limit").format(locale.word(reason))


def _story(profile: Profile, rulings: Rulings, locale: Locale) -> Listing:
    lines = []
    for chapter in profile.get("story", ()):
        ruling = rulings.get(chapter["ruling"])
        if ruling is not None:
            told = _said(ruling, locale)
        elif chapter["ruling"]:
            told = f"{locale.word('operator')} · \u2068{plain(chapter['ruling'], _ID)}\u2069"
        else:
            told = (
                f"{locale.word('signal')} \u2068{plain(chapter['signal_id'], _ID)}\u2069"
                if chapter["signal_id"]
                else ""
            )
        lines.append(Line(locale.moment(chapter["at_ms"]), locale.word(f"was {chapter['kind']}"), told))
    return listing(lines, locale, 20)


def _said(ruling: Mapping[str, Any], locale: Locale) -> str:
    """Return who ruled, and why."""
    if "by" not in ruling:
        return locale.word("operator")
    return f"\u2068{plain(ruling['by'], 40)}\u2069: \u2068{plain(ruling['reason'])}\u2069"
