"""What lies in a facet: all that came in through one node, bounded, in parts that merge in any order.

The structures are msgspec arrays: compact, encoded and decoded in C. Fields are only ever added at the end, with
a default, so that older state can be read.

The ceiling: what each part may hold, and its bytes when somebody fills it on purpose (ids and names of 100 characters,
labels of 80, in a script of 3 bytes a character).

=============  ==========================================================  ========
part           bound                                                       bytes
=============  ==========================================================  ========
traits         50, each the newest of 4 statements, values of 200 bytes    190,000
contacts       40; 34 float32 features while the reward is open             40,000
tickets        20                                                           17,000
cart           50 lines                                                     14,000
windows.spent  8 currencies, 8 days in hours, 83 in days                    34,000
windows.days   8 days in hours, 83 in days; 17 names                        22,000
timeline       20                                                           16,000
consent        4 purposes on 14 channels                                    40,000
pending        one a model                                                  1,000
the rest       10 searches and views, 8 slots, purses, counts, marks, card  12,000
=============  ==========================================================  ========

Together MAX_FACET_BYTES. A customer has at most as many facets as identifiers (IdentityRules.limits), and beside them
what turn.py bounds. A test drives a bot of hostile variety at one customer and holds it to this.
"""

import msgspec

# Bounds on a facet, so that a bot costs no more than a loyal customer. Each is what an agent on a call or a
# condition of the catalogue looks back upon.
MAX_TIMELINE = 20
MAX_RECENT = 10  # searches, items looked at
MAX_CART = 50
MAX_TICKETS = 20
MAX_TRAITS = 50
# Statements beside the newest: what other sources say. More than four words on one thing are noise, not provenance.
MAX_OTHERS = 3
# A trait's kept length, bytes of UTF-8: a street fits in any script, a biography does not.
MAX_TRAIT_BYTES = 200
# Quality rules broken through one facet, by name; what is beyond is counted together.
MAX_VIOLATIONS = 16
MAX_CONTACTS = 40
MAX_ORDER_TIMES = 8
MAX_CURRENCIES = 8
# Signal ids remembered per facet to drop a sender's retries: an SDK retries for minutes, a customer rarely sends
# 64 signals in that time. 8 bytes of each are kept: 2**-55 that a new signal is taken for one of 64 old ones.
MAX_RECENT_IDS = 64
RECENT_ID_BYTES = 8
# The sum of the table above.
MAX_FACET_BYTES = 386_000


class Struct(msgspec.Struct, array_like=True):
    """Base of all state."""


class Faded(Struct):
    """Sums that fade, in the order of ``fading.NAMES``: an addition loses half its weight per half-life.

    ``sums`` hold at ``at_ms``. Additions commute: a late one is added with the weight it has at ``at_ms``.
    """

    sums: list[float]
    at_ms: int = 0


class Trait(Struct):
    """A durable attribute: the newest statement, ties by source then value, and the others, newest first.

    A statement is a source and a value; ``signal_id`` and ``at_ms`` are of the newest signal that made it, ``times``
    says how often it was made. Others have no others of their own.
    """

    value: str
    source: str
    at_ms: int
    signal_id: str = ""
    times: int = 1
    others: list["Trait"] = []


class CartLine(Struct):
    """What the newest signal said about a line of the cart; quantity 0 remembers that it was taken out."""

    quantity: int
    value_minor: int
    at_ms: int


class Ticket(Struct):
    """A ticket; ``closed`` remembers that it is. Each part is that of the newest signal that stated it."""

    reason: str
    priority: str
    opened_at_ms: int
    at_ms: int
    closed: bool
    reason_at_ms: int = 0
    priority_at_ms: int = 0


class Seen(Struct):
    """Something looked at or searched for."""

    at_ms: int
    text: str


class Entry(Struct):
    """One remembered signal."""

    at_ms: int
    kind: str
    name: str
    channel: str
    summary: str


class ConsentGiven(Struct):
    """What was last said on a purpose and a channel through this facet."""

    granted: bool
    at_ms: int
    source: str
    proof: str


class Slot(Struct):
    """Activity in one half hour of the clock: times of its first and last signal, and the channel of the last."""

    first_ms: int
    last_ms: int
    signals: int
    channel: str


class Purse(Struct):
    """Money in one currency, minor units; ``at_ms`` of its newest signal."""

    spent_minor: int = 0
    returned_minor: int = 0
    margin_minor: int = 0
    orders: int = 0
    at_ms: int = 0


class Windows(Struct):
    """Sums per bucket for the rolling windows, see windows.py; ``newest_day``: of any signal, days since 1970."""

    newest_day: int
    # Day to slot (hour of the day, and what is counted) to count.
    days: dict[int, dict[int, int]] = {}
    # Currency to hour (hours since 1970) to what was spent then, minor units.
    spent: dict[str, dict[int, int]] = {}


class Session(Struct):
    """A session: activity without a pause of SESSION_GAP, computed from slots."""

    started_ms: int
    last_ms: int
    signals: int
    channel: str


class PendingLabel(Struct):
    """A score that waits for its label. ``features`` are float32, packed in the order of the feature set."""

    model: str
    id: str
    features: bytes
    predicted: dict[str, float]
    version: int
    scored_at_ms: int
    due_ms: int


class Contact(Struct):
    """A decision to act (or, in the control group, not to): its action and what came of it.

    While ``reward_due_ms`` is not 0 the reward is open and ``features`` are kept; then they are dropped.
    """

    action_id: str
    decision_id: str
    action: str
    treatment: str
    channel: str
    purpose: str
    at_ms: int
    control: bool
    outcome: str
    outcome_at_ms: int
    reward_due_ms: int
    goal: str
    features: bytes
    propensity: float
    predicted: float
    version: int


class Facet(Struct):
    """What came in through one node. Every part merges with another facet's in any order.

    All parts but ``recent_ids`` come out the same whatever order the signals arrived in (see facet.fold).
    """

    node: bytes
    first_ms: int  # of any signal; 0 before the first
    last_ms: int = 0  # newest doing of the customer (vocabulary.is_activity)
    before_ms: int = 0  # the one before that
    signals: int = 0
    per_channel: dict[str, int] = {}
    # Lifetime counts by name, see facet.COUNTS.
    counts: dict[str, int] = {}
    faded: Faded | None = None
    # Activity of the last hours before last_ms, newest first: sessions.
    slots: list[Slot] = []
    # Newest times of orders, newest first, and the oldest: gaps between orders.
    order_times_ms: list[int] = []
    first_order_ms: int = 0
    last_order_items: int = 0
    purses: dict[str, Purse] = {}  # by currency
    cart: dict[str, CartLine] = {}
    cart_cleared_ms: int = 0
    tickets: dict[str, Ticket] = {}
    searches: list[Seen] = []  # newest first
    viewed: list[Seen] = []  # newest first
    traits: dict[str, Trait] = {}
    consent: dict[str, ConsentGiven] = {}  # "purpose|channel"
    timeline: list[Entry] = []  # newest first
    contacts: list[Contact] = []  # newest first
    pending: list[PendingLabel] = []
    recent_ids: bytes = b""  # 8 bytes each, oldest first
    windows: Windows | None = None
    violations: dict[str, int] = {}  # quality rule to signals that broke it and were flagged
    card: bytes = b""  # what near matches hold of it, see near/carding.py
