"""What another generation decided: a rebuild takes it over as done, and decides nothing of it anew.

The contact belongs to the facet of the signal that it followed, as where it was decided. Its outcomes, though, come to
the customer that the action was sent to. Where the rules of a new generation hold these two apart, both keep it: the
customer of the address the open question, the customer of the signal what counts for caps.
"""

import msgspec

from schemas.views import DecisionView
from streams.core.decide import contact_of, last_of
from streams.core.facet import new_facet, remember_contact
from streams.core.facet_state import Contact
from streams.core.kept import unite
from streams.core.state import Kept, Root


def take_done(root: Root, node: bytes, decision: DecisionView) -> bool:
    """Take over a decision at the customer of ``node``.

    Parameters
    ----------
    root : changed in place; ``node`` is a member
    node : whose signal was decided upon, or the customer that the action was sent to

    Returns
    -------
    Whether it goes on to ``decision["customer"]``, which is another customer here
    """
    last = last_of(decision)
    if root.last_decision is None or root.last_decision.at_ms <= last.at_ms:
        root.last_decision = last
    contact = contact_of(decision)
    if contact is None or _knows(root, contact):
        return False
    if decision["customer"] in root.members:
        facet = root.facets.get(node)
        if facet is None:
            facet = root.facets[node] = new_facet(node)
        remember_contact(facet, contact)
        return False
    if not contact.control:
        closed = msgspec.structs.replace(contact, reward_due_ms=0, features=b"")
        root.kept = unite(root.kept, Kept(contacts=[closed]))
    return True


def _knows(root: Root, contact: Contact) -> bool:
    return any(known.action_id == contact.action_id for facet in root.facets.values() for known in facet.contacts)
