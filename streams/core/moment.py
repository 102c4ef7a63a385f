"""What a condition of the catalogue can see of a customer at one moment, by name, and how each name is read."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.features import INDEX, INTENTS
from schemas.topics import CHANNELS
from schemas.views import Signal
from streams.core.facet import COUNTS
from streams.core.fading import HALF_LIVES
from streams.core.features import is_known
from streams.core.lifetime import lifetime
from streams.core.relations.declared import KINDS, REFERRALS
from streams.core.view import GoldenRecord
from streams.core.windows import COUNTED, EMPTY, SPANS

Name = tuple[str, ...]


class UnknownNameError(ValueError):
    """A name that no condition can read; the message says what there is instead."""


class Scores(NamedTuple):
    """What the models say of a customer: p_churn, what comes next, and the versions that said so."""

    churn: float
    intent: Mapping[str, float]
    versions: Mapping[str, int]


class Moment(NamedTuple):
    """All that a condition can see."""

    record: GoldenRecord
    vector: Sequence[float]
    scores: Scores
    signal: Signal


class UnclearError(Exception):
    """A comparison has no answer in Python's terms: a value is missing, or not a number."""


class Missing:
    """A name that has no value at this moment: ``has(name)`` is false, and it compares with nothing."""

    __slots__ = ()

    def _compare(self, _other: object) -> bool:
        raise UnclearError

    def __bool__(self) -> bool:
        """Raise: it is neither true nor false."""
        raise UnclearError

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _compare
    __hash__ = None  # type: ignore[assignment]  # what equals nothing, not even itself, is no key


MISSING = Missing()
Reader = Callable[[Moment], Any]


def _payload(kind: str, name: str) -> Reader:
    def read(moment: Moment) -> Any:
        payload: Mapping[str, Any] | None = moment.signal.get(kind)  # type: ignore[assignment]  # any payload
        value = None if payload is None else payload.get(name)
        return MISSING if value is None else value

    return read


def _event(moment: Moment) -> Any:
    payload = moment.signal.get("service") or moment.signal.get("outcome")
    return MISSING if payload is None else payload["event"]


def _survey_share(moment: Moment) -> Any:
    survey = moment.signal.get("survey")
    if survey is None:
        return MISSING
    score, scale = survey.get("score"), survey.get("scale_max")
    return MISSING if score is None or not scale else score / scale


def _since_order(moment: Moment) -> Any:
    times = moment.record.value.order_times_ms
    return moment.record.now_ms - times[0] if times else MISSING


def _lifetime(moment: Moment) -> Any:
    found = lifetime(moment.record.value, moment.scores.churn)
    return MISSING if found is None else found.expected_minor


def _cart_lines(moment: Moment) -> Any:
    cart = moment.record.activity.cart
    return sum([line.quantity > 0 for line in cart.values()]) if cart else 0


def _cart_minor(moment: Moment) -> Any:
    cart = moment.record.activity.cart
    return sum([line.value_minor for line in cart.values() if line.quantity > 0]) if cart else 0


def _feature(at: int) -> Reader:
    return lambda m: float(m.vector[at])


def _intent(name: str) -> Reader:
    return lambda m: m.scores.intent.get(name, MISSING)


def _count(name: str) -> Reader:
    return lambda m: m.record.history.counts.get(name, 0)


def _decayed(name: str) -> Reader:
    return lambda m: float(m.record.history.decayed.get(name, 0.0))


def _per_channel(name: str) -> Reader:
    return lambda m: m.record.history.per_channel.get(name, 0)


def _related(kind: str) -> Reader:
    return lambda m: m.record.related(kind)


def _window(name: str, at: int) -> Reader:
    return lambda m: m.record.history.rolled().counts.get(name, EMPTY)[at]


def _channel_window(name: str, at: int) -> Reader:
    return lambda m: m.record.history.rolled().per_channel.get(name, EMPTY)[at]


def _spent_window(at: int) -> Reader:
    return lambda m: m.record.history.rolled().spent_minor.get(m.record.value.currency, EMPTY)[at]


def _trait(name: str) -> Reader:
    def read(moment: Moment) -> Any:
        found = moment.record.traits.get(name)
        return MISSING if found is None else found.value

    return read


