"""The timeline's words in the agent's language: pure.

The golden record says in English what a signal was about (streams.core.folds); each of its forms is known here, and a
test holds both to each other. What has none of these forms is a stranger's text and shown as it is.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connectors.desk.locale import Locale, plain

_Say = Callable[["re.Match[str]", Locale], str]


def said(entry: Mapping[str, Any], locale: Locale) -> str:
    """Return a timeline entry's summary in the locale's language."""
    summary = plain(entry["summary"])
    for form, say in _FORMS.get(entry["kind"], ()):
        found = form.fullmatch(summary)
        if found is not None:
            return say(found, locale)
    return _isolated(summary)


def _number(text: str, locale: Locale) -> str:
    return locale.digits(text)


def _isolated(text: str) -> str:
    """Return a stranger's word so that it does not turn the words around it."""
    return f"\u2068{text}\u2069" if text else ""


def _items(found: "re.Match[str]", locale: Locale) -> str:
    return f"{_isolated(found['item'])} ×{_number(found['count'], locale)}"


def _money(found: "re.Match[str]", locale: Locale) -> str:
    amount = f"{_number(found['amount'], locale)} {locale.word(found['currency'])}"
    lines = found["lines"]
    return f"{amount} · {locale.word('of items').format(_number(lines, locale))}" if lines else amount


def _message(found: "re.Match[str]", locale: Locale) -> str:
    word = locale.word(found["way"])
    mood = found["mood"]
    return f"{word} · {locale.word('mood')} \u2066{_number(mood, locale)}\u2069" if mood else word


def _survey(found: "re.Match[str]", locale: Locale) -> str:
    score = _number(found["score"], locale)
    told = locale.word("of scale").format(score, _number(found["scale"], locale)) if found["scale"] else score
    return f"{_isolated(found['survey'])} {told}".strip()


def _event(found: "re.Match[str]", locale: Locale) -> str:
    about = found["about"]
    return f"{locale.word(found['event'])}: {_isolated(locale.word(about))}" if about else locale.word(found["event"])


def _consent(found: "re.Match[str]", locale: Locale) -> str:
    return f"{locale.word(found['purpose'])} · {locale.word(found['channel'])}: {locale.word(found['granted'])}"


def _traits(found: "re.Match[str]", locale: Locale) -> str:
    return locale.word("of traits").format(_number(found["count"], locale))


_FORMS: Mapping[str, Sequence[tuple["re.Pattern[str]", _Say]]] = {
    "behaviour": ((re.compile(r"(?P<count>\d+) x (?P<item>.+)"), _items),),
    "transaction": (
        (re.compile(r"(?P<amount>-?[\d,]+(?:\.\d+)?) (?P<currency>[A-Z]{3})(?: \((?P<lines>\d+) x\))?"), _money),
    ),
    "message": ((re.compile(r"(?P<way>inbound|outbound)(?:, mood (?P<mood>[+-][\d.]+))?"), _message),),
    "survey": ((re.compile(r"(?P<survey>.*?) ?(?P<score>-?\d[\d.e+]*)(?: of (?P<scale>\d[\d.e+]*))?"), _survey),),
    "service": ((re.compile(r"(?P<event>[a-z_]+)(?:: (?P<about>.+))?"), _event),),
    "consent": ((re.compile(r"(?P<granted>granted|withdrawn): (?P<purpose>.+) on (?P<channel>.+)"), _consent),),
    "outcome": ((re.compile(r"(?P<event>[a-z_]+)(?:: (?P<about>.+))?"), _event),),
    "traits": ((re.compile(r"(?P<count>\d+) traits"), _traits),),
}
