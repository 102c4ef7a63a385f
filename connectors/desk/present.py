"""From a profile to what the page shows: pure. Everything that comes from outside passes ``plain``."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from connectors.desk.identity import Rulings, why
from connectors.desk.lately import expected, lately, quality, suspected
from connectors.desk.lines import STRONGEST, Line, Listing, Profile, listing
from connectors.desk.locale import Locale, plain, zone_of
from connectors.desk.summaries import said

# Lines of the timeline that are shown.
MOST_TIMELINE = 20

# Mood in [-1, 1] from which on each word holds, and where risk becomes medium and high: thirds an agent can act upon.
_MOODS = ((-0.5, "angry"), (-0.15, "unhappy"), (0.15, "neutral"), (0.5, "content"), (9.0, "happy"))
_RISKS = ((0.3, "low"), (0.6, "medium"), (9.0, "high"))
_FLAGS = ("bereaved", "do_not_contact", "complained", "suspicious", "vip")


class Answer(NamedTuple):
    """One of the four answers at the top: heading, word, detail, and a tone for its colour."""

    heading: str
    word: str
    detail: str
    tone: str


def page(profile: Profile, locale: Locale, rulings: Rulings) -> dict[str, Any]:
    """Return all that the template shows of a profile.

    Parameters
    ----------
    rulings : those that the profile speaks of, by id
    """
    return {
        "name": name_of(profile, locale),
        "who": _who(profile, locale),
        "badges": [(flag, locale.word(flag)) for flag in _FLAGS if profile["flags"].get(flag)],
        "suspected": suspected(profile, locale),
        "answers": _answers(profile, locale),
        "advice": [locale.word(key) for key in _advice(profile)],
        "decision": _decision(profile, locale),
        "now": _now(profile, locale),
        "lately": lately(profile, locale),
        "story": _story(profile, locale),
        "value": _value(profile, locale),
        "consent": _consent(profile, locale),
        "contacts": _contacts(profile, locale),
        "traits": _traits(profile, locale),
        "quality": listing(quality(profile, locale), locale),
        "why": why(profile, rulings, locale),
    }


def _trait(profile: Profile, name: str) -> str:
    found = profile["traits"].get(name)
    return plain(found["value"]) if found else ""


def name_of(profile: Profile, locale: Locale) -> str:
    """Return what a customer is called: the name, else the strongest identifier."""
    full = _trait(profile, "name") or f"{_trait(profile, 'first_name')} {_trait(profile, 'last_name')}".strip()
    if full:
        return plain(full, 80)
    by_kind = {member["kind"]: member["value"] for member in profile["members"]}
    found = next((by_kind[kind] for kind in STRONGEST[:5] if kind in by_kind), None)
    return plain(found, 80) if found else locale.word("unknown person")


def _who(profile: Profile, locale: Locale) -> list[str]:
    found = [part for part in (_trait(profile, "city"), _trait(profile, "country")) if part]
    if zone := _trait(profile, "time_zone"):
        found.append(f"{locale.word('their time')} {locale.clock(locale.now_ms, zone_of(zone, locale.language))}")
    found.append(f"{locale.word('customer since')} {locale.date(profile['created_at_ms'])}")
    found.append(f"{locale.word('last seen')} {locale.ago(profile['last_seen_ms'])}")
    return found


def _answers(profile: Profile, locale: Locale) -> list[Answer]:
    mood = profile["flags"]["mood"]
    word = next(name for limit, name in _MOODS if mood <= limit)
    scores = profile["scores"]
    return [
        Answer(locale.word("mood"), locale.word(word), _signed(mood, locale), word),
        _risk(scores, locale),
        _intent(scores, locale),
        Answer(
            locale.word("worth"),
            locale.money(profile["value"]["spent_minor"], profile["value"]["currency"]),
            f"{locale.number(profile['history']['orders'])} {locale.word('orders')}",
            "plain",
        ),
    ]


def _signed(value: float, locale: Locale) -> str:
    return "\u2066" + locale.digits(f"{value:+.1f}") + "\u2069"


def _risk(scores: Mapping[str, Any], locale: Locale) -> Answer:
    score = scores.get("churn")
    if score is None:
        return Answer(locale.word("risk"), locale.word("not known"), "", "plain")
    word = next(name for limit, name in _RISKS if score["p"] < limit)
    return Answer(locale.word("risk"), locale.word(word), locale.percent(score["p"]), f"risk-{word}")


def _intent(scores: Mapping[str, Any], locale: Locale) -> Answer:
    likely = sorted(
        ((score["p"], name.partition(".")[2]) for name, score in scores.items() if name.startswith("intent.")),
        reverse=True,
    )
    if not likely:
        return Answer(locale.word("intent"), locale.word("not known"), "", "plain")
    p, name = likely[0]
    return Answer(locale.word("intent"), locale.word(name), locale.percent(p), f"intent-{plain(name)}")


def _advice(profile: Profile) -> list[str]:
    found = ["advise bereaved"] if profile["flags"].get("bereaved") else []
    if profile["flags"]["complained"]:
        found.append("advise complaint")
    if profile["activity"]["open_tickets"]:
        found.append("advise ticket")
    if profile["flags"]["do_not_contact"] and not profile["flags"].get("bereaved"):
        found.append("advise quiet")
    elif profile["activity"]["cart"] and not found:
        found.append("advise cart")
    return found


def _decision(profile: Profile, locale: Locale) -> dict[str, str]:
    last = profile["next_action"]
    if last is None:
        return {"title": locale.word("no decision"), "reason": "", "at": "", "tone": "plain"}
    held = not last["action"]
    title = locale.word("hold")
    if not held:
        treatment = f" ({locale.word(last['treatment'])})" if last["treatment"] else ""
        title = f"{locale.word(last['action'])}{treatment}"
        if last["channel"]:
            title += f" {locale.word('by')} {locale.word(last['channel'])}"
    reason = f"{locale.word('because')} {locale.word(last['reason'])}" if last["reason"] else ""
    return {"title": title, "reason": reason, "at": locale.ago(last["at_ms"]), "tone": "hold" if held else "act"}


def _now(profile: Profile, locale: Locale) -> Listing:
    activity = profile["activity"]
    lines = []
    for number, ticket in activity["open_tickets"].items():
        detail = f"{locale.word(ticket['priority'])} · {locale.ago(ticket['opened_at_ms'])}"
        label = f"{locale.word('open ticket')} {plain(number)}"
        lines.append(Line(label, locale.word(ticket["reason"]), detail, "alert"))
    if activity["session_started_ms"] is not None:
        where = locale.word(activity["session_channel"] or "web")
        started = f"{locale.word('since')} {locale.clock(activity['session_started_ms'])}"
        lines.append(Line(locale.word("session"), where, started))
    cart = activity["cart"]
    if cart:
        total = sum(line["value_minor"] * line["quantity"] for line in cart.values())
        items = " · ".join(f"{plain(item)} ×{locale.number(line['quantity'])}" for item, line in list(cart.items())[:5])
        lines.append(Line(locale.word("cart"), items, locale.money(total, profile["value"]["currency"]), "good"))
    for name, key in (("searches", "searched"), ("viewed", "viewed")):
        if activity[name]:
            lines.append(Line(locale.word(key), " · ".join(plain(text, 60) for text in activity[name][:4])))
    return listing(lines, locale)


def _story(profile: Profile, locale: Locale) -> Listing:
    lines = [
        Line(
            f"{locale.moment(entry['at_ms'])} · {locale.word(entry['channel'])}",
            locale.word(entry["name"]),
            said(entry, locale),
            plain(entry["kind"]),
        )
        for entry in profile["history"]["timeline"]
    ]
    return listing(lines, locale, MOST_TIMELINE)


def _value(profile: Profile, locale: Locale) -> Listing:
    value, history = profile["value"], profile["history"]
    currency = value["currency"]
    lines = [Line(locale.word("spent"), locale.money(value["spent_minor"], currency))]
    if value["returned_minor"]:
        lines.append(Line(locale.word("returned"), locale.money(value["returned_minor"], currency)))
    if history["orders"]:
        lines.append(Line(locale.word("mean order"), locale.money(round(value["mean_order_minor"]), currency)))
    if value["last_order_ms"] is not None:
        lines.append(Line(locale.word("last order"), locale.ago(value["last_order_ms"])))
    if value["mean_gap_s"]:
        days = locale.number(value["mean_gap_s"] / 86_400, 0 if value["mean_gap_s"] > 864_000 else 1)
        lines.append(Line(locale.word("rhythm"), locale.word("days").format(days)))
    lines += expected(value, locale)
    lines += [
        Line(locale.word(name), locale.number(history[name]))
        for name in ("returns", "calls", "complaints")
        if history[name]
    ]
    return listing(lines, locale)


def _consent(profile: Profile, locale: Locale) -> Listing:
    lines = [
        Line(
            f"{locale.word(state['purpose'])} · {locale.word(state['channel'])}",
            locale.word("granted" if state["granted"] else "withdrawn"),
            f"{locale.date(state['at_ms'])} · {locale.named(state['source'])}",
            "good" if state["granted"] else "alert",
        )
        for state in profile["consent"]
    ]
    return listing(lines, locale)


def _contacts(profile: Profile, locale: Locale) -> Listing:
    lines = [
        Line(
            f"{locale.word(contact['action'])} · {locale.word(contact['channel'])}",
            locale.word(contact["outcome"] or "no answer yet"),
            locale.ago(contact["at_ms"]),
            "good" if contact["outcome"] in {"clicked", "converted", "replied"} else "",
        )
        for contact in profile["contacts"]
    ]
    return listing(lines, locale)


def _traits(profile: Profile, locale: Locale) -> Listing:
    return listing([_trait_line(name, trait, locale) for name, trait in sorted(profile["traits"].items())], locale)


def _trait_line(name: str, trait: Mapping[str, Any], locale: Locale) -> Line:
    """Return a field with who said it and when, and what else was said."""
    told = f"{locale.named(trait['source'])} · {locale.date(trait['at_ms'])}"
    others = [f"\u2068{plain(other['value'], 40)}\u2069" for other in trait.get("others", ())[:3]]
    if others:
        told += f" · {locale.word('lost values').format(locale.comma.join(others))}"
    return Line(locale.trait(name), plain(trait["value"]), told)
