"""From evidence to the demo's results: what goes into demo.json and the report, and whether the run was good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.demo.evidence import Evidence, Goal
from deploy.demo.figures import (
    Matching,
    Rewarded,
    Uplift,
    auc_or_none,
    churn_scores,
    intent_aucs,
    macro,
    matching,
    rewards,
    uplift,
)
from deploy.demo.people import Person
from schemas.identifiers import Hasher


@dataclass(frozen=True, slots=True)
class Results:
    """All figures of a run.

    Parameters
    ----------
    sent : signals that the shop's clients handed over
    """

    sent: int
    evidence: Evidence
    rewarded: Sequence[Rewarded]
    uplift: Uplift
    auc_churn: float | None
    intents: Mapping[str, float]
    matching: Matching

    @property
    def delivered(self) -> int:
        """Actions that reached their channel."""
        return sum(n for (_, event), n in self.evidence.outcomes.items() if event == "delivered")

    @property
    def outcomes(self) -> int:
        """Everything that channels and customers reported about actions."""
        return self.evidence.outcomes.total()

    @property
    def dead(self) -> int:
        """Signals that the customers agent could not process."""
        return sum(n for name, n in self.evidence.dead.items() if name.startswith("customers:"))

    @property
    def lost(self) -> int:
        """Accepted signals that are neither folded nor dead letters; below zero: something was folded twice."""
        return self.evidence.accepted - self.evidence.folded - self.dead

    @property
    def wrong(self) -> list[str]:
        """What must not be, as sentences; empty after a good run."""
        found = []
        own = self.evidence.accepted - self.outcomes_of_deliver
        if self.lost:
            found.append(
                f"{self.evidence.accepted} signals were accepted, but {self.evidence.folded} folded and "
                f"{self.dead} dead-lettered: {abs(self.lost)} {'lost' if self.lost > 0 else 'doubled'}."
            )
        if own < self.sent:
            found.append(f"The clients handed over {self.sent} signals, but {own} are in the topics.")
        if self.evidence.repeated_actions:
            found.append(f"{self.evidence.repeated_actions} decisions led to more than one action.")
        return found

    @property
    def outcomes_of_deliver(self) -> int:
        """Signals in the topics that Sada's own delivery wrote: outcomes, and withdrawals by its links."""
        return self.evidence.by_sada

    def figures(self) -> dict[str, Any]:
        """Return what demo.json holds."""
        return {
            "signals": self.evidence.accepted,
            "customers": self.evidence.customers,
            "merges": self.evidence.merges["merged"],
            "decisions": len(self.evidence.choices),
            "delivered": self.delivered,
            "outcomes": self.outcomes,
            "auc_churn": self.auc_churn,
            "auc_intent": macro(self.intents),
            "uplift": self.uplift.difference,
            "uplift_low": self.uplift.low,
            "uplift_high": self.uplift.high,
        }

    def more(self) -> dict[str, Any]:
        """Return what demo.json holds besides."""
        return {
            "sent": self.sent,
            "folded": self.evidence.folded,
            "dead_letters": dict(self.evidence.dead),
            "lost": self.lost,
            "repeated": self.evidence.repeated,
            "refused_links": self.evidence.merges["refused"],
            "matching": self.matching._asdict(),
            "uplift_means": {"treated": self.uplift.treated, "control": self.uplift.control},
            "uplift_n": {"treated": self.uplift.n_treated, "control": self.uplift.n_control},
            "auc_intents": dict(self.intents),
        }


def score(
    evidence: Evidence, people: Sequence[Person], hasher: Hasher, goals: Mapping[str, Goal], *, end_ms: int, sent: int
) -> Results:
    """Return the results of a run that ended at ``end_ms``, simulated time."""
    rewarded = rewards(evidence, goals, end_ms)
    return Results(
        sent=sent,
        evidence=evidence,
        rewarded=rewarded,
        uplift=uplift(rewarded, seed=len(people)),
        auc_churn=auc_or_none(*churn_scores(evidence.lessons)),
        intents=intent_aucs(evidence.lessons),
        matching=matching(people, evidence.identities, hasher),
    )
