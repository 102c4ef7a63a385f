"""What may be done for a customer now: every treatment either stays or falls, with the rule that it fell by.

The order is fixed: conditions, do-not-contact, bereavement, consent, address, complaints, caps, cooldown, quiet hours,
expiry. Everything is read from the golden record, so it is right on the very next signal, and stays right after a
merge: contacts of both halves count.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.topics import DAY_MS
from schemas.views import Filtered
from streams.core.catalogue import Action, Cap, Policy, Treatment, Trigger
from streams.core.consent import ALLOWED_UNLESS_WITHDRAWN, allowed
from streams.core.facet_state import Contact
from streams.core.moment import Moment
from streams.core.quiet import is_quiet, minute_of_day

WEEK_MS = 7 * DAY_MS

# Kind of identifier that a channel sends to. The others need none: web, app and pos know the customer, an agent of the
# call centre has the customer on the line, and a webhook's name stands in the catalogue.
ADDRESS_KINDS = {"email": "email", "sms": "phone", "whatsapp": "phone"}

# It never reached the customer, so it does not wear out patience; it still counts for the cooldown.
NEVER_ARRIVED = frozenset({"failed", "expired"})

# Reasons in the order of checking. When nothing is left, the furthest one reached says why it was held.
REASONS: tuple[str, ...] = (
    "eligibility",
    "applicability",
    "suitability",
    "condition-error",
    "do-not-contact",
    "bereaved",
    "no-consent",
    "no-address",
    "bounced",
    "complaint",
    "capped",
    "household-capped",
    "cooldown",
    "quiet-hours",
    "expired",
)
_RANK = {reason: rank for rank, reason in enumerate(REASONS)}
# The first of them are conditions.
_CONDITION_RANKS = 4
_UNASKED = ""  # no reason at all; None is "may be used"


class Option(NamedTuple):
    """A treatment that passed all filters, and where it would go."""

    action: Action
    treatment: Treatment
    address: str | None


@dataclass(slots=True)
class Contacts:
    """What was sent to the customer, as the rules ask for it: one pass over the contacts of the record."""

    day: dict[str, int] = field(default_factory=dict)
    week: dict[str, int] = field(default_factory=dict)
    last_ms: dict[str, int] = field(default_factory=dict)
    bounced: set[str] = field(default_factory=set)
    complained: bool = False


def sum_contacts(contacts: Iterable[Contact], policy: Policy, now_ms: int, *, control: bool) -> Contacts:
    """Return what the rules ask of the contacts.

    Parameters
    ----------
    contacts : any order
    now_ms : stream time
    control : the customer is in the control group. Then what would have been sent counts as sent, so that both
        groups are measured at the same moments; else it does not count, as after a merge with a control customer
    """
    found = Contacts()
    day, week, last_ms = found.day, found.week, found.last_ms
    for contact in contacts:
        if contact.control and not control:
            continue
        at_ms, outcome = contact.at_ms, contact.outcome
        if at_ms > last_ms.get(contact.action, -1):
            last_ms[contact.action] = at_ms
        if outcome == "complained":
            found.complained |= now_ms - contact.outcome_at_ms < policy.complaint_silence_ms
        elif outcome == "bounced" and now_ms - contact.outcome_at_ms < policy.bounce_silence_ms:
            found.bounced.add(contact.channel)
        age_ms = now_ms - at_ms
        if age_ms < WEEK_MS and contact.purpose in policy.capped_purposes and outcome not in NEVER_ARRIVED:
            channel = contact.channel
            week[channel] = week.get(channel, 0) + 1
            week[""] = week.get("", 0) + 1
            if age_ms < DAY_MS:
                day[channel] = day.get(channel, 0) + 1
                day[""] = day.get("", 0) + 1
    return found


def eligible(
    trigger: Trigger, moment: Moment, policy: Policy, *, control: bool, denied: bool = False
) -> tuple[list[Option], list[Filtered]]:
    """Return the treatments that may be chosen, and all others with the rule that each fell by.

    Parameters
    ----------
    trigger : what set the decision off
    moment : the customer at this moment
    policy : of the catalogue
    control : the customer is in the control group
    denied : its household has denied a place for what is capped, see relations/places.py
    """
    options: list[Option] = []
    filtered: list[Filtered] = []
    rules: _Rules | None = None
    for action in trigger.actions:
        failed = _failed_condition(action, moment)
        if failed is not None:
            filtered.append({"action": action.id, "treatment": "", "reason": failed})
            continue
        rules = rules or _Rules(moment, policy, control=control, denied=denied)
        for treatment in action.treatments:
            reason = rules.broken(action, treatment)
            if reason is None:
                options.append(Option(action, treatment, rules.address(treatment)))
            else:
                filtered.append({"action": action.id, "treatment": treatment.id, "reason": reason})
    return options, filtered


def hold_reason(filtered: Iterable[Filtered]) -> str:
    """Return why nothing could be chosen: the furthest rule reached; conditions are no-eligible-action.

    Examples
    --------
    >>> hold_reason([{"action": "a", "treatment": "", "reason": "suitability"},
    ...              {"action": "b", "treatment": "t", "reason": "capped"}])
    'capped'
    """
    furthest = max([_RANK[x["reason"]] for x in filtered], default=0)
    return "no-eligible-action" if furthest < _CONDITION_RANKS else REASONS[furthest]


def _failed_condition(action: Action, moment: Moment) -> str | None:
    for name, condition in action.conditions:
        holds = condition.holds(moment)
        if holds is not True:
            return "condition-error" if holds is None else name
    return None


class _Rules:
    """All rules but the conditions, for one customer at one moment; what holds for a whole channel is asked once."""

    __slots__ = ("_addresses", "_barred", "_contacts", "_control", "_denied", "_moment", "_policy", "_quiet")

    def __init__(self, moment: Moment, policy: Policy, *, control: bool, denied: bool) -> None:
        self._moment = moment
        self._policy = policy
        self._control = control
        self._denied = denied
        self._contacts: Contacts | None = None
        self._addresses: dict[str, str | None] = {}
        self._barred: dict[tuple[str, str], str | None] = {}
        self._quiet: dict[str, bool] = {}

    def address(self, treatment: Treatment) -> str | None:
        """Return where a treatment would go; None where the customer's id suffices, or where there is no address."""
        channel = treatment.channel
        if channel not in ADDRESS_KINDS:
            return treatment.address
        if channel not in self._addresses:
            self._addresses[channel] = self._moment.record.address(ADDRESS_KINDS[channel])
        return self._addresses[channel]

    def broken(self, action: Action, treatment: Treatment) -> str | None:
        """Return the first rule that a treatment breaks, in the order of ``REASONS``."""
        where = (action.purpose, treatment.channel)
        barred = self._barred.get(where, _UNASKED)
        if barred is _UNASKED:
            barred = self._barred[where] = self._bar(treatment, action.purpose)
        if barred is not None:
            return barred
        now_ms = self._moment.record.now_ms
        last_ms = self._sent().last_ms.get(action.id)
        if last_ms is not None and now_ms - last_ms < action.cooldown_ms:
            return "cooldown"
        if self._is_quiet(treatment.channel):
            return "quiet-hours"
        if action.until_ms is not None and now_ms >= action.until_ms:
            return "expired"
        return None

    def _bar(self, treatment: Treatment, purpose: str) -> str | None:
        """Return what bars a purpose on a channel altogether."""
        record, channel = self._moment.record, treatment.channel
        if not allowed(record, purpose, channel):
            if record.flags.do_not_contact:
                return "do-not-contact"
            return "bereaved" if record.flags.bereaved and purpose not in ALLOWED_UNLESS_WITHDRAWN else "no-consent"
        if channel in ADDRESS_KINDS and self.address(treatment) is None:
            return "no-address"
        contacts = self._sent()
        if channel in contacts.bounced:
            return "bounced"
        if purpose == "marketing" and (contacts.complained or record.flags.complained):
            return "complaint"
        if purpose in self._policy.capped_purposes:
            if self._capped(contacts, channel):
                return "capped"
            if self._denied:
                return "household-capped"
        return None

    def _sent(self) -> Contacts:
        if self._contacts is None:
            record = self._moment.record
            self._contacts = sum_contacts(record.contacts, self._policy, record.now_ms, control=self._control)
        return self._contacts

    def _capped(self, contacts: Contacts, channel: str) -> bool:
        return _reached(self._policy.total_cap, contacts, "") or _reached(
            self._policy.channel_caps.get(channel), contacts, channel
        )

    def _is_quiet(self, channel: str) -> bool:
        hours = self._policy.quiet_hours.get(channel)
        if hours is None:
            return False
        if channel not in self._quiet:
            record, signal = self._moment.record, self._moment.signal
            name = record.trait("time_zone") or signal["context"].get("time_zone") or ""
            self._quiet[channel] = is_quiet(hours, minute_of_day(record.now_ms, name, self._policy.time_zone))
        return self._quiet[channel]


def _reached(cap: Cap | None, contacts: Contacts, where: str) -> bool:
    if cap is None:
        return False
    return (cap.day is not None and contacts.day.get(where, 0) >= cap.day) or (
        cap.week is not None and contacts.week.get(where, 0) >= cap.week
    )
