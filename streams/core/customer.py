"""One customer's turn: what a signal, or the passing of time, does to a root, and what comes of it for the world.

The order matters and is fixed here: what had run out before the signal is closed first, then what the signal answers;
only then is the customer scored as it now is, a new question opened, and a decision taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from schemas.identity_rules import IdentityRules
from schemas.views import ActionView, DecisionView, ExampleView, Signal
from streams.core import attribution, labels
from streams.core.attribution import NOTHING, Attributed, Settled
from streams.core.catalogue import Catalogue
from streams.core.consent import note_consent
from streams.core.decide import INTENT_SCORES, WENT_QUIET, Arms, Decided, decide, draw_of, timer_signal
from streams.core.facet import fold, new_facet, remember_contact
from streams.core.facet_state import Facet
from streams.core.features import vector as vector_of
from streams.core.golden_record import merge, moment_of
from streams.core.labels import CHURN, INTENT, LEFT, STAYED, LabelRules
from streams.core.links import Message
from streams.core.moment import Moment, Scores
from streams.core.quality import note_violation
from streams.core.relations import places
from streams.core.relations.messages import Place
from streams.core.relations.related import Groups, relate
from streams.core.rules import NO_RULES, Broken, Rules
from streams.core.state import Root, ScoreState
from streams.core.view import GoldenRecord
from streams.core.windows import is_too_late

# A signal that comes later than this behind its partition's stream time is history: it is folded and learned from, but
# to act upon it now would answer yesterday's cart.
STALE_AFTER_MS = 86_400_000


class Scored(Protocol):
    """Both linear models' answer for one customer."""

    @property
    def p_churn(self) -> float:
        """Probability of churn, [0, 1]."""
        ...

    @property
    def intent(self) -> Mapping[str, float]:
        """Probability per intent; they sum to 1."""
        ...


class Scorer(Protocol):
    """The models at one moment, as the core uses them; never changed, only replaced between batches."""

    @property
    def versions(self) -> Mapping[str, int]:
        """Model to version; 0 before any."""
        ...

    def score(self, vector: Sequence[float], /) -> Scored:
        """Score one customer."""
        ...

    @property
    def arms_at(self) -> Arms:
        """The bandit's beliefs about several arms."""
        ...


@dataclass(frozen=True, slots=True)
class Brain:
    """All that decides besides the customer: rules, catalogue and models, the same for a whole batch.

    Parameters
    ----------
    catalogue : None before one was published: then nothing is decided
    """

    scorer: Scorer
    catalogue: Catalogue | None = None
    identity: IdentityRules = field(default_factory=IdentityRules)
    labels: LabelRules = field(default_factory=LabelRules)
    rules: Rules = NO_RULES
    groups: Groups | None = None


@dataclass(slots=True)
class Effects:
    """What a batch's signals come to outside the customers' own state, in order."""

    examples: list[ExampleView] = field(default_factory=list)
    decisions: list[DecisionView] = field(default_factory=list)
    actions: list[ActionView] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    folded: int = 0
    duplicates: int = 0
    too_late: int = 0
    broken: list[Broken] = field(default_factory=list)
    # Completeness and conflict of a sample of records: see _sample.
    sampled: list[tuple[float, float]] = field(default_factory=list)
    unknown_outcomes: int = 0
    # To groups of customers, see relations/.
    messages: list[Message] = field(default_factory=list)

    def attribute(self, attributed: Attributed) -> None:
        """Take in what an event came to."""
        if attributed is NOTHING:  # most signals
            return
        self.settled.extend(attributed.settled)
        self.examples.extend(attributed.examples)
        self.unknown_outcomes += attributed.unknown


def advance(root: Root, now_ms: int, brain: Brain, effects: Effects) -> None:
    """Let time pass for a customer: labels and rewards that have run out are settled.

    Parameters
    ----------
    root : changed in place
    now_ms : stream time, or the time of the signal that follows
    """
    effects.examples.extend(labels.close_by_time(root, now_ms, brain.labels))
    effects.attribute(attribution.on_time(root, now_ms))


