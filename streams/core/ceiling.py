"""The ceiling of a whole customer: beyond it facets give up what nobody decides by, the longest unseen first.

One facet is bounded by its parts (facet_state), and a customer by its identifiers (IdentityRules.members); 75 full
facets would still be more than a record of Kafka may hold (topics.STATE_MAX_BYTES), and whoever fills them on purpose
would stop a partition. Up to FREELY facets nothing is asked. Beyond them, a customer of more than MOST_BYTES keeps, of
as many facets as it takes, what ``lean`` leaves: all counts, money, consent, contacts, pending labels and message ids,
but of texts the newest few.

This is the one place where a record depends on more than its signals: what was given up does not come back when the
customer is split.
"""

from streams.core import state
from streams.core.facet_state import MAX_FACET_BYTES, ConsentGiven, Facet, Trait
from streams.core.state import Root

# What travels is this, with a message around it: below topics.STATE_MAX_BYTES, 8 MiB.
MOST_BYTES = 7_000_000
# A root beside its facets, in whatever alphabet: what turn.py, ties.py, split.py, relations and near matches bound.
BESIDE_BYTES = 1_000_000
# So many full facets fit for certain.
FREELY = (MOST_BYTES - BESIDE_BYTES) // MAX_FACET_BYTES
# Of each list of texts: what an agent reads first. Facets that gave up hold some 60 kB at most.
_FEW = 5
_FEW_TRAITS = 10


def keep_below(root: Root, most_bytes: int = MOST_BYTES) -> int:
    """Make a customer fit; return how many facets gave something up.

    Parameters
    ----------
    root : changed in place where it is too large

    Notes
    -----
    One comparison for all but the largest customers; those cost one encoding more.
    """
    if len(root.facets) <= FREELY:
        return 0
    size = len(state.encode(root))
    given_up = 0
    for node in sorted(root.facets, key=lambda node: (root.facets[node].last_ms, node)):
        if size <= most_bytes:
            break
        facet = root.facets[node]
        before = state.size_of(facet)
        lean(facet)
        saved = before - state.size_of(facet)
        size -= saved
        given_up += saved > 0
    return given_up


def lean(facet: Facet) -> None:
    """Keep of a facet's texts the newest few; its numbers stay whole."""
    traits = sorted(facet.traits.items(), key=lambda item: (-item[1].at_ms, item[0]))[:_FEW_TRAITS]
    facet.traits = {name: Trait(t.value, t.source, t.at_ms, t.signal_id, t.times) for name, t in traits}
    facet.timeline = facet.timeline[:_FEW]
    facet.searches = facet.searches[:_FEW]
    facet.viewed = facet.viewed[:_FEW]
    newest = sorted(facet.cart.items(), key=lambda item: (-item[1].at_ms, item[0]))
    facet.cart = dict(newest[:_FEW_TRAITS])
    # An open ticket before a closed one, then the newest.
    tickets = sorted(facet.tickets.items(), key=lambda item: (item[1].closed, -item[1].at_ms, item[0]))
    facet.tickets = dict(tickets[:_FEW])
    # That it was said, by whom and when stays; the words of the proof go.
    facet.consent = {key: ConsentGiven(c.granted, c.at_ms, c.source, "") for key, c in facet.consent.items()}
