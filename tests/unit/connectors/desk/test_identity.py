"""Why this is one person, in words; and what an agent must know before the first word."""

from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from connectors.desk.identity import why
from connectors.desk.lines import MOST, Listing
from connectors.desk.locale import LANGUAGES, Locale
from connectors.desk.present import page
from connectors.desk.words import WORDS
from connectors.serve.keys import profile_json
from tests.peers.people import hostile, profile, tied

_EN = Locale("en", ZoneInfo("UTC"), 2_000_000_000_000)
_RULED = {"r1": {"by": "maryam", "reason": "a new owner", "kind": "split", "state": "done", "outcomes": []}}


def _view(view: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(profile_json(view))
    return found


def _text(listing: Listing) -> str:
    told = "\n".join(f"{line.label} | {line.text} | {line.detail}" for line in listing.lines)
    return "".join(c for c in told if c not in "\u2066\u2068\u2069")


def test_members_with_their_origin() -> None:
    """Who said it, since when, how it was written, and that it is suspended."""
    text = _text(why(_view(tied()), {}, _EN).members)
    assert "sara@example.com | CRM · since" in text
    assert "written as Sara@Example.COM" in text
    assert "suspended: it tied too many customers" in text


def test_who_ruled_and_why() -> None:
    """From the ruling where the view has it, its id where not any more."""
    found, forgotten = why(_view(tied()), _RULED, _EN), why(_view(tied()), {}, _EN)
    assert "split from another customer | maryam: a new owner" in _text(found.story)
    assert "an operator parted them" in _text(found.refusals)
    assert "a merge would have too many of: user id" in _text(found.refusals)
    assert "operator · r1" in _text(forgotten.story)
    assert found.cuts == "Parted by an operator, and kept so: 1"


def test_fields_and_what_they_outlived() -> None:
    """Rule, source, how often, signal, and the values that lost."""
    text = _text(why(_view(tied()), {}, _EN).fields)
    assert "the most trusted wins · CRM ×3, " in text
    assert "s-90 · not kept: Karaj (web ×2, " in text


def test_a_profile_from_before() -> None:
    """Without ties, story or origins: members are shown, nothing is invented."""
    old = _view(profile(1))
    for name in ("ties", "story", "quality"):
        old.pop(name, None)
    old["members"] = [
        {name: member[name] for name in ("node", "kind", "value", "since_ms", "signal_id")} for member in old["members"]
    ]
    found = why(old, {}, _EN)
    assert len(found.members.lines) == 4
    assert (found.story.lines, found.refusals.lines, found.cuts) == ([], [], "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_texts_stay_short(language: str) -> None:
    """However long a stranger's text is, a line stays readable, and nothing changes the direction around it."""
    locale = Locale(language, ZoneInfo("UTC"), 2_000_000_000_000)  # type: ignore[arg-type]  # of LANGUAGES
    evil = _view(hostile())
    found = why(evil, {"r1": {"by": "x" * 5_000, "reason": "\u202e" + "y" * 5_000}}, locale)
    for listing in (found.members, found.fields, found.refusals, found.story):
        assert len(listing.lines) <= MOST
        assert all(len(part) < 2_000 for line in listing.lines for part in line)
        assert "\u202e" not in _text(listing)


def test_bereavement_comes_first() -> None:
    """Before complaints, carts and offers; it stands alone where it says the same as another."""
    view = _view(profile(1))
    view["flags"] |= {"bereaved": True, "do_not_contact": True, "complained": False}
    shown = page(view, _EN, {})
    assert shown["badges"][0] == ("bereaved", "Bereavement")
    assert shown["advice"][0].startswith("Be gentle")
    assert not any("do not want offers" in line for line in shown["advice"])


def test_every_word_is_in_every_language() -> None:
    """No empty cell; places for values are the same in each."""
    for key, row in WORDS.items():
        assert len(row) == len(LANGUAGES), key
        assert all(row), key
        assert len({text.count("{}") for text in row}) == 1, key
