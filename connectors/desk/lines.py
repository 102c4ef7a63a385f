"""Lines of the page's lists."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from connectors.desk.locale import Locale

Profile = Mapping[str, Any]

# Lines of one list that are shown; a record may hold more identifiers than anybody can read.
MOST = 12

# Kinds of identifiers, strongest first: a person's before a browser's.
STRONGEST = ("user_id", "crm_id", "email", "phone", "loyalty_id", "device_id", "anonymous_id")
RANK: Mapping[str, int] = {kind: rank for rank, kind in enumerate(STRONGEST)}


class Line(NamedTuple):
    """One line of a list."""

    label: str
    text: str
    detail: str = ""
    tone: str = ""


class Listing(NamedTuple):
    """Lines shown, and how many are not."""

    lines: Sequence[Line]
    more: str


def ltr(text: str) -> str:
    """Return an identifier so that its signs stay where they are in a page from right to left: +98 …, not 98+."""
    return f"\u2066{text}\u2069"


def listing(lines: list[Line], locale: Locale, most: int = MOST) -> Listing:
    """Return as many lines as are shown."""
    more = len(lines) - most
    return Listing(lines[:most], locale.word("and more").format(locale.number(more)) if more > 0 else "")
