"""What protects a customer stays on both sides of a split: withdrawals of consent, and the contacts that caps count.

Whoever was wrongly taken for somebody else was contacted as both, and has said no as both. Of a withdrawal the fact is
kept, where it came from and when, but not its proof: that is what the other person wrote, it stays in the facet it came
through, and an erasure of that person reaches it there.
"""

import msgspec

from streams.core.consent import consent_order, join_consent
from streams.core.facet_state import MAX_CONTACTS, ConsentGiven, Contact
from streams.core.state import Kept, Root, Withdrawn


def keep(whole: Root, group: set[bytes], now_ms: int) -> Kept | None:
    """Return what a part keeps of the whole, None where there is nothing.

    Parameters
    ----------
    whole : the customer before the split
    group : the part's nodes: what lies in their facets it has anyway
    """
    said = with_consent(whole.kept, join_consent(list(whole.facets.values()), whole.members))
    before = whole.kept.consent if whole.kept is not None else {}
    withdrawn = {
        key: before[key] if key in before and before[key].given is given else Withdrawn(_without_proof(given), now_ms)
        for key, given in said.items()
        if not given.granted
    }
    contacts = [c for node, facet in whole.facets.items() if node not in group for c in facet.contacts]
    contacts = [_closed(contact) for contact in contacts if not contact.control]
    if whole.kept is not None:
        contacts = _join(whole.kept.contacts, contacts)
    contacts.sort(key=_newest)
    return Kept(withdrawn, contacts[:MAX_CONTACTS]) if withdrawn or contacts else None


def unite(one: Kept | None, other: Kept | None) -> Kept | None:
    """Return what two customers that become one have kept."""
    if one is None or other is None:
        return one or other
    consent = dict(one.consent)
    for key, withdrawn in other.consent.items():
        if key not in consent or consent_order(withdrawn.given) > consent_order(consent[key].given):
            consent[key] = withdrawn
    return Kept(consent, sorted(_join(one.contacts, other.contacts), key=_newest)[:MAX_CONTACTS])


def with_consent(kept: Kept | None, said: dict[str, ConsentGiven]) -> dict[str, ConsentGiven]:
    """Return what holds when what was kept counts, too: a withdrawal, until a grant that was given after the split."""
    if kept is None or not kept.consent:
        return said
    held = dict(said)
    for key, withdrawn in kept.consent.items():
        given = held.get(key)
        if given is None or not _lifts(given, withdrawn):
            no = withdrawn.given
            held[key] = no if given is None or given.granted else max(given, no, key=consent_order)
    return held


def with_contacts(kept: Kept | None, contacts: list[Contact]) -> list[Contact]:
    """Return the contacts that count for caps, newest first."""
    if kept is None or not kept.contacts:
        return contacts
    return sorted(_join(contacts, kept.contacts), key=_newest)[:MAX_CONTACTS]


def _without_proof(given: ConsentGiven) -> ConsentGiven:
    return msgspec.structs.replace(given, proof="")


def _lifts(given: ConsentGiven, withdrawn: Withdrawn) -> bool:
    return given.granted and given.at_ms >= withdrawn.since_ms and given.at_ms > withdrawn.given.at_ms


def _join(contacts: list[Contact], more: list[Contact]) -> list[Contact]:
    known = {contact.action_id for contact in contacts}
    return contacts + [contact for contact in more if contact.action_id not in known]


def _closed(contact: Contact) -> Contact:
    """Return a contact without its open question: the answer belongs to the facet that asked."""
    return msgspec.structs.replace(contact, reward_due_ms=0, features=b"")


def _newest(contact: Contact) -> tuple[int, str]:
    return -contact.at_ms, contact.action_id
