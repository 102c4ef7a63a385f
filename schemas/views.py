"""Typed views of the records: the dictionaries that the codec reads and writes, with their types.

They cost nothing at run time. A field with a null default may be left out when writing; after reading it is there.
"""

from typing import NotRequired, TypedDict


class IdentifierView(TypedDict):
    """One way to name the customer, as seen."""

    kind: str
    value: str
    original: NotRequired[str]


class Behaviour(TypedDict, total=False):
    """Something the customer did."""

    item_id: str | None
    category: str | None
    value_minor: int | None
    quantity: int | None
    query: str | None
    url: str | None


class Item(TypedDict):
    """One line of an order."""

    item_id: str
    category: NotRequired[str | None]
    quantity: int
    price_minor: int


class Transaction(TypedDict):
    """Money changed hands; ``type`` is order, return, payment or refund."""

    type: str
    order_id: str
    amount_minor: int
    currency: str
    items: list[Item]
    margin_minor: NotRequired[int | None]
    coupon: NotRequired[str | None]


class Message(TypedDict):
    """Words from or to the customer."""

    direction: str
    text: NotRequired[str | None]
    subject: NotRequired[str | None]
    thread_id: NotRequired[str | None]
    language: NotRequired[str | None]


class Survey(TypedDict):
    """An answer to a question."""

    survey: str
    score: NotRequired[float | None]
    scale_max: NotRequired[float | None]
    text: NotRequired[str | None]


class Service(TypedDict):
    """A ticket or a call."""

    event: str
    ticket_id: NotRequired[str | None]
    reason: NotRequired[str | None]
    priority: NotRequired[str | None]
    duration_s: NotRequired[int | None]
    text: NotRequired[str | None]


class Consent(TypedDict):
    """Something allowed or withdrawn."""

    purpose: str
    channel: str
    granted: bool
    proof: NotRequired[str | None]


class Outcome(TypedDict):
    """What became of an action."""

    action_id: str
    event: str
    action: NotRequired[str | None]
    delivered_on: NotRequired[str | None]
    detail: NotRequired[str | None]


class Traits(TypedDict):
    """Durable attributes that a source states."""

    values: dict[str, str]


class Context(TypedDict, total=False):
    """Circumstances."""

    ip: str | None
    user_agent: str | None
    locale: str | None
    time_zone: str | None
    page_url: str | None
    referrer: str | None
    campaign: str | None
    extra: dict[str, str]


class Signal(TypedDict):
    """One observed fact about a customer."""

    id: str
    kind: str
    name: str
    channel: str
    source: str
    identifiers: list[IdentifierView]
    occurred_at_ms: int
    original_at_ms: NotRequired[int | None]
    sent_at_ms: NotRequired[int | None]
    received_at_ms: int
    behaviour: NotRequired[Behaviour | None]
    transaction: NotRequired[Transaction | None]
    message: NotRequired[Message | None]
    survey: NotRequired[Survey | None]
    service: NotRequired[Service | None]
    consent: NotRequired[Consent | None]
    outcome: NotRequired[Outcome | None]
    traits: NotRequired[Traits | None]
    context: Context


SIGNAL_KINDS: tuple[str, ...] = (
    "behaviour",
    "transaction",
    "message",
    "survey",
    "service",
    "consent",
    "outcome",
    "traits",
)


class Candidate(TypedDict):
    """A treatment that passed all filters, with the terms of its score."""

    action: str
    treatment: str
    channel: str
    p: float
    sd: float
    value: float
    context: float
    lever: float
    score: float
    probability: float


class Filtered(TypedDict):
    """What could not be chosen, and by which rule."""

    action: str
    treatment: str
    reason: str


class DecisionView(TypedDict):
    """The choice made at one moment."""

    id: str
    customer: bytes
    signal_id: str
    trigger: str
    decided_at_ms: int
    action: str | None
    treatment: str | None
    channel: str | None
    hold: str | None
    control: bool
    propensity: float
    draw: float
    candidates: list[Candidate]
    filtered: list[Filtered]
    features: list[float]
    feature_set: str
    scores: dict[str, float]
    model_versions: dict[str, int]
    catalogue_version: str
    node: bytes
    purpose: str
    goal: str
    reward_due_ms: int
    denied_by: bytes


class ActionView(TypedDict):
    """What a channel must do for a customer."""

    id: str
    decision_id: str
    customer: bytes
    action: str
    treatment: str
    channel: str
    purpose: str
    language: str
    address: str | None
    subject: str
    body: str
    params: dict[str, str]
    decided_at_ms: int
    expires_at_ms: int


class ExampleView(TypedDict):
    """Something to learn from."""

    id: str
    model: str
    arm: NotRequired[str]
    feature_set: str
    features: list[float]
    label: NotRequired[str]
    reward: NotRequired[float]
    propensity: NotRequired[float]
    predicted: dict[str, float]
    predicted_version: int
    scored_at_ms: int
    labelled_at_ms: int


class SnapshotView(TypedDict):
    """A learner's state, authenticated."""

    model: str
    version: int
    feature_set: str
    learned: int
    position: int
    metrics: dict[str, float]
    created_at_ms: int
    model_bytes: bytes
    mac: bytes


class DeadLetterView(TypedDict):
    """What could not be processed, whole."""

    code: str
    detail: str
    stage: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    at_ms: int
