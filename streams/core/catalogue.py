"""The catalogue, compiled: triggers, policy, contexts, levers and actions as the decision uses them.

Built from a document that ``catalogue_check`` has passed; all durations are milliseconds, all conditions compiled,
and each trigger knows its actions, so that a decision does no look-up by name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson

from schemas.durations import duration_ms
from schemas.views import Signal
from streams.core.conditions import Condition, compile_condition
from streams.core.moment import Moment, Reader, reader_of

# Where the catalogue leaves something out.
DEFAULT_LANGUAGE = "en"
DEFAULT_TIME_ZONE = "UTC"
# 3 days between two of the same action: stops two in one weekend; worst case it delays one by 72 h.
DEFAULT_COOLDOWN = "3d"
# A day: what a trigger called for is stale the next day.
DEFAULT_EXPIRY = "1d"
# 5 %: of a hundred decisions five are spread evenly; with 10 candidates each has a propensity of at least 0.0045,
# which bounds the weights of off-policy evaluation at 220.
DEFAULT_EXPLORATION = 0.05
# 2 weeks: who complained hears no marketing for so long.
DEFAULT_COMPLAINT_SILENCE = "2w"
# 30 days: an address that bounced is seldom repaired sooner, and repeats harm the sender's reputation.
DEFAULT_BOUNCE_SILENCE = "30d"


@dataclass(frozen=True, slots=True)
class Param:
    """A value for the templates: how it is read, how it is shown, and what stands in for it."""

    name: str
    read: Reader | None
    money: bool
    default: str


@dataclass(frozen=True, slots=True)
class Text:
    """A treatment's words in one language: Liquid templates."""

    language: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Treatment:
    """An action's concrete variant on one channel; ``arm`` is its name in the bandit."""

    id: str
    arm: str
    channel: str
    weight: float
    cost: float
    address: str | None
    texts: Mapping[str, Text]


@dataclass(frozen=True, slots=True)
class Context:
    """A factor on the score of some actions while a condition holds."""

    id: str
    when: Condition
    factor: float
    actions: frozenset[str]
    purposes: frozenset[str]
    channels: frozenset[str]

    def concerns(self, action: "Action", channel: str) -> bool:
        """Return whether it bears upon an action on a channel; an empty set means all."""
        return (
            (not self.actions or action.id in self.actions)
            and (not self.purposes or action.purpose in self.purposes)
            and (not self.channels or channel in self.channels)
        )


@dataclass(frozen=True, slots=True)
class Lever:
    """A factor that the business sets on a group of actions, always or while a condition holds."""

    id: str
    factor: float
    when: Condition | None


@dataclass(frozen=True, slots=True)
class Action:
    """What may be done; ``conditions`` are (name, condition) in the order of checking."""

    id: str
    title: str
    purpose: str
    conditions: tuple[tuple[str, Condition], ...]
    value: float
    goal: str
    within_ms: int
    cooldown_ms: int
    expiry_ms: int
    until_ms: int | None
    lever: Lever | None
    params: tuple[Param, ...]
    treatments: tuple[Treatment, ...]


@dataclass(frozen=True, slots=True)
class Trigger:
    """A kind of signal upon which a decision is considered, with the actions it may lead to."""

    name: str
    kinds: frozenset[str]
    names: frozenset[str]
    channels: frozenset[str]
    when: Condition | None
    actions: tuple[Action, ...]

    def goes_off(self, moment: Moment) -> bool:
        """Return whether its own condition holds, or it has none: most signals of a trigger end there."""
        return self.when is None or self.when.holds(moment) is True