# Each name with a reader and an example value of its type: the type check runs on the examples.
_FIXED: dict[Name, tuple[Reader, Any]] = {
    ("now_ms",): (lambda m: m.record.now_ms, 1),
    ("scores", "churn"): (lambda m: m.scores.churn, 0.5),
    ("record", "known"): (lambda m: is_known(m.record), True),
    ("record", "signals"): (lambda m: m.record.history.signals, 1),
    ("record", "age_ms"): (lambda m: m.record.now_ms - m.record.history.first_ms, 1),
    ("record", "flags", "mood"): (lambda m: float(m.record.flags.mood), 0.5),
    ("record", "flags", "vip"): (lambda m: m.record.flags.vip, True),
    ("record", "flags", "complained"): (lambda m: m.record.flags.complained, True),
    ("record", "flags", "do_not_contact"): (lambda m: m.record.flags.do_not_contact, True),
    ("record", "flags", "bereaved"): (lambda m: m.record.flags.bereaved, True),
    ("record", "flags", "contacts_30d"): (lambda m: m.record.contacts_30d(), 1),
    ("record", "quality", "completeness"): (lambda m: m.record.completeness(), 0.5),
    ("record", "quality", "conflict"): (lambda m: m.record.conflict(), 0.5),
    ("record", "quality", "violations"): (lambda m: sum(m.record.violations.values()), 1),
    ("record", "value", "lifetime_minor"): (_lifetime, 0.5),
    ("record", "flags", "suspicious"): (lambda m: m.record.flags.suspicious, True),
    ("record", "value", "orders"): (lambda m: m.record.value.orders, 1),
    ("record", "value", "spent_minor"): (lambda m: m.record.value.spent_minor, 1),
    ("record", "value", "returned_minor"): (lambda m: m.record.value.returned_minor, 1),
    ("record", "value", "margin_minor"): (lambda m: m.record.value.margin_minor, 1),
    ("record", "value", "mean_order_minor"): (lambda m: float(m.record.value.mean_order_minor), 0.5),
    ("record", "value", "last_order_items"): (lambda m: m.record.value.last_order_items, 1),
    ("record", "value", "currency"): (lambda m: m.record.value.currency, "x"),
    ("record", "value", "since_order_ms"): (_since_order, 1),
    ("record", "activity", "cart_lines"): (_cart_lines, 1),
    ("record", "activity", "cart_minor"): (_cart_minor, 1),
    ("record", "activity", "open_tickets"): (lambda m: len(m.record.activity.open_tickets), 1),
    ("record", "activity", "searches"): (lambda m: len(m.record.activity.searches), 1),
    ("record", "activity", "viewed"): (lambda m: len(m.record.activity.viewed), 1),
    ("record", "activity", "in_session"): (lambda m: m.record.activity.session is not None, True),
    ("record", "activity", "session_signals"): (
        lambda m: m.record.activity.session.signals if m.record.activity.session else 0,
        1,
    ),
    ("signal", "kind"): (lambda m: m.signal["kind"], "x"),
    ("signal", "name"): (lambda m: m.signal["name"], "x"),
    ("signal", "channel"): (lambda m: m.signal["channel"], "x"),
    ("signal", "source"): (lambda m: m.signal["source"], "x"),
    ("signal", "item_id"): (_payload("behaviour", "item_id"), "x"),
    ("signal", "category"): (_payload("behaviour", "category"), "x"),
    ("signal", "value_minor"): (_payload("behaviour", "value_minor"), 1),
    ("signal", "quantity"): (_payload("behaviour", "quantity"), 1),
    ("signal", "query"): (_payload("behaviour", "query"), "x"),
    ("signal", "type"): (_payload("transaction", "type"), "x"),
    ("signal", "amount_minor"): (_payload("transaction", "amount_minor"), 1),
    ("signal", "currency"): (_payload("transaction", "currency"), "x"),
    ("signal", "coupon"): (_payload("transaction", "coupon"), "x"),
    ("signal", "direction"): (_payload("message", "direction"), "x"),
    ("signal", "language"): (_payload("message", "language"), "x"),
    ("signal", "survey"): (_payload("survey", "survey"), "x"),
    ("signal", "score"): (_payload("survey", "score"), 0.5),
    ("signal", "share"): (_survey_share, 0.5),
    ("signal", "event"): (_event, "x"),
    ("signal", "reason"): (_payload("service", "reason"), "x"),
    ("signal", "priority"): (_payload("service", "priority"), "x"),
    ("signal", "duration_s"): (_payload("service", "duration_s"), 1),
    ("signal", "action"): (_payload("outcome", "action"), "x"),
    **{("f", name): (_feature(at), 0.5) for name, at in INDEX.items()},
    **{("scores", "intent", name): (_intent(name), 0.5) for name in INTENTS},
    # A count that was never made is 0.
    **{("record", "counts", name): (_count(name), 1) for name in COUNTS},
    **{("record", "decayed", name): (_decayed(name), 0.5) for name in HALF_LIVES},
    # How many other customers; a crowded group counts nobody.
    **{("record", "related", kind): (_related(kind), 1) for kind in (*KINDS, REFERRALS)},
    **{("record", "channels", name): (_per_channel(name), 1) for name in CHANNELS},
    **{
        ("record", "windows", name, span): (_window(name, at), 1)
        for name in ("signals", *COUNTED)
        for at, span in enumerate(SPANS)
    },
    **{
        ("record", "channel_windows", name, span): (_channel_window(name, at), 1)
        for name in CHANNELS
        for at, span in enumerate(SPANS)
    },
    # In the currency of record.value.
    **{("record", "windows", "spent_minor", span): (_spent_window(at), 1) for at, span in enumerate(SPANS)},
}

# Names that sources choose themselves; a trait that nobody stated is missing.
_OPEN: dict[Name, tuple[Callable[[str], Reader], Any]] = {("record", "traits"): (_trait, "x")}

_ROOTS = frozenset(name[0] for name in _FIXED)


def known_name(name: Name) -> Name:
    """Return a name that exists.

    Raises
    ------
    UnknownNameError
        when it does not, or is not a single value
    """
    if name in _FIXED or (len(name) == 3 and name[:2] in _OPEN):
        return name
    text = ".".join(name)
    if name[0] not in _ROOTS:
        raise UnknownNameError(f"{text[:60]!r} is not known here; there are {', '.join(sorted(_ROOTS))}")
    longer = [".".join(x) for x in _FIXED if x[: len(name)] == name]
    if longer or name in _OPEN:
        raise UnknownNameError(f"{text} is not a single value: write {longer[0] if longer else text + '.name'}")
    near = difflib.get_close_matches(text, [".".join(x) for x in _FIXED], n=1)
    raise UnknownNameError(f"{text[:80]} does not exist" + (f": did you mean {near[0]}?" if near else ""))


def reader_of(text: str) -> Reader:
    """Return what reads a name such as ``record.value.orders``; it gives MISSING where there is no value.

    Raises
    ------
    UnknownNameError
        when there is no such name
    """
    return source_of(known_name(tuple(text.split("."))))[0]


def source_of(name: Name) -> tuple[Reader, Any]:
    """Return a known name's reader and an example of its type."""
    if name in _FIXED:
        return _FIXED[name]
    make, example = _OPEN[name[:2]]
    return make(name[2]), example
