"""May we? What holds after several facets have spoken, and whether it allows a contact.

Deny first: what is not clearly allowed is forbidden.

Marketing and profiling need an explicit grant. Service messages (an order's status, an answer to a ticket) may be
sent unless they were withdrawn. Any withdrawal that applies beats any grant, however specific: a customer who said
"no e-mail" and later "yes" to something wider must say yes to e-mail itself.

References
----------
GDPR art. 6 and 7 (consent, as easy to withdraw as to give), art. 21 (objection to direct marketing)
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from streams.core.facet_state import ConsentGiven, Facet
from streams.core.state import Member
from streams.core.view import GoldenRecord

EVERY = "*"
# Allowed until withdrawn: needed to carry out what the customer asked for. All other purposes need a grant.
ALLOWED_UNLESS_WITHDRAWN = frozenset({"service"})


def allowed(record: GoldenRecord, purpose: str, channel: str) -> bool:
    """Say whether the customer may be contacted for a purpose on a channel.

    Parameters
    ----------
    purpose : marketing, service, profiling, ...
    channel : one of ACTION_CHANNELS, or ``inside`` where no channel is used (profiling)

    Notes
    -----
    Words that apply are those on (purpose or every) and (channel or every). ``do_not_contact`` forbids all.
    ``bereaved`` stops marketing, profiling and every other purpose but service: an heir must still hear of the order
    on its way, nobody may be sold to; a grant from before does not lift it.
    """
    flags = record.flags
    if flags.do_not_contact or (flags.bereaved and purpose not in ALLOWED_UNLESS_WITHDRAWN):
        return False
    consent = record.consent
    if not consent:  # most people never said a word
        return purpose in ALLOWED_UNLESS_WITHDRAWN
    granted = False
    for key in _keys_of(purpose, channel):
        given = consent.get(key)
        if given is not None:
            if not given.granted:
                return False
            granted = True
    return granted or purpose in ALLOWED_UNLESS_WITHDRAWN


@lru_cache(maxsize=256)  # a few purposes on a dozen channels; both come from catalogues, not from customers
def _keys_of(purpose: str, channel: str) -> tuple[str, ...]:
    """Return the keys of the words that apply to a purpose on a channel."""
    return f"{purpose}|{channel}", f"{purpose}|{EVERY}", f"{EVERY}|{channel}", f"{EVERY}|{EVERY}"


def note_consent(facet: Facet, key: str, given: ConsentGiven) -> None:
    """Put a word on consent (key "purpose|channel") into a facet: the newest wins, ties withdraw."""
    old = facet.consent.get(key)
    if old is None or consent_order(given) > consent_order(old):
        facet.consent[key] = given


def consent_order(given: ConsentGiven) -> tuple[int, bool, str, str]:
    """Return the order in which words on consent win: newest, ties withdraw."""
    return given.at_ms, not given.granted, given.source, given.proof


class _Said(NamedTuple):
    """A word on consent, and since when its facet's node is a member of the customer."""

    given: ConsentGiven
    since_ms: int


def join_consent(facets: Sequence[Facet], members: dict[bytes, Member]) -> dict[str, ConsentGiven]:
    """Return what holds for each purpose and channel after several facets have spoken.

    Within a facet the newest word has won already. Between facets the most restrictive wins: a withdrawal through one
    identifier holds for the person, whatever another identifier had granted. Only who knew both may lift it: a grant
    counts against another facet's withdrawal when it is later than the withdrawal *and* was given after both
    identifiers had become one customer (the latest ``since_ms`` or ``joined_ms`` of the two members; a facet whose
    node is no member never lifts). Of several withdrawals that hold, and of several grants, the newest is shown.

    Notes
    -----
    Identifiers that came over together count as joined only from then on: a withdrawal that one of them had lifted
    for the other before stands again, and has to be lifted anew. That errs on the customer's side.
    """
    said: dict[str, list[_Said]] = {}
    for facet in facets:
        if facet.consent:
            member = members.get(facet.node)
            since_ms = _NEVER_MS if member is None else max(member.since_ms, member.joined_ms)
            for key, given in facet.consent.items():
                said.setdefault(key, []).append(_Said(given, since_ms))
    return {key: _most_restrictive(words) for key, words in said.items()}


# Later than any signal: a grant of a node that is no member lifts nothing.
_NEVER_MS = 1 << 62


def _most_restrictive(words: list[_Said]) -> ConsentGiven:
    if len(words) == 1:
        return words[0].given
    grants = [word for word in words if word.given.granted]
    standing = [
        word.given for word in words if not word.given.granted and not any(_lifts(grant, word) for grant in grants)
    ]
    return max(standing or [grant.given for grant in grants], key=consent_order)


def _lifts(grant: _Said, withdrawal: _Said) -> bool:
    at_ms = grant.given.at_ms
    return at_ms > withdrawal.given.at_ms and at_ms >= max(grant.since_ms, withdrawal.since_ms)
