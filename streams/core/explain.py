"""A decision explained from its record alone: the same choice is computed again, and told in words.

The record holds the belief about every candidate (p, sd), the terms of its score and the draw, so neither the models
nor the customer's state of then are needed; of the catalogue only the share of exploration.
"""

from math import isclose
from typing import NamedTuple

from schemas.views import Candidate, DecisionView
from streams.core.catalogue import Catalogue
from streams.core.choice import choose, probabilities

# Probabilities recomputed by another build of NumPy may differ in their last digits.
_TOLERANCE = 1e-9


class Explanation(NamedTuple):
    """What the record comes to when it is computed again.

    Parameters
    ----------
    consistent : the record's choice and probabilities follow from its own terms
    chosen : (action, treatment) or None for hold, computed again
    propensity : computed again
    differences : what does not follow, in words; empty when consistent
    lines : the decision in words
    """

    consistent: bool
    chosen: tuple[str, str] | None
    propensity: float
    differences: tuple[str, ...]
    lines: tuple[str, ...]


class WrongCatalogueError(ValueError):
    """The catalogue is not the one that the decision was made with."""


def explain(decision: DecisionView, catalogue: Catalogue) -> Explanation:
    """Compute a decision again from its record.

    Parameters
    ----------
    decision : as read from the topic
    catalogue : of the version that the decision names

    Raises
    ------
    WrongCatalogueError
        when it is another version
    """
    if decision["catalogue_version"] != catalogue.version:
        raise WrongCatalogueError(
            f"decision {decision['id']} was made with catalogue {decision['catalogue_version'][:12]},"
            f" not {catalogue.version[:12]}: give that version"
        )
    candidates = decision["candidates"]
    scales = [c["value"] * c["context"] * c["lever"] for c in candidates]
    weighed = probabilities(
        [c["score"] for c in candidates],
        [c["sd"] * scale for c, scale in zip(candidates, scales, strict=True)],
        catalogue.policy.exploration,
    )
    index = choose(weighed.each, decision["draw"])
    chosen = None if index is None else (candidates[index]["action"], candidates[index]["treatment"])
    propensity = weighed.hold if index is None else weighed.each[index]
    differences = tuple(_differences(decision, weighed.each, chosen, propensity, catalogue))
    return Explanation(not differences, chosen, propensity, differences, tuple(_lines(decision)))


def _differences(
    decision: DecisionView,
    each: list[float],
    chosen: tuple[str, str] | None,
    propensity: float,
    catalogue: Catalogue,
) -> list[str]:
    found = []
    recorded = (decision["action"], decision["treatment"]) if decision["action"] is not None else None
    if recorded != chosen:
        found.append(f"the draw {decision['draw']} chooses {chosen or 'hold'}, the record says {recorded or 'hold'}")
    if not isclose(propensity, decision["propensity"], abs_tol=_TOLERANCE):
        found.append(f"propensity {propensity} computed, {decision['propensity']} recorded")
    for candidate, probability in zip(decision["candidates"], each, strict=True):
        name = f"{candidate['action']}/{candidate['treatment']}"
        if not isclose(probability, candidate["probability"], abs_tol=_TOLERANCE):
            found.append(f"{name}: probability {probability} computed, {candidate['probability']} recorded")
        cost = _cost(candidate, catalogue)
        if cost is None:
            found.append(f"{name} is not in the catalogue")
        elif not isclose(_product(candidate) - cost, candidate["score"], rel_tol=1e-9, abs_tol=_TOLERANCE):
            found.append(f"{name}: score {_product(candidate) - cost} computed, {candidate['score']} recorded")
    return found


def _product(candidate: Candidate) -> float:
    return candidate["p"] * (candidate["value"] * candidate["context"] * candidate["lever"])


def _cost(candidate: Candidate, catalogue: Catalogue) -> float | None:
    action = catalogue.actions.get(candidate["action"])
    if action is None:
        return None
    return next((t.cost for t in action.treatments if t.id == candidate["treatment"]), None)


def _lines(decision: DecisionView) -> list[str]:
    what = f"{decision['action']}/{decision['treatment']} on {decision['channel']}" if decision["action"] else "hold"
    why = f" ({decision['hold']})" if decision["hold"] else ""
    first = (
        f"Upon {decision['trigger']} (signal {decision['signal_id']}): {what}{why},"
        f" chosen with probability {decision['propensity']:.3f}."
    )
    denied_by = decision["denied_by"]
    capped = [f"  Its household's cap counts an offer to {denied_by.hex()}."] if denied_by else []
    return [
        first,
        *capped,
        *map(_candidate_line, sorted(decision["candidates"], key=lambda c: -c["score"])),
        *[
            f"  {f['action']}{'/' if f['treatment'] else ''}{f['treatment']}: not possible, {f['reason']}"
            for f in decision["filtered"]
        ],
    ]


def _candidate_line(c: Candidate) -> str:
    return (
        f"  {c['action']}/{c['treatment']}: p {c['p']:.3f} ± {c['sd']:.3f} x value {c['value']:g}"
        f" x context {c['context']:g} x lever {c['lever']:g} less cost = {c['score']:.3f};"
        f" probability {c['probability']:.3f}"
    )
