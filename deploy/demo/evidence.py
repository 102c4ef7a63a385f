"""What the topics hold at the end, in few words per record: the evidence from which all figures come."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from deploy.demo.reader import Reader
from schemas.identifiers import Hasher, Identifier, IdentifierError, normalise, strongest
from schemas.topics import ACTION_CHANNELS, CHANNELS, DEAD_LETTERS, DECISIONS, EXAMPLES, IDENTITIES, MERGES, PROFILES
from schemas.topics import actions as actions_topic
from schemas.topics import signals as signals_topic

# The source of the signals that Sada's own delivery writes (connectors/outbound/outcomes.py).
DELIVERY = "sada-deliver"
# The shop's reasons to call are complaints, all of them (visits.py).
_COMPLAINS = frozenset({"opened", "call_started"})
_UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}


class Seen(NamedTuple):
    """A signal: whose (final customer), when, on which channel, and which goals it reaches."""

    customer: bytes
    at_ms: int
    channel: str
    goals: frozenset[str]


class Choice(NamedTuple):
    """A decision; ``action`` is empty when there was nothing to choose; ``customer`` is the final one."""

    customer: bytes
    at_ms: int
    action: str
    treatment: str
    channel: str
    hold: str
    control: bool
    p: float
    action_id: str


class Lesson(NamedTuple):
    """An example as it was learned from."""

    model: str
    arm: str
    label: str
    reward: float
    predicted: Mapping[str, float]
    version: int
    scored_at_ms: int


class Goal(NamedTuple):
    """What an action wants, and within which time."""

    kind: str
    within_ms: int


@dataclass(slots=True)
class Evidence:
    """Everything that the figures need.

    Parameters
    ----------
    accepted : distinct signals in the topics; repeated : records beyond them; by_sada : those of Sada's delivery
    folded : signals in the golden records; dead : dead letters of the customers agent, by code
    outcomes : events by (channel that delivered, event); refusals : action id to when it was refused
    identities : node to customer
    moods : customer to mood as Sada sees it
    """

    seen: list[Seen] = field(default_factory=list)
    accepted: int = 0
    by_sada: int = 0
    repeated: int = 0
    folded: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    clicked: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    choices: list[Choice] = field(default_factory=list)
    lessons: list[Lesson] = field(default_factory=list)
    merges: Counter[str] = field(default_factory=Counter)
    merged_at_ms: list[int] = field(default_factory=list)
    identities: dict[bytes, bytes] = field(default_factory=dict)
    moods: dict[bytes, float] = field(default_factory=dict)
    customers: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    repeated_actions: int = 0


def gather(reader: Reader, hasher: Hasher) -> Evidence:
    """Read the topics.

    Parameters
    ----------
    reader : of the stack
    hasher : with the stack's own key: names of nodes

    Raises
    ------
    StackError
        when the broker is silent
    """
    found = Evidence()
    found.identities = {node: value["customer"] for node, value in reader.newest(IDENTITIES).items()}
    profiles = reader.newest(PROFILES)
    found.customers = len(profiles)
    found.folded = sum(profile["history"]["signals"] for profile in profiles.values())
    found.moods = {node: profile["flags"]["mood"] for node, profile in profiles.items()}
    ids: set[tuple[str, str]] = set()
    for channel in CHANNELS:
        for signal in reader.values(signals_topic(channel)):
            _take_signal(found, signal, hasher, ids)
    for letter in reader.values(DEAD_LETTERS):
        found.dead[f"{letter['stage']}: {letter['code']}"] += 1
    for merge in reader.values(MERGES):
        found.merges[merge["kind"]] += 1
        if merge["kind"] == "merged":
            found.merged_at_ms.append(merge["at_ms"])
    action_of = _actions(found, reader)
    for decision in reader.values(DECISIONS):
        found.choices.append(_choice(decision, found.identities, action_of))
    found.lessons = [_lesson(example) for example in reader.values(EXAMPLES)]
    return found


def _actions(found: Evidence, reader: Reader) -> dict[str, str]:
    """Return decision id to action id."""
    action_of: dict[str, str] = {}
    for channel in ACTION_CHANNELS:
        for action in reader.values(actions_topic(channel)):
            found.actions[channel] += 1
            found.repeated_actions += action["decision_id"] in action_of
            action_of[action["decision_id"]] = action["id"]
    return action_of


def _take_signal(found: Evidence, signal: dict[str, Any], hasher: Hasher, ids: set[tuple[str, str]]) -> None:
    name = (signal["source"], signal["id"])
    if name in ids:
        found.repeated += 1
        return
    ids.add(name)
    found.accepted += 1
    found.by_sada += signal["source"] == DELIVERY
    at_ms = min(signal["occurred_at_ms"], signal["received_at_ms"])
    node = node_of(signal["identifiers"], hasher)
    found.seen.append(Seen(found.identities.get(node, node), at_ms, signal["channel"], goals_of(signal)))
    outcome = signal["outcome"]
    if outcome is not None:
        event, action_id = outcome["event"], outcome["action_id"]
        found.outcomes[outcome["delivered_on"] or "", event] += 1
        if event in ("complained", "unsubscribed"):
            found.refusals[action_id] = min(at_ms, found.refusals.get(action_id, at_ms))
        elif event == "clicked":
            found.clicked[action_id] = min(at_ms, found.clicked.get(action_id, at_ms))


def node_of(identifiers: Sequence[Mapping[str, str]], hasher: Hasher) -> bytes:
    """Return the node of a signal's strongest identifier; empty when none can be used."""
    usable: list[Identifier] = []
    for each in identifiers:
        if each["kind"] == "customer_id":
            return bytes.fromhex(each["value"])
        try:
            usable.append(normalise(each["kind"], each["value"]))
        except IdentifierError:
            continue  # the agent leaves it out as well
    return hasher.node(strongest(usable)) if usable else b""


def goals_of(signal: Mapping[str, Any]) -> frozenset[str]:
    """Return the goals of the demo's catalogue that a signal reaches, and complaint, which ends calm."""
    kind = signal["kind"]
    if kind == "transaction" and signal["transaction"]["type"] == "order":
        return frozenset({"order"})
    if kind == "behaviour":
        return frozenset({"session"})
    if kind == "survey":
        return frozenset({"survey"})
    if kind == "service" and signal["service"]["event"] in _COMPLAINS:
        return frozenset({"complaint"})
    return frozenset()


def _choice(decision: dict[str, Any], identities: Mapping[bytes, bytes], action_of: Mapping[str, str]) -> Choice:
    customer, action, treatment = decision["customer"], decision["action"] or "", decision["treatment"] or ""
    p = next((c["p"] for c in decision["candidates"] if (c["action"], c["treatment"]) == (action, treatment)), 0.0)
    return Choice(
        identities.get(customer, customer),
        decision["decided_at_ms"],
        action,
        treatment,
        decision["channel"] or "",
        decision["hold"] or "",
        decision["control"],
        p,
        action_of.get(decision["id"], ""),
    )


def _lesson(example: dict[str, Any]) -> Lesson:
    return Lesson(
        example["model"],
        example["arm"],
        example["label"],
        example["reward"],
        example["predicted"],
        example["predicted_version"],
        example["scored_at_ms"],
    )


def goals_in(catalogue: Path) -> dict[str, Goal]:
    """Return each action's goal."""
    content = yaml.safe_load(catalogue.read_text())
    return {action["id"]: Goal(action["goal"]["kind"], _ms(action["goal"]["within"])) for action in content["actions"]}


def _ms(words: str) -> int:
    return int(words[:-1]) * _UNITS_MS[words[-1]]
