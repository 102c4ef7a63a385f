"""The decision: for one trigger and one customer, what to do now, *hold* included, and all that it was made from.

score = p x value x context x lever - cost, with p believed to be N(mean, sd) by the bandit, scores in currency
units; *hold* scores 0. See ``choice`` for how one is chosen and what its propensity means.

Notes
-----
The control group (a share of customers by a salted hash of their id) goes through the same computation and chooses
the same way; then nothing is sent. So a control contact and a treated contact differ in nothing but the sending, and
the difference of their rewards is the uplift of acting.
"""

from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from math import isfinite
from sys import byteorder
from typing import NamedTuple

from schemas.features import FEATURE_SET, INTENTS
from schemas.views import ActionView, Candidate, DecisionView, Signal
from streams.core.catalogue import Catalogue, Lever, Trigger
from streams.core.choice import choose, probabilities
from streams.core.eligibility import Option, eligible, hold_reason
from streams.core.facet_state import Contact
from streams.core.message import message_of
from streams.core.moment import Moment
from streams.core.state import LastDecision

# (arms, features) to mean and standard deviation of p, for each arm.
Arms = Callable[[Sequence[str], Sequence[float]], Sequence[tuple[float, float]]]

# Model that learns from decisions' rewards.
PROPENSITY = "propensity"

# How decisions and the customer's state name the scores of intent.
INTENT_SCORES = {name: f"intent.{name}" for name in INTENTS}

# What time itself can set off: the churn horizon passed without a sign of life.
WENT_QUIET = "went_quiet"
TIMERS: tuple[str, ...] = (WENT_QUIET,)


class Decided(NamedTuple):
    """A decision, the action to send if there is one, and what the customer's state keeps of it."""

    decision: DecisionView
    action: ActionView | None
    contact: Contact | None
    last: LastDecision


def draw_of(customer: bytes, signal_id: str, trigger: str) -> float:
    """Return the random draw of a decision, [0, 1), seeded by the signal: the same signal draws the same again."""
    seed = blake2b(b"\0".join((customer, signal_id.encode(), trigger.encode())), digest_size=8, person=b"sada-draw")
    return (int.from_bytes(seed.digest()) >> 11) / (1 << 53)


def decision_id(customer: bytes, signal_id: str, trigger: str) -> str:
    """Return a decision's id, derived from who, upon what and by which rule; hex."""
    seed = blake2b(
        b"\0".join((customer, signal_id.encode(), trigger.encode())), digest_size=16, person=b"sada-decision"
    )
    return seed.hexdigest()


def action_id(decision: str) -> str:
    """Return the id of the action that a decision leads to, hex: a decision leads to one at most."""
    return blake2b(decision.encode(), digest_size=16, person=b"sada-action").hexdigest()


def timer_signal(name: str, cause: str, now_ms: int) -> Signal:
    """Return what stands in a signal's place when time sets off a trigger of the kind ``timer``.

    Parameters
    ----------
    name : one of ``TIMERS``
    cause : id of what ran out: seeds the decision's id and draw
    now_ms : stream time
    """
    return {
        "id": f"timer-{cause}",
        "kind": "timer",
        "name": name,
        "channel": "",
        "source": "sada",
        "identifiers": [],
        "occurred_at_ms": now_ms,
        "received_at_ms": now_ms,
        "context": {},
    }


def in_control(customer: bytes, share: float, salt: str) -> bool:
    """Return whether a customer is held out: a salted hash of the id falls below the share."""
    if share <= 0.0:
        return False
    seed = blake2b(customer, digest_size=8, salt=_salt_of(salt), person=b"sada-control")
    return int.from_bytes(seed.digest()) < share * (1 << 64)


