"""Delayed labels: a score waits on its facet until what the customer does next, or the horizon, labels it.

Per signal at time t the agent calls, in this order::

    examples = close_by_time(root, t, rules)           # what had run out before this signal
    examples += close_by_signal(root, signal, t, rules)  # what this signal answers
    ... fold, features, score ...
    open_labels(root, node, signal, vector, predicted=..., versions=..., at_ms=t, rules=rules)

and on a timer ``close_by_time(root, stream_ms, rules)``. Whether the timer or a later signal comes first makes no
difference: a pending label that ran out before the signal gets the same example from either.

After a merge the pendings of both customers lie in the root's facets; each is closed by itself.
"""

import hashlib
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.features import FEATURE_SET
from schemas.views import ExampleView, Signal
from streams.core.facet_state import PendingLabel
from streams.core.folds import COMPLAINT_MOOD, COMPLAINT_SHARE, SCALES
from streams.core.mood import mood_of
from streams.core.state import Root
from streams.core.vocabulary import is_activity, is_complaint_reason, role_of

CHURN = "churn"
INTENT = "intent"

LEFT = "1"
STAYED = "0"
LEAVE = "leave"

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class LabelRules:
    """How labels are made.

    Parameters
    ----------
    anchor : what churn is about: ``activity``, anything that the customer does, or ``order``
    churn_horizon_ms : no anchor for so long after the score is churn
    churn_gap_ms : an anchor sooner than this after the score is the same visit: it neither labels nor opens
    intent_horizon_ms : nothing for so long after the score is ``leave``
    intent_rate : share of signals whose intent is scored for learning, in [0, 1]

    Raises
    ------
    ValueError
        when a horizon is not positive, the gap not below the churn horizon, or the rate outside [0, 1]
    """

    anchor: Literal["activity", "order"] = "activity"
    # 14 days: two weekly rhythms missed; early enough that an offer can still bring the customer back.
    churn_horizon_ms: int = 14 * DAY_MS
    # 12 hours: the clicks of one visit would otherwise label each other, and churn would be "closed the tab".
    churn_gap_ms: int = 12 * HOUR_MS
    # 30 minutes: the usual end of a web session.
    intent_horizon_ms: int = 30 * 60_000
    # One signal in ten: an example costs some 150 us to learn and 200 bytes of state while it waits.
    intent_rate: float = 0.1

    def __post_init__(self) -> None:
        if self.churn_horizon_ms <= 0 or self.intent_horizon_ms <= 0:
            raise ValueError("a horizon is at least one millisecond")
        if not 0 <= self.churn_gap_ms < self.churn_horizon_ms:
            raise ValueError("churn_gap_ms is at least 0 and below churn_horizon_ms")
        if not 0.0 <= self.intent_rate <= 1.0:
            raise ValueError("intent_rate is in [0, 1]")


# Instacart's question: is the next order more than 14 days away? Each order asks it, and the next order answers. The
# sample counts days, so half a day more: an order 14 days later in the evening is in time, one after 15 is not.
INSTACART = LabelRules(anchor="order", churn_horizon_ms=14 * DAY_MS + 12 * HOUR_MS, churn_gap_ms=0)


def intent_of(signal: Signal) -> str | None:
    """Return what the customer does with this signal, as one of INTENTS, or None when it is not the customer's doing.

    Notes
    -----
    A complaint is what the golden record counts as one (``folds``). Reads the words of messages, so up to 20 us.
    """
    if not is_activity(signal):
        return None
    if signal["kind"] == "transaction":
        transaction = signal.get("transaction")
        return "buy" if transaction is not None and transaction["type"] == "order" else "return"
    return "complain" if complains(signal) else "browse"


def complains(signal: Signal) -> bool:
    """Say whether what the customer does is a complaint: by its name, reason, score or words."""
    message, service = signal.get("message"), signal.get("service")
    survey, outcome = signal.get("survey"), signal.get("outcome")
    words = ""
    if message is not None:
        words = f"{message.get('subject') or ''} {message.get('text') or ''}"
    elif service is not None:
        if is_complaint_reason(service.get("reason") or ""):
            return True
        words = service.get("text") or ""
    elif survey is not None:
        score, scale = survey.get("score"), survey.get("scale_max") or SCALES.get(survey["survey"].lower())
        if score is not None and scale and score <= COMPLAINT_SHARE * scale:
            return True
        words = survey.get("text") or ""
    elif outcome is not None:
        return outcome["event"] == "complained"
    mood = mood_of(words) if words else None
    return (mood is not None and mood <= COMPLAINT_MOOD) or role_of(signal["name"]) == "complaint"


def is_anchor(signal: Signal, rules: LabelRules) -> bool:
    """Say whether a signal is the activity that churn is about."""
    if rules.anchor == "activity":
        return is_activity(signal)
    transaction = signal.get("transaction")
    return transaction is not None and transaction["type"] == "order"


