"""Reviews of near matches: two golden records side by side, and what an answer becomes. Pure.

A pair is asked about as long as it is open and both its customers are there and are two. The view may be a moment
behind; so whoever reads the queue looks (``standing``) and passes over what is settled.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from connectors.operate.graph import Profile
from connectors.operate.mask import mask
from connectors.operate.rulings import Ruling
from schemas.identifiers import NODE_BYTES
from schemas.names import plain
from schemas.person import SPELLED, person

# What of the pattern says how a trait agrees; the first that is known. A whole name is judged by its surname.
_JUDGED: Mapping[str, tuple[str, ...]] = {
    "given_name": ("given_name",),
    "surname": ("surname",),
    "name": ("surname",),
    "birth_date": ("birth",),
    "address_1": ("line",),
    "address_2": ("other_line",),
    "house_number": ("house",),
    "suburb": ("suburb", "suburb_there"),
    "postcode": ("postcode",),
    "state": ("state", "state_there"),
    "country": ("country",),
    "phone": ("phone",),
    "email": ("email",),
}

# Identifiers of one side that are shown: a person's before a browser's; the rest is counted.
MOST_MEMBERS = 6

AGREES = frozenset({"same", "near"})


class Row(NamedTuple):
    """One trait of both; ``agreement`` is same, near, similar, differs, or empty where a side lacks it."""

    name: str
    one: str
    other: str
    agreement: str


class Review(NamedTuple):
    """An open question: ``id`` in hex, ``rows`` those that both have first; customers in hex."""

    id: str
    match: float
    household: float
    limit: str
    since_ms: int
    customers: tuple[str, str]
    names: tuple[str, str]
    rows: Sequence[Row]
    members: tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]


def standing(one: Profile | None, other: Profile | None) -> bool:
    """Say whether a pair is still a question: both customers are there, and are two."""
    return one is not None and other is not None and one["customer"] != other["customer"]


def review_of(match: Mapping[str, Any], one: Profile, other: Profile, *, reveal: bool = True) -> Review:
    """Lay two customers side by side.

    Parameters
    ----------
    match : of the view, nodes in hex
    one, other : profiles of ``match["node"]`` and ``match["other"]``
    reveal : else values are masked
    """
    sides = [_traits(profile) for profile in (one, other)]
    rows = []
    for name in SPELLED:
        ours, theirs = (side.get(name, "") for side in sides)
        if ours or theirs:
            shown = (ours, theirs) if reveal else (mask(ours) if ours else "", mask(theirs) if theirs else "")
            rows.append(Row(name, *shown, _agreement(name, ours, theirs, match["agreement"])))
    rows.sort(key=lambda row: not row.agreement)
    return Review(
        match["id"],
        match["match"],
        match["household"],
        match["limit"],
        match["since_ms"],
        (one["customer"], other["customer"]),
        (_name(sides[0], reveal), _name(sides[1], reveal)),
        rows,
        (_members(one), _members(other)),
    )


def _traits(profile: Profile) -> dict[str, str]:
    traits = person({name: trait["value"] for name, trait in profile["traits"].items()})
    for kind in ("email", "phone"):
        values = [member["value"] for member in profile["members"] if member["kind"] == kind]
        if values and kind not in traits:
            traits[kind] = ", ".join(values[:3])
    return traits


def _agreement(name: str, ours: str, theirs: str, agreement: Mapping[str, str]) -> str:
    if not ours or not theirs:
        return ""
    if plain(ours) == plain(theirs):
        return "same"
    # Records that met said so; what else the golden records differ in is told as it is.
    judged = next((agreement[each] for each in _JUDGED[name] if each in agreement), "differs")
    return "near" if judged == "same" else judged


def _name(side: Mapping[str, str], reveal: bool) -> str:
    name = side.get("name") or " ".join(side[each] for each in ("given_name", "surname") if each in side)
    return name if reveal or not name else mask(name)


def _members(profile: Profile) -> list[Mapping[str, Any]]:
    return list(profile["members"])[:MOST_MEMBERS]


def ruling_of(match: Mapping[str, Any], *, same: bool, reason: str, by: str, id_: str, at_ms: int) -> Ruling:
    """Return what an answer becomes: a ruling like any other, which also teaches.

    Raises
    ------
    RulingError
        bad-reason, personal-reason, bad-by
    """
    node, other = bytes.fromhex(match["node"]), bytes.fromhex(match["other"])
    return Ruling(id_, "merge" if same else "different", node, other, reason, by, at_ms)


def is_id(text: str) -> bool:
    """Say whether a text has the form of a pair's id."""
    return len(text) == 2 * NODE_BYTES and all(c in "0123456789abcdef" for c in text)


def told(review: Review) -> dict[str, Any]:
    """Return a review for a client of the API."""
    return {
        "id": review.id,
        "match": round(review.match, 4),
        "household": round(review.household, 4),
        "limit": review.limit,
        "since_ms": review.since_ms,
        "customers": list(review.customers),
        "traits": [row._asdict() for row in review.rows],
        "members": [[{"kind": member["kind"], "value": member["value"]} for member in side] for side in review.members],
    }
