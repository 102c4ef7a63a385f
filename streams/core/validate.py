"""What Avro cannot say of a signal: the rules it must keep before it may touch a customer.

A signal that breaks one becomes a dead letter with the error's code. Lengths and numbers are bounded here because
everything after this point keeps what it is given.

On clocks: the doors have corrected the client's clock already (received - (sent - original)). What is left is clamped,
not refused, because the fact itself is good: a signal never lies later than it was received, so that a clock a year
ahead cannot move stream time; one from the past is late, which the fold takes in any order. Only ``received_at_ms``,
the clock of a server, is refused when it lies outside of reason.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from schemas.topics import ACTION_CHANNELS, CHANNELS
from schemas.views import SIGNAL_KINDS, Behaviour, Outcome, Service, Signal, Survey, Traits, Transaction
from streams.core.errors import SignalError

# 2000-01-01 and 2100-01-01: a received time outside of them is a unit mistaken (seconds, micros) or a dead battery.
OLDEST_MS = 946_684_800_000
NEWEST_MS = 4_102_444_800_000

# The contract's lengths (signal.avsc), characters.
MAX_ID = 100
MAX_NAME = 100
MAX_IDENTIFIERS = 16
MAX_IDENTIFIER = 256
MAX_WORDS = 8_000
# Labels that are kept per customer: item, category, reason, order, ...
MAX_LABEL = 256
# Addresses of pages: what browsers and proxies carry.
MAX_URL = 2_048
# Attributes in one signal, and one attribute's length.
MAX_TRAITS = 200
MAX_TRAIT_NAME = 100
MAX_TRAIT = 1_000
MAX_EXTRA = 50
# Lines of one order: a wholesaler's.
MAX_ITEMS = 1_000
# 10^13 minor units: a hundred billion; what is above is a mistaken field, and sums of these stay within 64 bits.
MAX_MINOR = 10**13
MAX_QUANTITY = 1_000_000
MAX_SCALE = 1_000.0
# A week: no call is longer.
MAX_CALL_S = 7 * 86_400

TRANSACTION_TYPES = frozenset({"order", "return", "payment", "refund"})
DIRECTIONS = frozenset({"inbound", "outbound"})
SERVICE_EVENTS = frozenset({"opened", "updated", "resolved", "closed", "call_started", "call_ended"})
PURPOSES = frozenset({"marketing", "service", "profiling", "*"})
OUTCOME_EVENTS = frozenset(
    {
        "delivered", "failed", "bounced", "expired", "opened", "clicked", "replied", "converted", "dismissed",
        "complained", "unsubscribed",
    }
)  # fmt: skip
_CHANNELS = frozenset(CHANNELS)
_CONSENT_CHANNELS = frozenset({*CHANNELS, *ACTION_CHANNELS, "inside", "*"})
_CURRENCY = re.compile(r"[A-Z]{3}")
# Payloads that belong to one kind each; traits may accompany any kind.
_PAYLOADS = tuple(kind for kind in SIGNAL_KINDS if kind != "traits")


def check(signal: Signal) -> int:
    """Check a signal; return the time at which it effectively occurred.

    Parameters
    ----------
    signal : as decoded; not changed

    Returns
    -------
    epoch ms: ``occurred_at_ms``, but never later than ``received_at_ms`` and never before OLDEST_MS

    Raises
    ------
    SignalError
        bad-id, bad-name, bad-kind, bad-channel, bad-source, bad-identifiers, bad-clock, kind-mismatch,
        bad-behaviour, bad-transaction, bad-message, bad-survey, bad-service, bad-consent, bad-outcome, bad-traits or
        bad-context; the message names the field and the rule, and holds none of the customer's values

    Notes
    -----
    About 3 us.
    """
    _check_envelope(signal)
    kind = signal["kind"]
    for payload in _PAYLOADS:
        if (signal.get(payload) is None) == (payload == kind):
            raise _mismatch(signal, payload)
    traits = signal.get("traits")
    if traits is not None:
        _check_traits(traits)
    elif kind == "traits":
        raise _mismatch(signal, "traits")
    rule = _RULES.get(kind)
    if rule is not None:
        rule(signal[kind])  # type: ignore[literal-required]  # the loop above has seen that it is there
    _check_context(signal)
    return _effective_ms(signal)


def _mismatch(signal: Signal, payload: str) -> SignalError:
    kind = signal["kind"]
    if payload == kind:
        return SignalError("kind-mismatch", f"kind is {kind}, but the field {kind} is empty")
    return SignalError("kind-mismatch", f"kind is {kind}, but the field {payload} is filled")


def _effective_ms(signal: Signal) -> int:
    received = signal["received_at_ms"]
    if not OLDEST_MS <= received < NEWEST_MS:
        raise SignalError(
            "bad-clock", f"received_at_ms is {received}: not epoch milliseconds between the years 2000 and 2100"
        )
    return max(OLDEST_MS, min(signal["occurred_at_ms"], received))


def _check_envelope(signal: Signal) -> None:
    kind, identifiers = signal["kind"], signal["identifiers"]
    _check_label(signal["id"], "id", MAX_ID, "bad-id")
    _check_label(signal["name"], "name", MAX_NAME, "bad-name")
    _check_label(signal["source"], "source", MAX_NAME, "bad-source")
    if kind not in _KINDS:
        raise SignalError("bad-kind", f"kind {kind[:40]!r} is not one of {', '.join(SIGNAL_KINDS)}")
    if signal["channel"] not in _CHANNELS:
        raise SignalError("bad-channel", f"channel {signal['channel'][:40]!r} is not one of {', '.join(CHANNELS)}")
    if not 1 <= len(identifiers) <= MAX_IDENTIFIERS:
        raise SignalError(
            "bad-identifiers", f"{len(identifiers)} identifiers: a signal has 1 to {MAX_IDENTIFIERS} of them"
        )
    for identifier in identifiers:
        if not 0 < len(identifier["value"]) <= MAX_IDENTIFIER:
            raise SignalError(
                "bad-identifiers",
                f"an identifier of kind {identifier['kind'][:40]!r} has {len(identifier['value'])} characters: "
                f"1 to {MAX_IDENTIFIER} are allowed",
            )


_KINDS = frozenset(SIGNAL_KINDS)


def _check_label(text: str, field: str, most: int, code: str) -> None:
    """Check that a text is there, short enough and printable."""
    if not 0 < len(text) <= most:
        raise SignalError(code, f"{field} has {len(text)} characters: 1 to {most} are allowed")
    if not text.isprintable():
        raise SignalError(code, f"{field} holds control characters")


def _check_length(payload: Mapping[str, Any], field: str, most: int, code: str) -> None:
    """Check the length of a text that may be missing."""
    text = payload.get(field)
    if text is not None and len(text) > most:
        raise SignalError(code, f"{field} has {len(text)} characters: at most {most} are allowed")


def _check_range(payload: Mapping[str, Any], field: str, low: float, high: float, code: str) -> None:
    """Check a number that may be missing; NaN lies in no range."""
    number = payload.get(field)
    if number is not None and not low <= number <= high:
        raise SignalError(code, f"{field} is {number}: {low:g} to {high:g} is allowed")


def _check_one_of(value: str, field: str, allowed: frozenset[str], code: str) -> None:
    if value not in allowed:
        raise SignalError(code, f"{field} {value[:40]!r} is not one of {', '.join(sorted(allowed))}")


def _check_behaviour(behaviour: Behaviour) -> None:
    code = "bad-behaviour"
    for field in ("item_id", "category", "query"):
        _check_length(behaviour, field, MAX_LABEL, code)
    _check_length(behaviour, "url", MAX_URL, code)
    _check_range(behaviour, "value_minor", 0, MAX_MINOR, code)
    _check_range(behaviour, "quantity", -MAX_QUANTITY, MAX_QUANTITY, code)


def _check_transaction(transaction: Transaction) -> None:
    code = "bad-transaction"
    _check_one_of(transaction["type"], "type", TRANSACTION_TYPES, code)
    _check_label(transaction["order_id"], "order_id", MAX_LABEL, code)
    _check_range(transaction, "amount_minor", 0, MAX_MINOR, code)
    if not _CURRENCY.fullmatch(transaction["currency"]):
        raise SignalError(code, f"currency {transaction['currency'][:8]!r} is not three capital letters (ISO 4217)")
    if len(transaction["items"]) > MAX_ITEMS:
        raise SignalError(code, f"items has {len(transaction['items'])} lines: at most {MAX_ITEMS} are allowed")
    for item in transaction["items"]:
        _check_length(item, "item_id", MAX_LABEL, code)
        _check_length(item, "category", MAX_LABEL, code)
        _check_range(item, "quantity", 0, MAX_QUANTITY, code)
        _check_range(item, "price_minor", 0, MAX_MINOR, code)
    _check_range(transaction, "margin_minor", -MAX_MINOR, MAX_MINOR, code)
    _check_length(transaction, "coupon", MAX_LABEL, code)


def _check_message(message: Mapping[str, Any]) -> None:
    code = "bad-message"
    _check_one_of(message["direction"], "direction", DIRECTIONS, code)
    _check_length(message, "text", MAX_WORDS, code)
    for field in ("subject", "thread_id", "language"):
        _check_length(message, field, 1_000 if field == "subject" else MAX_LABEL, code)


def _check_survey(survey: Survey) -> None:
    code = "bad-survey"
    _check_label(survey["survey"], "survey", MAX_NAME, code)
    _check_length(survey, "text", MAX_WORDS, code)
    scale = survey.get("scale_max")
    if scale is not None and not 0 < scale <= MAX_SCALE:
        raise SignalError(code, f"scale_max is {scale}: above 0 to {MAX_SCALE:g} is allowed")
    _check_range(survey, "score", 0, MAX_SCALE if scale is None else scale, code)


def _check_service(service: Service) -> None:
    code = "bad-service"
    _check_one_of(service["event"], "event", SERVICE_EVENTS, code)
    for field in ("ticket_id", "reason", "priority"):
        _check_length(service, field, MAX_LABEL, code)
    _check_length(service, "text", MAX_WORDS, code)
    _check_range(service, "duration_s", 0, MAX_CALL_S, code)


def _check_consent(consent: Mapping[str, Any]) -> None:
    code = "bad-consent"
    _check_one_of(consent["purpose"], "purpose", PURPOSES, code)
    _check_one_of(consent["channel"], "channel", _CONSENT_CHANNELS, code)
    _check_length(consent, "proof", MAX_LABEL, code)


def _check_outcome(outcome: Outcome) -> None:
    code = "bad-outcome"
    _check_label(outcome["action_id"], "action_id", MAX_LABEL, code)
    _check_one_of(outcome["event"], "event", OUTCOME_EVENTS, code)
    _check_length(outcome, "action", MAX_LABEL, code)
    _check_length(outcome, "delivered_on", MAX_LABEL, code)
    _check_length(outcome, "detail", MAX_WORDS, code)


def _check_traits(traits: Traits) -> None:
    code, values = "bad-traits", traits["values"]
    if len(values) > MAX_TRAITS:
        raise SignalError(code, f"{len(values)} traits: at most {MAX_TRAITS} are allowed")
    for name, value in values.items():
        _check_label(name, "a trait's name", MAX_TRAIT_NAME, code)
        if len(value) > MAX_TRAIT:
            raise SignalError(code, f"trait {name!r} has {len(value)} characters: at most {MAX_TRAIT} are allowed")


def _check_context(signal: Signal) -> None:
    context = signal["context"]
    extra = context.get("extra")
    if extra and len(extra) > MAX_EXTRA:
        raise SignalError("bad-context", f"context.extra has {len(extra)} entries: at most {MAX_EXTRA} are allowed")
    _check_length(context, "time_zone", MAX_TRAIT_NAME, "bad-context")
    _check_length(context, "locale", MAX_TRAIT_NAME, "bad-context")


_RULES: Mapping[str, Callable[[Any], None]] = MappingProxyType(
    {
        "behaviour": _check_behaviour,
        "transaction": _check_transaction,
        "message": _check_message,
        "survey": _check_survey,
        "service": _check_service,
        "consent": _check_consent,
        "outcome": _check_outcome,
    }
)
