"""The public golden record: what the profiles topic carries, as the codec writes it (profile.avsc)."""

from typing import Any

from streams.core.facet_state import Trait
from streams.core.lifetime import Lifetime, lifetime
from streams.core.relations.related import seen
from streams.core.state import LastDecision, Root, Tie
from streams.core.ties import ends
from streams.core.view import Activity, GoldenRecord, History, Value
from streams.core.windows import EMPTY, Rolled, Window

# As the schema says; the state keeps more, for caps and rewards.
MAX_CONTACTS = 20
# Statements beside the one that survived, over all facets: what an agent reads of a quarrel between sources.
MAX_OTHERS = 8


def profile_of(root: Root, record: GoldenRecord) -> dict[str, Any]:
    """Return a customer's profile for the codec.

    Parameters
    ----------
    root : the customer
    record : merge(root, now): the profile holds its moment

    Notes
    -----
    Pure; about 8.5 us. Maps and lists of the record are shared with it: encode before folding again.
    """
    now_ms = record.now_ms
    decided = root.last_decision
    rolled = record.history.rolled()
    keep = record.rules.fields.get
    churn = root.scores.get("churn")
    worth = lifetime(record.value, None if churn is None else churn.p)
    return {
        "customer": root.node,
        "updated_at_ms": now_ms,
        "created_at_ms": root.created_at_ms,
        "last_seen_ms": record.history.last_ms or record.history.first_ms,
        "members": [
            {
                "node": node,
                "kind": m.kind,
                "value": m.value,
                "since_ms": m.since_ms,
                "signal_id": m.signal_id,
                "original": m.original,
                "source": m.source,
                "suspended_at_ms": m.suspended_at_ms,
                "cuts": list(m.cuts),
                "cut_sides": list(m.cuts.values()),
            }
            for node, m in record.members.items()
        ],
        "traits": {name: _trait(t, keep(name, "newest")) for name, t in record.traits.items()},
        "activity": _activity(record.activity),
        "history": _history(record.history, rolled),
        "value": _value(record.value, rolled, worth),
        "flags": _flags(record),
        "quality": {
            "completeness": record.completeness(),
            "conflict": record.conflict(),
            "violations": record.violations,
        },
        "consent": _consent(record),
        "contacts": [
            {
                "action_id": c.action_id,
                "action": c.action,
                "treatment": c.treatment,
                "channel": c.channel,
                "at_ms": c.at_ms,
                "outcome": c.outcome,
            }
            for c in record.contacts[:MAX_CONTACTS]
        ],
        "scores": {name: {"p": s.p, "version": s.version, "at_ms": s.at_ms} for name, s in root.scores.items()},
        "next_action": None if decided is None else _next_action(decided),
        "refusals": [
            {
                "other": r.other,
                "reason": r.limit,
                "signal_id": r.signal_id,
                "at_ms": r.at_ms,
                "ours": r.ours,
                "theirs": theirs,
            }
            for theirs, r in root.refusals.items()
        ],
        "relations": [
            {
                "kind": each.kind,
                "direction": each.direction,
                "customer": each.customer,
                "signal_id": each.evidence.signal_id,
                "source": each.evidence.source,
                "at_ms": each.evidence.at_ms,
                "crowded": each.crowded,
            }
            for each in seen(root.node, root.relations)
        ],
        "ties": [_tie(key, tie) for key, tie in root.ties.items()],
        "story": [
            {
                "kind": c.kind,
                "other": c.other,
                "reason": c.reason,
                "signal_id": c.signal_id,
                "ruling": c.ruling,
                "at_ms": c.at_ms,
            }
            for c in root.story
        ],
    }


def _tie(key: bytes, tie: Tie) -> dict[str, Any]:
    one, other = ends(key)
    return {"one": one, "other": other, "signal_id": tie.signal_id, "source": tie.source, "at_ms": tie.at_ms}


def _activity(activity: Activity) -> dict[str, Any]:
    session = activity.session
    return {
        "session_started_ms": session.started_ms if session else None,
        "session_signals": session.signals if session else 0,
        "session_channel": session.channel if session else None,
        "cart": {
            item: {"quantity": line.quantity, "value_minor": line.value_minor, "at_ms": line.at_ms}
            for item, line in activity.cart.items()
        },
        "open_tickets": {
            name: {"reason": t.reason, "priority": t.priority, "opened_at_ms": t.opened_at_ms}
            for name, t in activity.open_tickets.items()
        },
        "searches": activity.searches,
        "viewed": activity.viewed,
    }


def _trait(trait: Trait, keep: str) -> dict[str, Any]:
    return {
        "value": trait.value,
        "source": trait.source,
        "at_ms": trait.at_ms,
        "signal_id": trait.signal_id,
        "times": trait.times,
        "rule": keep,
        "others": [
            {"value": o.value, "source": o.source, "at_ms": o.at_ms, "signal_id": o.signal_id, "times": o.times}
            for o in trait.others[:MAX_OTHERS]
        ],
    }


def _window(window: Window) -> dict[str, int]:
    one, week, month, quarter = window
    return {"days_1": one, "days_7": week, "days_30": month, "days_90": quarter}


def _history(history: History, rolled: Rolled) -> dict[str, Any]:
    count = history.counts.get
    return {
        "signals": history.signals,
        "orders": count("orders", 0),
        "returns": count("returns", 0),
        "calls": count("calls", 0),
        "messages": count("messages", 0),
        "complaints": count("complaints", 0),
        "surveys": count("surveys", 0),
        "per_channel": history.per_channel,
        "windows": {name: _window(window) for name, window in rolled.counts.items()},
        "channel_windows": {name: _window(window) for name, window in rolled.per_channel.items()},
        "timeline": [
            {"at_ms": e.at_ms, "kind": e.kind, "name": e.name, "channel": e.channel, "summary": e.summary}
            for e in history.timeline
        ],
    }


def _value(value: Value, rolled: Rolled, worth: Lifetime | None) -> dict[str, Any]:
    return {
        "currency": value.currency,
        "spent_minor": value.spent_minor,
        "returned_minor": value.returned_minor,
        "margin_minor": value.margin_minor,
        "mean_order_minor": value.mean_order_minor,
        "last_order_ms": value.order_times_ms[0] if value.order_times_ms else None,
        "mean_gap_s": value.mean_gap_ms / 1000,
        "lifetime_minor": None if worth is None else worth.expected_minor,
        "lifetime_basis": "" if worth is None else worth.basis,
        "spent_windows": _window(rolled.spent_minor.get(value.currency, EMPTY)),
    }


def _flags(record: GoldenRecord) -> dict[str, Any]:
    flags = record.flags
    return {
        "mood": flags.mood,
        "vip": flags.vip,
        "complained": flags.complained,
        "do_not_contact": flags.do_not_contact,
        "suspicious": flags.suspicious,
        "suspicions": flags.suspicions,
        "bereaved": flags.bereaved,
        "contacts_30d": record.contacts_30d(),
    }


def _consent(record: GoldenRecord) -> list[dict[str, Any]]:
    said = []
    for key, given in record.consent.items():
        purpose, _, channel = key.partition("|")
        said.append(
            {
                "purpose": purpose,
                "channel": channel,
                "granted": given.granted,
                "at_ms": given.at_ms,
                "source": given.source,
                "proof": given.proof,
            }
        )
    return said


def _next_action(decided: LastDecision) -> dict[str, Any]:
    return {
        "decision_id": decided.decision_id,
        "action": decided.action,
        "treatment": decided.treatment,
        "channel": decided.channel,
        "reason": decided.reason,
        "at_ms": decided.at_ms,
    }