@lru_cache(maxsize=16)  # a catalogue has one, and is seldom replaced
def _salt_of(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def decide(
    moment: Moment,
    trigger: Trigger,
    *,
    root_node: bytes,
    arms: Arms,
    catalogue: Catalogue,
    draw: float,
    denied_by: bytes | None = None,
) -> Decided:
    """Decide what to do for a customer upon a trigger.

    Parameters
    ----------
    moment : the customer now; ``record.now_ms`` is stream time, the vector in the order of the feature set, unscaled
    trigger : one of ``catalogue.triggered(moment.signal)`` that went off: ``trigger.goes_off(moment)``
    root_node : the customer's id, 16 bytes
    arms : the bandit's belief about the rewards of arms ``action/treatment``
    draw : in [0, 1), of ``draw_of``
    denied_by : the customer whose offer made the household deny a place under its cap; None: none was denied

    Notes
    -----
    Pure and deterministic given the draw. Nothing that a customer's record holds makes it raise.
    """
    record, vector, scores, signal = moment
    policy = catalogue.policy
    control = in_control(root_node, policy.control_share, policy.control_salt)
    options, filtered = eligible(trigger, moment, policy, control=control, denied=denied_by is not None)
    candidates, hold_p = _weigh(options, moment, arms, catalogue) if options else ([], 1.0)
    chosen = choose([c["probability"] for c in candidates], draw) if candidates else None
    acts = chosen is not None and not control
    picked = None if chosen is None else candidates[chosen]
    if picked is None:
        hold: str | None = "hold-chosen" if candidates else hold_reason(filtered)
    else:
        hold = "control-group" if control else None
    decision: DecisionView = {
        "id": decision_id(root_node, signal["id"], trigger.name),
        "customer": root_node,
        "signal_id": signal["id"],
        "trigger": trigger.name,
        "decided_at_ms": record.now_ms,
        # A control decision names what would have been sent; ``hold`` says that it was not.
        "action": picked["action"] if picked else None,
        "treatment": picked["treatment"] if picked else None,
        "channel": picked["channel"] if picked else None,
        "hold": hold,
        "control": control,
        "propensity": picked["probability"] if picked else hold_p,
        "draw": draw,
        "candidates": candidates,
        "filtered": filtered,
        "features": list(vector),
        "feature_set": FEATURE_SET,
        "scores": {"churn": scores.churn, **{INTENT_SCORES[name]: p for name, p in scores.intent.items()}},
        "model_versions": dict(scores.versions),
        "catalogue_version": catalogue.version,
        "node": root_node,
        "purpose": "",
        "goal": "",
        "reward_due_ms": 0,
        "denied_by": denied_by or b"",
    }
    if chosen is None:
        return Decided(decision, None, None, last_of(decision))
    option = options[chosen]
    decision["purpose"], decision["goal"] = option.action.purpose, option.action.goal
    decision["reward_due_ms"] = record.now_ms + option.action.within_ms
    action = message_of(decision, action_id(decision["id"]), option, moment, catalogue) if acts else None
    return Decided(decision, action, contact_of(decision), last_of(decision))


def _weigh(
    options: Sequence[Option], moment: Moment, arms: Arms, catalogue: Catalogue
) -> tuple[list[Candidate], float]:
    """Return the options with the terms of their scores and their probabilities, and the probability of hold."""
    active = [each for each in catalogue.contexts if each.when.holds(moment)]
    levers: dict[str, float] = {}
    candidates: list[Candidate] = []
    deviations: list[float] = []
    believed = arms([option.treatment.arm for option in options], moment.vector)
    for (action, treatment, _), (mean, deviation) in zip(options, believed, strict=True):
        factor = 1.0
        for each in active:
            if each.concerns(action, treatment.channel):
                factor *= each.factor
        lever = treatment.weight
        if action.lever is not None:
            if action.lever.id not in levers:
                levers[action.lever.id] = _factor(action.lever, moment)
            lever *= levers[action.lever.id]
        p, sd = _sane(mean, deviation)
        scale = action.value * factor * lever
        deviations.append(sd * scale)
        candidates.append(
            {
                "action": action.id,
                "treatment": treatment.id,
                "channel": treatment.channel,
                "p": p,
                "sd": sd,
                "value": action.value,
                "context": factor,
                "lever": lever,
                "score": p * scale - treatment.cost,
                "probability": 0.0,
            }
        )
    weighed = probabilities([c["score"] for c in candidates], deviations, catalogue.policy.exploration)
    for candidate, probability in zip(candidates, weighed.each, strict=True):
        candidate["probability"] = probability
    return candidates, weighed.hold


def _factor(lever: Lever, moment: Moment) -> float:
    return lever.factor if lever.when is None or lever.when.holds(moment) else 1.0


def _sane(mean: float, sd: float) -> tuple[float, float]:
    """Return a belief about p: a linear one may leave [0, 1], what is meant is the nearest probability."""
    if not (isfinite(mean) and isfinite(sd)):
        return 0.0, 1.0  # a model gone wrong knows nothing; its alarm is its metrics, not a dead partition
    return min(max(mean, 0.0), 1.0), max(sd, 0.0)


def pack_features(vector: Sequence[float]) -> bytes:
    """Return features as float32, little-endian, packed in the order of the feature set."""
    packed = array("f", vector)
    if byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def contact_of(decision: DecisionView) -> Contact | None:
    """Return the contact that a decision made, None with hold: how another generation learns of it."""
    action, arm = decision["action"], (decision["action"], decision["treatment"])
    if action is None:
        return None
    predicted = next((c["p"] for c in decision["candidates"] if (c["action"], c["treatment"]) == arm), 0.0)
    control = decision["control"]
    return Contact(
        action_id=action_id(decision["id"]),
        decision_id=decision["id"],
        action=action,
        treatment=decision["treatment"] or "",
        channel=decision["channel"] or "",
        purpose=decision["purpose"],
        at_ms=decision["decided_at_ms"],
        control=control,
        outcome="",
        outcome_at_ms=0,
        reward_due_ms=decision["reward_due_ms"],
        goal=decision["goal"],
        # Control teaches the bandit nothing about an arm: nothing was sent.
        features=b"" if control else pack_features(decision["features"]),
        propensity=decision["propensity"],
        predicted=predicted,
        version=decision["model_versions"].get(PROPENSITY, 0),
    )


def last_of(decision: DecisionView) -> LastDecision:
    """Return what a customer's state keeps of a decision."""
    return LastDecision(
        decision_id=decision["id"],
        action=decision["action"] or "",
        treatment=decision["treatment"] or "",
        channel=decision["channel"] or "",
        reason=decision["hold"] or "",
        at_ms=decision["decided_at_ms"],
    )
