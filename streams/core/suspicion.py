"""Why a customer looks like a bot or a fraud: each suspicion is a reason that an agent can read and judge.

A suspicion decides nothing by itself: a catalogue's conditions and people do.
"""

from streams.core.facet_state import Facet

# More activity a day than a human hand makes: a bot, a shared device, a broken client.
SUSPICIOUS_SIGNALS_1D = 2_000
# Most of what was bought goes back: wardrobing, or a refund fraud. Fewer orders may be bad luck with sizes.
MANY_RETURNS_ORDERS = 5
MANY_RETURNS_SHARE = 0.8
# A household pays in one or two currencies, a traveller in a few: stolen cards are tried in many.
MANY_CURRENCIES = 5
# So many links to others were refused: one identifier, or one person, stands for many.
MANY_REFUSALS = 5

REASONS: tuple[str, ...] = ("activity", "returns", "currencies", "refused-links")


def suspicions(whole: Facet, signals_1d: float, refusals: int) -> list[str]:
    """Return the reasons to suspect a customer, in the order of REASONS.

    Parameters
    ----------
    whole : all facets joined
    signals_1d : faded activity of the day
    refusals : links to other customers that were refused
    """
    found = []
    if signals_1d >= SUSPICIOUS_SIGNALS_1D:
        found.append("activity")
    orders = whole.counts.get("orders", 0)
    if orders >= MANY_RETURNS_ORDERS and whole.counts.get("returns", 0) >= MANY_RETURNS_SHARE * orders:
        found.append("returns")
    if len(whole.purses) >= MANY_CURRENCIES:
        found.append("currencies")
    if refusals >= MANY_REFUSALS:
        found.append("refused-links")
    return found
