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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.features import FEATURE_SET
from schemas.views import ExampleView, Signal
from streams.core.state import Facet, PendingLabel, Root

CHURN = "churn"
INTENT = "intent"

LEFT = "1"
STAYED = "0"

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

# Outcomes that the customer caused; delivered, failed, bounced and expired are the channel's doing.
CUSTOMER_OUTCOMES: frozenset[str] = frozenset(
    {"opened", "clicked", "replied", "converted", "dismissed", "complained", "unsubscribed"}
)
# What the customer does in a service case; updated, resolved, closed and call_ended are the agent's doing.
CUSTOMER_SERVICE: frozenset[str] = frozenset({"opened", "call_started"})


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
    # One signal in five: an example costs some 40 us to learn and 200 bytes of state while it waits.
    intent_rate: float = 0.2

    def __post_init__(self) -> None:
        if self.churn_horizon_ms <= 0 or self.intent_horizon_ms <= 0:
            raise ValueError("a horizon is at least one millisecond")
        if not 0 <= self.churn_gap_ms < self.churn_horizon_ms:
            raise ValueError("churn_gap_ms is at least 0 and below churn_horizon_ms")
        if not 0.0 <= self.intent_rate <= 1.0:
            raise ValueError("intent_rate is in [0, 1]")


# Instacart's question: is the next order more than 14 days away? Each order asks it, and the next order answers.
INSTACART = LabelRules(anchor="order", churn_horizon_ms=14 * DAY_MS, churn_gap_ms=0)


def intent_of(signal: Signal) -> str | None:
    """Return what the customer does with this signal, as one of INTENTS, or None when it is not the customer's doing.

    Payments, refunds, consent records, traits, outbound messages and deliveries are not.
    """
    intent: str | None = None
    match signal["kind"]:
        case "behaviour" | "survey":
            intent = "browse"
        case "transaction":
            paid = signal.get("transaction")
            intent = {"order": "buy", "return": "return"}.get(paid["type"]) if paid else None
        case "message":
            message = signal.get("message")
            intent = _of_words(signal) if message and message["direction"] == "inbound" else None
        case "service":
            service = signal.get("service")
            intent = "complain" if service and service["event"] in CUSTOMER_SERVICE else None
        case "outcome":
            outcome = signal.get("outcome")
            if outcome and outcome["event"] in CUSTOMER_OUTCOMES:
                intent = "complain" if outcome["event"] == "complained" else "browse"
    return intent


def _of_words(signal: Signal) -> str:
    return "complain" if "complain" in signal["name"] else "browse"


def is_anchor(signal: Signal, rules: LabelRules) -> bool:
    """Say whether a signal is the activity that churn is about."""
    intent = intent_of(signal)
    return intent == "buy" if rules.anchor == "order" else intent is not None


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
    intent = intent_of(signal)
    if intent is None or any(facet.last_ms > at_ms for facet in root.facets.values()):
        return []
    facet = root.facets[node]
    opened: list[str] = []
    if (intent == "buy" or rules.anchor == "activity") and not _is_open(root, CHURN):
        opened.append(CHURN)
    if not _is_open(root, INTENT) and draw_of(signal["id"]) < rules.intent_rate:
        opened.append(INTENT)
    if opened:
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
    intent = intent_of(signal)
    if intent is None:
        return []
    anchor = intent == "buy" or rules.anchor == "activity"

    def label_of(pending: PendingLabel) -> str | None:
        if at_ms <= pending.scored_at_ms:
            return None
        if pending.model == INTENT:
            return "leave" if at_ms >= pending.due_ms else intent
        if not anchor or at_ms < pending.scored_at_ms + rules.churn_gap_ms:
            return None
        return LEFT if at_ms >= pending.due_ms else STAYED

    return [
        _example(pending, label, min(at_ms, pending.due_ms))
        for facet in root.facets.values()
        if facet.pending
        for pending, label in _take(facet, label_of)
    ]


def close_by_time(root: Root, now_ms: int, rules: LabelRules) -> list[ExampleView]:  # noqa: ARG001 - one shape for both
    """Close the labels that have run out at ``now_ms``: churn, or leave; return their examples."""

    def label_of(pending: PendingLabel) -> str | None:
        if now_ms < pending.due_ms:
            return None
        return "leave" if pending.model == INTENT else LEFT

    return [
        _example(pending, label, pending.due_ms)
        for facet in root.facets.values()
        if facet.pending
        for pending, label in _take(facet, label_of)
    ]


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


def _is_open(root: Root, model: str) -> bool:
    return any(pending.model == model for facet in root.facets.values() for pending in facet.pending)


def _horizon_ms(model: str, rules: LabelRules) -> int:
    return rules.intent_horizon_ms if model == INTENT else rules.churn_horizon_ms


def _take(facet: Facet, label_of: Callable[[PendingLabel], str | None]) -> list[tuple[PendingLabel, str]]:
    """Take the pendings that have a label out of the facet."""
    closed: list[tuple[PendingLabel, str]] = []
    waiting: list[PendingLabel] = []
    for pending in facet.pending:
        label = label_of(pending)
        if label is None:
            waiting.append(pending)
        else:
            closed.append((pending, label))
    if closed:
        facet.pending = waiting
    return closed


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
