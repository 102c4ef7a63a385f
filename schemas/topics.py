"""THE table of topics: names, keys, schemas, partitions, retention. Everything else asks here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# The channels on which signals come in; each has its topic.
CHANNELS: tuple[str, ...] = (
    "web",
    "app",
    "email",
    "sms",
    "whatsapp",
    "call-centre",
    "pos",
    "crm",
    "social",
    "survey",
    "file",
    "outcome",
)

# The channels that actions can take; each has its topic.
ACTION_CHANNELS: tuple[str, ...] = ("web", "app", "email", "sms", "whatsapp", "call-centre", "pos", "webhook")

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

# customers: as many as the customers agent's parallelism; one: broadcast; models: one per model at most.
Partitioning = Literal["customers", "models", "one"]

# Topics whose retention a deployment sets (SADA_SIGNALS_DAYS, …): what was written there in plain stays so long.
Kept = Literal["", "signals", "actions", "decisions", "dead_letters"]


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Parameters
    ----------
    name : without prefix
    schema : name of the value's schema in schemas/avro
    key : what the key is, for people
    partitioning : how many partitions it has
    compacted : keeps the last record per key
    retention_ms : how long records stay when not compacted; -1 for ever
    max_bytes : largest record the topic takes
    kept : whose setting says how long, where a deployment has one
    segment_ms : a segment of a topic that is not compacted ends after so long; only whole segments are deleted
    max_lag_ms : a compacted topic's cleaner looks at a record at the latest so long after it was written: how long
        what was overwritten or deleted may still lie there
    generational : each generation has its own: what depends on the rules of identity or the number of partitions
    keeps_time : records keep the time that they are written with, else they get that of their arrival
    public : others read or write it, so it is framed as the schema registry says where there is one
    """

    name: str
    schema: str
    key: str
    partitioning: Partitioning
    compacted: bool = False
    retention_ms: int = 7 * DAY_MS
    doc: str = ""
    max_bytes: int = 1_048_588  # the broker's own default
    public: bool = False
    max_lag_ms: int | None = None
    kept: Kept = ""
    segment_ms: int = DAY_MS
    generational: bool = False
    keeps_time: bool = False


def signals(channel: str) -> str:
    """Return the name of a channel's signal topic."""
    return f"signals.{channel}"


def actions(channel: str) -> str:
    """Return the name of a channel's action topic."""
    return f"actions.{channel}"


# A customer's whole state travels when two become one: at its bounds some 3 MB.
STATE_MAX_BYTES = 8_388_608
# A dead letter holds a whole record.
DEAD_LETTER_MAX_BYTES = 2_200_000

INBOX = "customers.inbox"
REPLAY = "replay"
GENERATIONS = "generations"
TICKS = "ticks"
PROFILES = "profiles"
IDENTITIES = "identities"
MERGES = "merges"
RULINGS = "rulings"
CARDS = "cards"
MATCHES = "matches"
DECISIONS = "decisions"
EXAMPLES = "examples"
MODELS = "models"
CATALOGUE = "catalogue"
DEAD_LETTERS = "dead-letters"
CUSTOMERS_CHANGELOG = "customers-changelog"
VAULT = "customers-vault"
LEARNERS_CHANGELOG = "learners-changelog"
NEAR_CHANGELOG = "near-changelog"
NEAR_VAULT = "near-vault"

_NODE = "node of the signal's strongest identifier, 16 bytes; any other key is forwarded"
_CUSTOMER = "customer: root node, 16 bytes"

