"""May we? Deny first: what is not clearly allowed is forbidden.

Marketing and profiling need an explicit grant. Service messages (an order's status, an answer to a ticket) may be
sent unless they were withdrawn. Any withdrawal that applies beats any grant, however specific: a customer who said
"no e-mail" and later "yes" to something wider must say yes to e-mail itself.

References
----------
GDPR art. 6 and 7 (consent, as easy to withdraw as to give), art. 21 (objection to direct marketing)
"""

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
    """
    if record.flags.do_not_contact:
        return False
    consent = record.consent
    granted = False
    for key in (f"{purpose}|{channel}", f"{purpose}|{EVERY}", f"{EVERY}|{channel}", f"{EVERY}|{EVERY}"):
        given = consent.get(key)
        if given is not None:
            if not given.granted:
                return False
            granted = True
    return granted or purpose in ALLOWED_UNLESS_WITHDRAWN