def pass_time(root: Root, now_ms: int, brain: Brain, effects: Effects) -> None:
    """Let time pass on a timer, and decide when the customer went quiet by that: nothing else would bring it up.

    Parameters
    ----------
    root : changed in place
    now_ms : stream time
    """
    before = len(effects.examples)
    advance(root, now_ms, brain, effects)
    left = next((e for e in effects.examples[before:] if e["model"] == CHURN and e["label"] == LEFT), None)
    if left is None or brain.catalogue is None or now_ms - left["labelled_at_ms"] > STALE_AFTER_MS:
        return
    record = merge(root, now_ms, brain.rules)
    vector = vector_of(record)
    scored = brain.scorer.score(vector)
    _keep_scores(root, scored, brain.scorer.versions, now_ms)
    # The contact is kept where the customer was last seen.
    node = max(root.facets, key=lambda node: (root.facets[node].last_ms, node))
    _decide(
        root,
        node,
        timer_signal(WENT_QUIET, left["id"], now_ms),
        record=record,
        vector=vector,
        scored=scored,
        brain=brain,
        effects=effects,
    )


def observe(
    root: Root, node: bytes, signal: Signal, at_ms: int, *, stream_ms: int, brain: Brain, effects: Effects
) -> GoldenRecord | None:
    """Fold a signal into a customer, learn from it, score and decide.

    Parameters
    ----------
    root : changed in place
    node : whose facet the signal belongs to
    signal : checked
    at_ms : when it occurred, corrected
    stream_ms : stream time of the partition, at or after ``at_ms``

    Returns
    -------
    The golden record after the signal, or None when it was a sender's retry and nothing changed
    """
    facet = root.facets.get(node)
    if facet is None:
        facet = root.facets[node] = new_facet(node)
    if not fold(facet, signal, at_ms):
        effects.duplicates += 1
        return None
    effects.folded += 1
    effects.too_late += is_too_late(facet, at_ms)
    if brain.groups is not None and signal.get("traits"):
        effects.messages.extend(relate(root, node, brain.groups))
    if brain.rules.signals:
        _flag(facet, signal, brain.rules, effects)
    advance(root, at_ms, brain, effects)
    effects.examples.extend(labels.close_by_signal(root, signal, at_ms, brain.labels))
    outcome = signal.get("outcome")
    if outcome is not None:
        attributed = attribution.on_outcome(root, outcome, at_ms, source=signal["source"], signal_id=signal["id"])
        effects.attribute(attributed)
        if attributed.withdrawal is not None:
            note_consent(facet, attributed.withdrawal.key, attributed.withdrawal.consent)
    effects.attribute(attribution.on_signal(root, signal, at_ms))
    return _judge(root, node, signal, at_ms, stream_ms=stream_ms, brain=brain, effects=effects)


def _flag(facet: Facet, signal: Signal, rules: Rules, effects: Effects) -> None:
    """Count the rules that a signal breaks and still counts."""
    for rule in rules.broken(signal, "flag"):
        note_violation(facet, rule.name)
        effects.broken.append(Broken(rule.name, signal["source"], signal["channel"], "flag"))


# The first record of each batch and every 16th: enough for a share over minutes, 0.2 us a signal.
_SAMPLE_EVERY = 16


def _sample(record: GoldenRecord, effects: Effects) -> None:
    """Note the record's completeness and conflict, for the metrics."""
    if effects.folded % _SAMPLE_EVERY == 1:
        effects.sampled.append((record.completeness(), record.conflict()))


def _judge(
    root: Root, node: bytes, signal: Signal, at_ms: int, *, stream_ms: int, brain: Brain, effects: Effects
) -> GoldenRecord:
    """Score the customer as it now is, open the labels that wait for what comes next, and decide.

    "Now" is the newest moment that the record knows of: a signal that comes late turns neither caps nor quiet hours
    back.
    """
    now_ms = moment_of(root)
    record = merge(root, now_ms, brain.rules)
    _sample(record, effects)
    vector = vector_of(record, signal)
    scored = brain.scorer.score(vector)
    versions = brain.scorer.versions
    _keep_scores(root, scored, versions, now_ms)
    labels.open_labels(
        root,
        node,
        signal,
        vector,
        predicted={CHURN: {LEFT: scored.p_churn, STAYED: 1.0 - scored.p_churn}, INTENT: scored.intent},
        versions=versions,
        at_ms=at_ms,
        rules=brain.labels,
    )
    if stream_ms - at_ms > STALE_AFTER_MS:
        return record
    return _decide(root, node, signal, record=record, vector=vector, scored=scored, brain=brain, effects=effects)


