"""The demo's figures, from the evidence alone; the shop's truth is used to score, never the pipeline's own counts."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from deploy.demo.evidence import Choice, Evidence, Goal, Lesson
from deploy.demo.people import Person, true_pairs
from models.evaluate import exact_auc
from schemas.features import INTENTS
from schemas.identifiers import Hasher, normalise

# Resamples of the customers for the interval of the uplift: its ends stand still to a few parts in a hundred.
RESAMPLES = 2_000
LEFT = "1"


class Rewarded(NamedTuple):
    """A decision to act whose window has run out, with what came of it."""

    choice: Choice
    reward: float


class Uplift(NamedTuple):
    """Difference of mean rewards, treated less control, with a 95 % interval; and the means and counts."""

    difference: float
    low: float
    high: float
    treated: float
    control: float
    n_treated: int
    n_control: int


class Matching(NamedTuple):
    """How well customers match people, over pairs of identifiers."""

    precision: float
    recall: float


def rewards(evidence: Evidence, goals: Mapping[str, Goal], end_ms: int) -> list[Rewarded]:
    """Return the rewards of decisions to act, treated and control alike, whose window lies before the end.

    Notes
    -----
    Worked out anew from the signals: 1 when the goal was reached within the window, 0 when not or when the customer
    complained or unsubscribed because of it first; calm is reached by no complaint.
    """
    times: dict[tuple[bytes, str], list[int]] = defaultdict(list)
    for seen in evidence.seen:
        for reached in seen.goals:
            times[seen.customer, reached].append(seen.at_ms)
    for each in times.values():
        each.sort()
    found = []
    for choice in evidence.choices:
        goal = goals.get(choice.action)
        if goal is None or choice.hold not in ("", "control-group") or choice.at_ms + goal.within_ms > end_ms:
            continue
        found.append(Rewarded(choice, _reward(choice, goal, times, evidence)))
    return found


def _reward(choice: Choice, goal: Goal, times: Mapping[tuple[bytes, str], list[int]], evidence: Evidence) -> float:
    due_ms = choice.at_ms + goal.within_ms
    refused = evidence.refusals.get(choice.action_id, due_ms + 1)
    if goal.kind == "click":
        reached: int | None = evidence.clicked.get(choice.action_id)
    else:
        reached = _first(times.get((choice.customer, "complaint" if goal.kind == "calm" else goal.kind), []), choice)
    in_time = reached is not None and reached <= due_ms
    if goal.kind == "calm":
        return 0.0 if in_time or refused <= due_ms else 1.0
    return 1.0 if in_time and reached is not None and reached <= refused else 0.0


def _first(times: Sequence[int], choice: Choice) -> int | None:
    at = bisect_right(times, choice.at_ms)
    return times[at] if at < len(times) else None


def uplift(found: Sequence[Rewarded], seed: int) -> Uplift:
    """Return the uplift with its interval, by a bootstrap over customers: one customer's decisions go together.

    References
    ----------
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13; Field and Welsh 2007 on clusters
    """
    by_customer: dict[bytes, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0, 0.0])
    for choice, reward in found:
        at = 2 if choice.control else 0
        sums = by_customer[choice.customer]
        sums[at] += reward
        sums[at + 1] += 1.0
    sums_of = np.array(list(by_customer.values())).reshape(-1, 4)
    total = sums_of.sum(axis=0)
    if not total[1] or not total[3]:
        return Uplift(0.0, -1.0, 1.0, 0.0, 0.0, int(total[1]), int(total[3]))
    draws = np.random.default_rng(seed).multinomial(len(sums_of), [1 / len(sums_of)] * len(sums_of), RESAMPLES)
    resampled = draws @ sums_of
    resampled = resampled[(resampled[:, 1] > 0) & (resampled[:, 3] > 0)]
    differences = resampled[:, 0] / resampled[:, 1] - resampled[:, 2] / resampled[:, 3]
    low, high = np.quantile(differences, [0.025, 0.975])
    treated, control = total[0] / total[1], total[2] / total[3]
    return Uplift(
        float(treated - control), float(low), float(high), float(treated), float(control), int(total[1]), int(total[3])
    )


def churn_scores(lessons: Sequence[Lesson]) -> tuple[list[float], list[bool]]:
    """Return the churn scores that a model served (no priors) by time, and what then happened."""
    served = sorted((e for e in lessons if e.model == "churn" and e.version > 0), key=lambda e: e.scored_at_ms)
    return [each.predicted[LEFT] for each in served], [each.label == LEFT for each in served]


def auc_or_none(scores: Sequence[float], targets: Sequence[bool]) -> float | None:
    """Return the AUC, None where one class is missing."""
    return exact_auc(scores, targets) if any(targets) and not all(targets) else None


def intent_aucs(lessons: Sequence[Lesson]) -> dict[str, float]:
    """Return the one-vs-rest AUC of each intent that came at all."""
    served = [each for each in lessons if each.model == "intent" and each.version > 0]
    found = {}
    for intent in INTENTS:
        auc = auc_or_none([each.predicted[intent] for each in served], [each.label == intent for each in served])
        if auc is not None:
            found[intent] = auc
    return found


def macro(aucs: Mapping[str, float]) -> float | None:
    """Return the mean over the intents that came, None when there are none."""
    return sum(aucs.values()) / len(aucs) if aucs else None


def matching(people: Sequence[Person], identities: Mapping[bytes, bytes], hasher: Hasher) -> Matching:
    """Return pairwise precision and recall of customers against people, over the identifiers that were seen.

    Notes
    -----
    Precision: of all pairs of identifiers in one customer, how many belong to one person. Recall: of all pairs of
    one person's identifiers, how many are in one customer; pairs that nothing ever linked count against it as well.
    """
    owners: dict[bytes, set[int]] = {}
    for (kind, value), numbers in true_pairs(people).items():
        node = hasher.node(normalise(kind, value))
        if node in identities:
            owners[node] = numbers
    by_customer: dict[bytes, list[bytes]] = defaultdict(list)
    by_person: dict[int, list[bytes]] = defaultdict(list)
    for node, numbers in owners.items():
        by_customer[identities[node]].append(node)
        for number in numbers:
            by_person[number].append(node)
    together = right = 0
    for nodes in by_customer.values():
        for one, two in _pairs(nodes):
            together += 1
            right += bool(owners[one] & owners[two])
    belong = found = 0
    for nodes in by_person.values():
        for one, two in _pairs(nodes):
            belong += 1
            found += identities[one] == identities[two]
    return Matching(right / together if together else 1.0, found / belong if belong else 1.0)


def _pairs(nodes: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    return [(one, two) for at, one in enumerate(nodes) for two in nodes[at + 1 :]]


def moods(people: Sequence[Person], evidence: Evidence, hasher: Hasher) -> tuple[list[float], list[float]]:
    """Return the true mood and the mood as Sada sees it, of everybody with a word in their record."""
    true, seen = [], []
    for person in people:
        customer = evidence.identities.get(hasher.node(normalise("user_id", person.user_id)))
        if customer is not None and evidence.moods.get(customer):
            true.append(person.mood)
            seen.append(evidence.moods[customer])
    return true, seen
