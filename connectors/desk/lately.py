"""What lies between now and ever: rolling windows, why somebody is suspected, how complete the record is. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from connectors.desk.lines import Line, Profile
from connectors.desk.locale import Locale

SPANS = ("days_1", "days_7", "days_30", "days_90")
# The order in which an agent asks; channels follow, the busiest first.
_COUNTED = ("orders", "returns", "calls", "messages", "complaints", "signals")


class Row(NamedTuple):
    """A row of the table: what, and how much of it within each span; ``tone`` sets channels apart."""

    label: str
    cells: tuple[str, ...]
    tone: str = ""


class Lately(NamedTuple):
    """The table of rolling windows, as of the customer's newest signal; without rows nothing lies in any window."""

    heads: tuple[str, ...]
    rows: list[Row]
    as_of: str


def lately(profile: Profile, locale: Locale) -> Lately:
    """Return the table of a profile."""
    history, value = profile["history"], profile["value"]
    heads = tuple(locale.word("span days").format(locale.number(int(span.removeprefix("days_")))) for span in SPANS)
    windows: Mapping[str, Mapping[str, int]] = history.get("windows", {})
    rows = [_counted(name, windows[name], locale) for name in _COUNTED if name in windows]
    spent: Mapping[str, int] = value.get("spent_windows", {})
    if any(spent.get(span, 0) for span in SPANS):
        cells = tuple(locale.money(spent[span], value["currency"]) if spent[span] else "–" for span in SPANS)
        rows.insert(0, Row(locale.word("spent"), cells))
    channels: Mapping[str, Mapping[str, int]] = history.get("channel_windows", {})
    busiest = sorted(channels, key=lambda name: (-channels[name]["days_90"], name))
    rows += [_counted(name, channels[name], locale)._replace(tone="channel") for name in busiest]
    return Lately(heads, rows, f"{locale.word('as of')} {locale.moment(profile['updated_at_ms'])}")


def _counted(name: str, window: Mapping[str, int], locale: Locale) -> Row:
    # A dash for nothing: the eye finds the numbers, and a dot would be a Persian zero.
    cells = tuple(locale.number(window[span]) if window[span] else "–" for span in SPANS)
    return Row(locale.word(name), cells)


def suspected(profile: Profile, locale: Locale) -> str:
    """Return why a customer is suspected, in words; empty when there is no suspicion."""
    reasons = [locale.word(f"suspicion {reason}") for reason in profile["flags"].get("suspicions", ())]
    return f"{locale.word('suspicious')}: {locale.comma.join(reasons)}" if reasons else ""


def expected(value: Mapping[str, Any], locale: Locale) -> list[Line]:
    """Return the line of the expected worth of the year to come, where there is an estimate."""
    lifetime = value.get("lifetime_minor")
    if lifetime is None:
        return []
    money = locale.money(round(lifetime), value["currency"])
    return [Line(locale.word("lifetime"), money, locale.word(f"basis {value['lifetime_basis']}"))]


def quality(profile: Profile, locale: Locale) -> list[Line]:
    """Return how complete the record is, how far its sources disagree, and which rules its signals broke."""
    found = profile.get("quality")
    if not found:
        return []
    lines = [
        Line(locale.word("completeness"), locale.percent(found["completeness"])),
        Line(locale.word("conflict"), locale.percent(found["conflict"]), "", "alert" if found["conflict"] else ""),
    ]
    lines += [
        Line(f"{locale.word('broken rule')} {locale.named(rule)}", locale.number(times), "", "alert")
        for rule, times in sorted(found["violations"].items())
    ]
    return lines