def _decide(
    root: Root,
    node: bytes,
    signal: Signal,
    *,
    record: GoldenRecord,
    vector: Sequence[float],
    scored: Scored,
    brain: Brain,
    effects: Effects,
) -> GoldenRecord:
    """Decide upon every trigger that the signal sets off; return the golden record with what was done."""
    catalogue = brain.catalogue
    if catalogue is None:
        return record
    triggers = catalogue.triggered(signal)
    if not triggers:
        return record
    scores = Scores(scored.p_churn, scored.intent, brain.scorer.versions)
    moment = Moment(record, vector, scores, signal)
    households = places.households(root, catalogue.policy)
    for trigger in triggers:
        if not trigger.goes_off(moment):
            continue
        decided = decide(
            moment,
            trigger,
            root_node=root.node,
            arms=brain.scorer.arms_at,
            catalogue=catalogue,
            draw=draw_of(root.node, signal["id"], trigger.name),
        )
        if households and _is_capped(decided, catalogue):
            question = places.ask(
                root,
                node,
                signal,
                decision=decided.decision["id"],
                trigger=trigger.name,
                at_ms=record.now_ms,
                policy=catalogue.policy,
                groups=households,
            )
            effects.messages.append(question)
            continue
        _do(root, node, decided, effects)
        if decided.contact is not None:
            # The next trigger's caps and cooldowns see this contact.
            record = merge(root, record.now_ms, brain.rules)
            moment = Moment(record, vector, scores, signal)
    return record


def _is_capped(decided: Decided, catalogue: Catalogue) -> bool:
    """Say whether a decision would send something that caps count."""
    return decided.action is not None and decided.action["purpose"] in catalogue.policy.capped_purposes


def _do(root: Root, node: bytes, decided: Decided, effects: Effects) -> None:
    """Let the world and the customer's record know of a decision."""
    decided.decision["node"] = node
    effects.decisions.append(decided.decision)
    root.last_decision = decided.last
    if decided.action is not None:
        effects.actions.append(decided.action)
    if decided.contact is not None:
        facet = root.facets.get(node)
        if facet is None:
            facet = root.facets[node] = new_facet(node)
        remember_contact(facet, decided.contact)


def decide_on(root: Root, place: Place, *, stream_ms: int, brain: Brain, effects: Effects) -> None:
    """Decide upon a trigger that has waited for its household's answer; what is not used is given back.

    Parameters
    ----------
    root : of ``place.node``, changed in place
    stream_ms : stream time of the partition: what has waited too long is history
    """
    catalogue = brain.catalogue
    trigger = None if catalogue is None else catalogue.triggers.get(place.trigger)
    if catalogue is None or trigger is None or stream_ms - place.at_ms > STALE_AFTER_MS:
        effects.messages.extend(places.releases(place, root.node))
        return
    policy, signal = catalogue.policy, places.signal_of(place)
    missing = [group for group in places.households(root, policy) if group not in place.held] if place.granted else []
    if missing:  # a merge has brought another household meanwhile
        question = places.ask(
            root,
            place.node,
            signal,
            decision=place.id,
            trigger=place.trigger,
            at_ms=place.at_ms,
            policy=policy,
            groups=missing,
            held=place.held,
        )
        effects.messages.append(question)
        return
    record = merge(root, place.at_ms, brain.rules)
    vector = vector_of(record, signal)
    scored = brain.scorer.score(vector)
    decided = decide(
        Moment(record, vector, Scores(scored.p_churn, scored.intent, brain.scorer.versions), signal),
        trigger,
        root_node=root.node,
        arms=brain.scorer.arms_at,
        catalogue=catalogue,
        draw=draw_of(root.node, signal["id"], trigger.name),
        denied_by=None if place.granted else place.by,
    )
    if not _is_capped(decided, catalogue):
        effects.messages.extend(places.releases(place, root.node))
    _do(root, place.node, decided, effects)


def _keep_scores(root: Root, scored: Scored, versions: Mapping[str, int], at_ms: int) -> None:
    scores = root.scores
    scores[CHURN] = ScoreState(scored.p_churn, versions[CHURN], at_ms)
    version = versions[INTENT]
    for name, p in scored.intent.items():
        scores[INTENT_SCORES[name]] = ScoreState(p, version, at_ms)