_TABLE: tuple[Topic, ...] = (
    *(
        Topic(
            signals(c),
            "signal",
            _NODE,
            "customers",
            retention_ms=30 * DAY_MS,
            doc=f"Signals of the {c} channel.",
            public=True,
            kept="signals",
            generational=True,
        )
        for c in CHANNELS
    ),
    Topic(
        INBOX,
        "inbox_message",
        "receiving node, 16 bytes",
        "customers",
        doc="Messages between nodes; what was read is deleted by the workers.",
        max_bytes=STATE_MAX_BYTES,
        segment_ms=HOUR_MS,
        generational=True,
    ),
    Topic(
        REPLAY,
        "replay",
        _NODE,
        "customers",
        retention_ms=30 * DAY_MS,
        doc="The past of a generation that was built from another, in order of time.",
        generational=True,
        keeps_time=True,
        kept="signals",
    ),
    Topic(
        TICKS,
        "tick",
        "none",
        "customers",
        retention_ms=DAY_MS,
        doc="Moves quiet partitions' stream time.",
        generational=True,
    ),
    Topic(
        PROFILES,
        "profile",
        _CUSTOMER,
        "customers",
        compacted=True,
        doc="Golden records.",
        max_bytes=STATE_MAX_BYTES,
        public=True,
        max_lag_ms=DAY_MS,
        generational=True,
    ),
    Topic(
        IDENTITIES,
        "identity",
        "node, 16 bytes",
        "customers",
        compacted=True,
        doc="Node to customer.",
        public=True,
        max_lag_ms=DAY_MS,
        generational=True,
    ),
    Topic(
        MERGES,
        "merge",
        _CUSTOMER,
        "customers",
        retention_ms=-1,
        doc="Merges, refusals, splits, suspensions and erasures.",
        public=True,
        generational=True,
    ),
    Topic(
        RULINGS,
        "ruling",
        "node that the ruling names, 16 bytes",
        "customers",
        retention_ms=-1,
        doc="What operators said on identity.",
        public=True,
        generational=True,
    ),
    Topic(
        CARDS,
        "card",
        "blocking key, hashed, 16 bytes; the pair's id of what is taught",
        "customers",
        retention_ms=DAY_MS,  # read within seconds; it holds names and addresses
        doc="What near matches compare; what was read is deleted by the workers.",
        segment_ms=HOUR_MS,
        generational=True,
    ),
    Topic(
        MATCHES,
        "match",
        "pair, 16 bytes",
        "customers",
        compacted=True,
        doc="Customers who may be one person, and what became of that.",
        public=True,
        generational=True,
    ),
    Topic(
        DECISIONS,
        "decision",
        _CUSTOMER,
        "customers",
        retention_ms=90 * DAY_MS,
        doc="Every decision, hold included.",
        public=True,
        kept="decisions",
    ),
    *(
        Topic(
            actions(c),
            "action",
            _CUSTOMER,
            "customers",
            doc=f"What the {c} channel must do.",
            public=True,
            kept="actions",
        )
        for c in ACTION_CHANNELS
    ),
    Topic(EXAMPLES, "example", "model, UTF-8", "models", retention_ms=30 * DAY_MS, doc="What learners learn from."),
    Topic(MODELS, "model_snapshot", "model, UTF-8", "one", compacted=True, doc="Newest snapshot of each model."),
    Topic(CATALOGUE, "catalogue", "the word catalogue", "one", compacted=True, doc="Actions and policies."),
    Topic(
        GENERATIONS,
        "generation",
        "the word table, or generation, partition and phase",
        "one",
        compacted=True,
        doc="Which generation is live.",
    ),
    Topic(
        DEAD_LETTERS,
        "dead_letter",
        "origin",
        "one",
        retention_ms=14 * DAY_MS,
        doc="What could not be processed.",
        kept="dead_letters",
        max_bytes=DEAD_LETTER_MAX_BYTES,
    ),
    Topic(
        CUSTOMERS_CHANGELOG,
        "",
        "node, 16 bytes",
        "customers",
        compacted=True,
        doc="State of the customers agent, each customer sealed with a secret of its own.",
        max_bytes=STATE_MAX_BYTES,
        max_lag_ms=DAY_MS,
        generational=True,
    ),
    # Its records are 40 bytes: compacting it all within the hour is cheap, and then a destroyed secret is gone.
    Topic(
        VAULT,
        "",
        "node, 16 bytes",
        "customers",
        compacted=True,
        doc="Secrets that open the state, wrapped: without its own a customer's state is unreadable.",
        max_lag_ms=HOUR_MS,
        generational=True,
    ),
    Topic(
        LEARNERS_CHANGELOG,
        "",
        "model, UTF-8",
        "models",
        compacted=True,
        doc="State of the learners.",
        max_bytes=STATE_MAX_BYTES,
    ),
    Topic(
        NEAR_CHANGELOG,
        "",
        "blocking key, hashed, 16 bytes; the word learner",
        "customers",
        compacted=True,
        doc="State of near matches.",
        generational=True,
        max_bytes=STATE_MAX_BYTES,
        max_lag_ms=DAY_MS,
    ),
    Topic(
        NEAR_VAULT,
        "",
        "as of near-changelog",
        "customers",
        compacted=True,
        doc="Secrets that open the state of near matches, wrapped; a block that a card has left gets a new one.",
        generational=True,
        max_lag_ms=HOUR_MS,
    ),
)

TOPICS: Mapping[str, Topic] = {topic.name: topic for topic in _TABLE}

# What the customers agent reads.
CUSTOMER_SOURCES: tuple[str, ...] = (*(signals(c) for c in CHANNELS), RULINGS, REPLAY, INBOX, TICKS)

# The generation that there is before any rebuild; its topics have no more before their names.
FIRST = "g1"

# Partitions of the learners' topics: the most models that learn in parallel.
MODEL_PARTITIONS = 4


def partitions_of(topic: Topic, customers: int) -> int:
    """Return how many partitions a topic has when the customers agent has so many."""
    return {"customers": customers, "models": MODEL_PARTITIONS, "one": 1}[topic.partitioning]


def full_name(name: str, *, prefix: str = "", generation: str = FIRST) -> str:
    """Return a topic's full name.

    Examples
    --------
    >>> full_name("profiles", generation="g2"), full_name("decisions", generation="g2")
    ('g2.profiles', 'decisions')
    """
    topic = TOPICS.get(name)
    own = "" if generation == FIRST or topic is None or not topic.generational else f"{generation}."
    return f"{prefix}{own}{name}"