@dataclass(frozen=True, slots=True)
class Cap:
    """Most contacts in any 24 hours and in any 7 days; None is no limit."""

    day: int | None
    week: int | None


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Minutes of the local day, from inclusive, to exclusive; it may span midnight."""

    from_minute: int
    to_minute: int


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for all actions."""

    control_share: float
    control_salt: str
    exploration: float
    capped_purposes: frozenset[str]
    total_cap: Cap | None
    channel_caps: Mapping[str, Cap]
    household_cap: Cap | None
    quiet_hours: Mapping[str, QuietHours]
    complaint_silence_ms: int
    bounce_silence_ms: int
    language: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A checked catalogue, ready to decide with.

    Parameters
    ----------
    version : SHA-256 of ``document``, hex
    document : canonical JSON
    """

    version: str
    document: bytes
    currency: str
    policy: Policy
    contexts: tuple[Context, ...]
    actions: Mapping[str, Action]
    triggers: Mapping[str, Trigger]
    _index: Mapping[tuple[str, str], Mapping[str, tuple[Trigger, ...]]]

    def triggered(self, signal: Signal) -> tuple[Trigger, ...]:
        """Return the triggers that a signal may set off, conditions not yet asked: 0.3 us."""
        kind = signal["kind"]
        index = self._index
        found = index.get((kind, signal["name"])) or index.get((kind, ""))
        if found is None:
            return ()
        of_channel = found.get(signal["channel"])
        return found[""] if of_channel is None else of_channel


def canonical(document: Any) -> bytes:
    """Return a document's canonical JSON: sorted keys, no spaces, UTF-8."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def version_of(document: bytes) -> str:
    """Return the version that a canonical document has: its SHA-256, hex."""
    return sha256(document).hexdigest()


def build(document: Mapping[str, Any]) -> Catalogue:
    """Compile a checked document.

    Notes
    -----
    Trusts its input: a document that was not checked may raise anything.
    """
    raw = canonical(document)
    defaults = document.get("defaults", {})
    levers = {
        name: Lever(name, float(lever["factor"]), _condition(lever.get("when")))
        for name, lever in document.get("levers", {}).items()
    }
    actions = {action["id"]: _action(action, defaults, levers) for action in document["actions"]}
    contexts = tuple(_context(context) for context in document.get("contexts", ()))
    triggers = {
        name: _trigger(name, trigger, document["actions"], actions) for name, trigger in document["triggers"].items()
    }
    return Catalogue(
        version=version_of(raw),
        document=raw,
        currency=document["currency"],
        policy=_policy(document.get("policy", {}), defaults),
        contexts=contexts,
        actions=actions,
        triggers=triggers,
        _index=_index_of(triggers.values()),
    )


def _condition(source: str | None) -> Condition | None:
    return None if source is None else compile_condition(source)


def _action(action: Mapping[str, Any], defaults: Mapping[str, Any], levers: Mapping[str, Lever]) -> Action:
    cost = float(action.get("cost", defaults.get("cost", 0.0)))
    until = action.get("until")
    return Action(
        id=action["id"],
        title=action["title"],
        purpose=action["purpose"],
        conditions=tuple(
            (name, compile_condition(action[name]))
            for name in ("eligibility", "applicability", "suitability")
            if name in action
        ),
        value=float(action["value"]),
        goal=action["goal"]["kind"],
        within_ms=duration_ms(action["goal"]["within"]),
        cooldown_ms=duration_ms(action.get("cooldown", defaults.get("cooldown", DEFAULT_COOLDOWN))),
        expiry_ms=duration_ms(action.get("expiry", defaults.get("expiry", DEFAULT_EXPIRY))),
        until_ms=None if until is None else int(datetime.fromisoformat(until).timestamp() * 1000),
        lever=levers[action["lever"]] if "lever" in action else None,
        params=tuple(_param(name, param) for name, param in action.get("params", {}).items()),
        treatments=tuple(_treatment(treatment, action["id"], cost) for treatment in action["treatments"]),
    )


def param_source(param: Mapping[str, Any]) -> str | None:
    """Return the name that a parameter reads, as a condition would write it; None for fixed text."""
    if "trait" in param:
        return f"record.traits.{param['trait']}"
    if "signal" in param:
        return f"signal.{param['signal']}"
    name = param.get("record", param.get("money"))
    return None if name is None else f"record.{name}"