def open_labels(
    root: Root,
    node: bytes,
    signal: Signal,
    vector: Sequence[float],
    *,
    predicted: Mapping[str, Mapping[str, float]],
    versions: Mapping[str, int],
    at_ms: int,
    rules: LabelRules,
) -> list[str]:
    """Open the labels that a signal's scores wait for, in the facet of ``node``; return the models opened.

    Parameters
    ----------
    root : the customer, changed in place
    node : whose facet keeps the labels: that of the signal
    vector : features in the order of the feature set, as scored
    predicted : model to class to probability, as served
    versions : model to the version that scored; 0 before any
    at_ms : when the signal occurred

    Notes
    -----
    A late signal (another of the customer's came after it) opens nothing: what followed it is known already.
    """
    if not is_activity(signal):
        return []
    waiting: list[str] = []
    for facet in root.facets.values():
        if facet.last_ms > at_ms:
            return []
        for pending in facet.pending:
            waiting.append(pending.model)  # noqa: PERF401 - one or two: a comprehension costs more
    opened: list[str] = []
    if CHURN not in waiting and is_anchor(signal, rules):
        opened.append(CHURN)
    if INTENT not in waiting and draw_of(signal["id"]) < rules.intent_rate:
        opened.append(INTENT)
    if opened:
        facet = root.facets[node]
        packed = pack(vector)
        for model in opened:
            facet.pending.append(
                PendingLabel(
                    model=model,
                    id=example_id(node, signal["id"], model),
                    features=packed,
                    predicted=dict(predicted.get(model, {})),
                    version=versions.get(model, 0),
                    scored_at_ms=at_ms,
                    due_ms=at_ms + _horizon_ms(model, rules) + 1,
                )
            )
    return opened


def close_by_signal(root: Root, signal: Signal, at_ms: int, rules: LabelRules) -> list[ExampleView]:
    """Close the labels that a signal at ``at_ms`` answers; return their examples.

    A signal at or before the score (a late one) answers nothing. One that comes after the label ran out closes it
    as its timer would have.
    """
    if not is_activity(signal):
        return []
    examples: list[ExampleView] = []
    for facet in root.facets.values():
        if not facet.pending:
            continue
        for pending in tuple(facet.pending):
            label = _answer(pending, signal, at_ms, rules)
            if label:
                facet.pending.remove(pending)
                examples.append(_example(pending, label, min(at_ms, pending.due_ms)))
    return examples


def _answer(pending: PendingLabel, signal: Signal, at_ms: int, rules: LabelRules) -> str:
    """Return the label that a doing of the customer gives a pending score; empty when it gives none."""
    if at_ms <= pending.scored_at_ms:
        return ""
    if at_ms >= pending.due_ms:
        return _ran_out(pending)
    if pending.model == INTENT:
        return intent_of(signal) or ""
    if at_ms - pending.scored_at_ms < rules.churn_gap_ms or not is_anchor(signal, rules):
        return ""
    return STAYED


def _ran_out(pending: PendingLabel) -> str:
    return LEAVE if pending.model == INTENT else LEFT


def close_by_time(root: Root, now_ms: int, rules: LabelRules) -> list[ExampleView]:  # noqa: ARG001 - one shape for both
    """Close the labels that have run out at ``now_ms``: churn, or leave; return their examples."""
    examples: list[ExampleView] = []
    for facet in root.facets.values():
        if not facet.pending:
            continue
        for pending in tuple(facet.pending):
            if pending.due_ms <= now_ms:
                facet.pending.remove(pending)
                examples.append(_example(pending, _ran_out(pending), pending.due_ms))
    return examples


def draw_of(signal_id: str) -> float:
    """Return a draw in [0, 1) that depends on the signal's id only: the same after a replay."""
    digest = hashlib.blake2b(signal_id.encode(), digest_size=8, person=b"sada-label").digest()
    return int.from_bytes(digest, "big") / 2**64


def example_id(node: bytes, signal_id: str, model: str) -> str:
    """Return an example's id, 32 hex digits, from the facet, the signal that was scored, and the model."""
    digest = hashlib.blake2b(digest_size=16, person=b"sada-example")
    for part in (node, signal_id.encode(), model.encode()):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.hexdigest()


def _horizon_ms(model: str, rules: LabelRules) -> int:
    return rules.intent_horizon_ms if model == INTENT else rules.churn_horizon_ms


def _example(pending: PendingLabel, label: str, labelled_at_ms: int) -> ExampleView:
    return {
        "id": pending.id,
        "model": pending.model,
        "feature_set": FEATURE_SET,
        "features": unpack(pending.features),
        "label": label,
        "predicted": pending.predicted,
        "predicted_version": pending.version,
        "scored_at_ms": pending.scored_at_ms,
        "labelled_at_ms": labelled_at_ms,
    }


def pack(vector: Sequence[float]) -> bytes:
    """Return features as packed float32: 4 bytes each, little-endian."""
    packed = array("f", vector)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack(packed: bytes) -> list[float]:
    """Return the features that were packed."""
    features = array("f", packed)
    if sys.byteorder == "big":
        features.byteswap()
    return features.tolist()
