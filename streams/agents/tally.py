"""Counts of what the customers agent does, for Prometheus.

They are counted when a batch has been worked out, before it is committed: a batch that is aborted and done again
counts twice here. The topics are exact; these are for looking at.
"""

from collections import Counter as Count
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import Counter, Histogram

from streams.core.customer import Effects
from streams.core.cuts import ERASED
from streams.core.links import (
    Crowded,
    Event,
    Forgotten,
    Joined,
    Merged,
    Parted,
    Postponed,
    Refused,
    Released,
    Suspended,
    Void,
)
from streams.core.near.messages import Distinguished, Matched
from streams.lane.job import Failure

SIGNALS = Counter("sada_signals_total", "Signals taken into a customer's record.")
DUPLICATES = Counter("sada_signal_duplicates_total", "Senders' retries dropped by their message id.")
TOO_LATE = Counter(
    "sada_signals_too_late_total", "Signals later than all rolling windows: they count in lifetime counts only."
)
QUALITY = Counter(
    "sada_quality_violations_total",
    "Signals that broke a quality rule, by rule, source, channel and what became of them.",
    ["rule", "source", "channel", "then"],
)
# Shares in [0, 1]; a sample of the records that signals touch.
_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
COMPLETENESS = Histogram("sada_record_completeness", "Completeness of a sample of golden records.", buckets=_SHARES)
CONFLICT = Histogram(
    "sada_record_conflict", "Share of traits on which sources disagree, of a sample of golden records.", buckets=_SHARES
)
# Label values of sources: a shop has a few dozen; a hostile sender must not fill Prometheus.
MAX_SOURCES = 200
NOTED = Counter(
    "sada_signal_notes_total",
    "Signals forwarded, identifiers left out, facets too large to keep whole, by reason.",
    ["note"],
)
IDENTITY = Counter(
    "sada_identity_events_total",
    "Identity: nodes joined, customers merged and split, links refused, values suspended, rulings void; households "
    "and accounts crowded, which are used in nothing from then on.",
    ["event"],
)
ERASURES = Counter(
    "sada_erasures_total",
    "Erasures: done (customers erased, and identifiers marked before anybody had them), or void (erased before).",
    ["outcome"],
)
CREATED = Counter("sada_customers_created_total", "Customers that came to be: first seen, or parted from another.")
DEAD = Counter("sada_dead_letters_total", "Records that could not be processed.", ["stage", "code"])
DECISIONS = Counter(
    "sada_decisions_total", "Decisions by trigger, action chosen, and why held.", ["trigger", "action", "hold"]
)
ACTIONS = Counter("sada_actions_total", "Actions sent to their channels.", ["action", "channel"])
FILTERED = Counter("sada_decision_filtered_total", "Treatments filtered out, by rule.", ["action", "reason"])
REWARDS = Counter("sada_rewards_total", "Sum of rewards settled, by group.", ["group", "action"])
REWARDED = Counter("sada_rewards_settled_total", "Decisions whose reward is known, by group.", ["group", "action"])
EXAMPLES = Counter("sada_examples_total", "Examples written for the learners.", ["model"])
UNKNOWN_OUTCOMES = Counter(
    "sada_outcomes_unknown_total", "Outcomes of actions that the customer's record does not know."
)

# Members after a merge: a person has a handful, a family device a dozen, and beyond that strangers are being joined.
MEMBERS = Histogram(
    "sada_merged_customer_members",
    "Identifiers of a customer after it has taken in another.",
    buckets=(2, 3, 5, 8, 13, 21, 34, 55, 89),
)

_EVENTS = {
    Joined: "joined",
    Merged: "merged",
    Refused: "refused",
    Postponed: "postponed",
    Crowded: "crowded",
    Parted: "split",
    Suspended: "suspended",
    Released: "released",
    Void: "void",
    Forgotten: "erased",
    Distinguished: "different",
}
MATCHES = Counter(
    "sada_near_matches_total",
    "Pairs of customers who may be one person, by what became of them: open, linking, linked, different, gone.",
    ["state"],
)


class Tally:
    """Adds a batch's counts to the metrics, each label once per batch."""

    def __init__(self) -> None:
        self._sources: set[str] = set()

    def _source(self, source: str) -> str:
        """Return a source as a label. Sources name themselves: beyond MAX_SOURCES they are counted together."""
        if source not in self._sources:
            if len(self._sources) >= MAX_SOURCES:
                return "other"
            self._sources.add(source)
        return source

    def merged(self, members: Iterable[int]) -> None:
        """Note how many identifiers customers have after a merge."""
        for count in members:
            MEMBERS.observe(count)

    def batch(
        self, effects: Effects, events: Iterable[Event], noted: Mapping[str, int], failures: Sequence[Failure]
    ) -> None:
        """Count a batch."""
        SIGNALS.inc(effects.folded)
        DUPLICATES.inc(effects.duplicates)
        TOO_LATE.inc(effects.too_late)
        for broken, count in Count(effects.broken).items():
            QUALITY.labels(broken.rule, self._source(broken.source), broken.channel, broken.then).inc(count)
        for complete, contested in effects.sampled:
            COMPLETENESS.observe(complete)
            CONFLICT.observe(contested)
        UNKNOWN_OUTCOMES.inc(effects.unknown_outcomes)
        for note, count in noted.items():
            NOTED.labels(note).inc(count)
        for told, count in Count(_EVENTS[type(event)] for event in events if type(event) in _EVENTS).items():
            IDENTITY.labels(told).inc(count)
        ERASURES.labels("done").inc(sum(isinstance(event, Forgotten) for event in events))
        ERASURES.labels("void").inc(sum(isinstance(event, Void) and event.reason == ERASED for event in events))
        for state, count in Count(event.state for event in events if isinstance(event, Matched)).items():
            MATCHES.labels(state).inc(count)
        CREATED.inc(sum(isinstance(event, Joined) and event.node == event.customer for event in events))
        for code, count in Count(failure.code for failure in failures).items():
            DEAD.labels("customers", code).inc(count)
        for model, count in Count(example["model"] for example in effects.examples).items():
            EXAMPLES.labels(model).inc(count)
        self._decided(effects)
        for settled in effects.settled:
            group = "treated" if settled.treated else "control"
            REWARDS.labels(group, settled.contact.action).inc(settled.reward)
            REWARDED.labels(group, settled.contact.action).inc()

    def _decided(self, effects: Effects) -> None:
        decisions = effects.decisions
        for decided, count in Count((d["trigger"], d["action"] or "", d["hold"] or "") for d in decisions).items():
            DECISIONS.labels(*decided).inc(count)
        filtered = Count((f["action"], f["reason"]) for decision in decisions for f in decision["filtered"])
        for reason, count in filtered.items():
            FILTERED.labels(*reason).inc(count)
        for sent, count in Count((action["action"], action["channel"]) for action in effects.actions).items():
            ACTIONS.labels(*sent).inc(count)