def _param(name: str, param: Mapping[str, Any]) -> Param:
    source = param_source(param)
    read = None if source is None else reader_of(source)
    return Param(name, read, "money" in param, param.get("text", param.get("default", "")))


def _treatment(treatment: Mapping[str, Any], action: str, cost: float) -> Treatment:
    return Treatment(
        id=treatment["id"],
        arm=f"{action}/{treatment['id']}",
        channel=treatment["channel"],
        weight=float(treatment.get("weight", 1.0)),
        cost=float(treatment.get("cost", cost)),
        address=treatment.get("address"),
        texts={
            language.lower(): Text(language, text.get("subject", ""), text["body"])
            for language, text in treatment["languages"].items()
        },
    )


def _context(context: Mapping[str, Any]) -> Context:
    return Context(
        id=context["id"],
        when=compile_condition(context["when"]),
        factor=float(context["factor"]),
        actions=frozenset(context.get("actions", ())),
        purposes=frozenset(context.get("purposes", ())),
        channels=frozenset(context.get("channels", ())),
    )


def _trigger(
    name: str, trigger: Mapping[str, Any], documents: Iterable[Mapping[str, Any]], actions: Mapping[str, Action]
) -> Trigger:
    return Trigger(
        name=name,
        kinds=frozenset(trigger["kinds"]),
        names=frozenset(trigger.get("names", ())),
        channels=frozenset(trigger.get("channels", ())),
        when=_condition(trigger.get("when")),
        actions=tuple(actions[action["id"]] for action in documents if name in action["triggers"]),
    )


def _index_of(triggers: Iterable[Trigger]) -> dict[tuple[str, str], dict[str, tuple[Trigger, ...]]]:
    """Index triggers by (kind, name), then by channel.

    Triggers for any name stand under every name of their kind and under ""; those for any channel under every channel
    that another one names, and under "".
    """
    known = [trigger for trigger in triggers if trigger.actions]
    keys = {(kind, name) for trigger in known for kind in trigger.kinds for name in (trigger.names or {""})}
    found = {
        (kind, name): tuple(t for t in known if kind in t.kinds and (not t.names or name in t.names))
        for kind, name in keys
    }
    return {key: _by_channel(mine) for key, mine in found.items()}


def _by_channel(triggers: Iterable[Trigger]) -> dict[str, tuple[Trigger, ...]]:
    mine = tuple(triggers)
    return {
        channel: tuple(t for t in mine if not t.channels or channel in t.channels)
        for channel in {"", *(channel for t in mine for channel in t.channels)}
    }


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def _cap(cap: Mapping[str, Any]) -> Cap:
    return Cap(cap.get("day"), cap.get("week"))


def _policy(policy: Mapping[str, Any], defaults: Mapping[str, Any]) -> Policy:
    control = policy.get("control", {})
    caps = policy.get("caps", {})
    return Policy(
        control_share=float(control.get("share", 0.0)),
        control_salt=control.get("salt", ""),
        exploration=float(policy.get("exploration", DEFAULT_EXPLORATION)),
        # Caps are against too much advertising; who has a ticket open wants to hear of it.
        capped_purposes=frozenset(caps.get("purposes", ("marketing",))),
        total_cap=_cap(caps["total"]) if "total" in caps else None,
        channel_caps={channel: _cap(cap) for channel, cap in caps.get("channels", {}).items()},
        household_cap=_cap(caps["household"]) if "household" in caps else None,
        quiet_hours={
            channel: QuietHours(_minutes(hours["from"]), _minutes(hours["to"]))
            for channel, hours in policy.get("quiet_hours", {}).items()
        },
        complaint_silence_ms=duration_ms(policy.get("complaint_silence", DEFAULT_COMPLAINT_SILENCE)),
        bounce_silence_ms=duration_ms(policy.get("bounce_silence", DEFAULT_BOUNCE_SILENCE)),
        language=defaults.get("language", DEFAULT_LANGUAGE),
        time_zone=defaults.get("time_zone", DEFAULT_TIME_ZONE),
    )
