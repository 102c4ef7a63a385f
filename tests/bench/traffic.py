"""Realistic signals: people who visit on several channels, under several identifiers, in four waves of one day.

A batch of the lane should look as it does in a live shop, where thousands of customers come between two signals of one
of them. So all customers come in each wave, and within a wave their signals are spread over half an hour and shuffled
by time. All lies within a day of stream time: what is drained topic by topic is then never too old to act upon.
"""

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from confluent_kafka import Producer

from schemas.identifiers import Hasher
from schemas.topics import signals as topic_of
from schemas.wire import codec_of
from streams.agents.naming import Namer

WAVES = 4
WAVE_EVERY_MS = 5 * 3_600_000
# Visits of a wave begin within half an hour; signals of a visit follow each other after a minute and a half.
WAVE_MS = 30 * 60_000
PAUSE_MS = 90_000.0
SPAN_MS = WAVES * WAVE_EVERY_MS
PER_CUSTOMER = 20

# Channel to its share of the visits, and what happens in a visit there, each with its weight.
CHANNELS: dict[str, float] = {"web": 0.5, "app": 0.25, "pos": 0.12, "call-centre": 0.08, "email": 0.05}
DOINGS: dict[str, dict[str, float]] = {
    "web": {
        "page_viewed": 20, "product_viewed": 38, "products_searched": 10, "product_added": 10, "product_removed": 2,
        "checkout_started": 3, "order_completed": 5, "traits": 5, "survey": 2, "consent": 2,
    },
    "app": {"app_opened": 15, "product_viewed": 45, "products_searched": 10, "product_added": 12, "order_completed": 5,
            "message": 4, "traits": 3},
    "pos": {"order_completed": 80, "order_returned": 15, "traits": 5},
    "call-centre": {"call_started": 35, "ticket_opened": 25, "ticket_resolved": 25, "call_ended": 15},
    "email": {"message": 90, "survey": 10},
}  # fmt: skip
TEXTS = (
    "Where is my order? It should have come on Monday.",
    "Thank you, that was quick and friendly.",
    "The shoes are too small, how can I send them back?",
    "سفارش من هنوز نرسیده است، لطفاً پیگیری کنید.",
    "I am very disappointed, this is the second broken lamp.",
    "شكراً جزيلاً على المساعدة",
)
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"


class Sent(NamedTuple):
    """One signal as a door writes it: topic without prefix, key, value, and when it occurred."""

    topic: str
    key: bytes
    value: bytes
    at_ms: int


def traffic(
    customers: int,
    *,
    start_ms: int,
    hasher: Hasher,
    per_customer: int = PER_CUSTOMER,
    waves: int = WAVES,
    seed: int = 1,
    first: int = 0,
) -> list[Sent]:
    """Return the signals of so many customers in the order of time, encoded and keyed by their strongest node.

    Parameters
    ----------
    start_ms : when the first wave begins
    first : number of the first customer: other numbers are other people
    """
    rnd = random.Random(seed)
    namer, encode = Namer(hasher, "DE"), codec_of("signal").encode
    visits = [
        (at_ms, customer, channel, f"s{seed}-{customer}-{wave}-{step}", step)
        for customer in range(first, first + customers)
        for wave in range(waves)
        for channel in rnd.choices(list(CHANNELS), list(CHANNELS.values()))
        for step, at_ms in enumerate(_times(rnd, start_ms + wave * WAVE_EVERY_MS, per_customer // waves))
    ]
    visits.sort()
    sent = []
    for at_ms, customer, channel, name, step in visits:
        signal = _signal(rnd, customer, channel, name=name, step=step, at_ms=at_ms)
        topic = topic_of(channel)
        sent.append(Sent(topic, namer.name(signal, topic).node, encode(signal), at_ms))
    return sent


def named(customer: int, identifiers: dict[str, str], *, name: str, at_ms: int, channel: str = "app") -> Sent:
    """Return one signal that names just these identifiers, values by kind; the strongest first."""
    signal = _signal(random.Random(name), customer, channel, name=name, step=0, at_ms=at_ms)
    signal["identifiers"] = [{"kind": kind, "value": value} for kind, value in identifiers.items()]
    return Sent(topic_of(channel), name.encode(), codec_of("signal").encode(signal), at_ms)


def _times(rnd: random.Random, start_ms: int, count: int) -> Iterator[int]:
    at_ms = start_ms + rnd.randrange(WAVE_MS)
    for _ in range(count):
        yield at_ms
        at_ms += 1_000 + int(rnd.expovariate(1 / PAUSE_MS))


def _identifiers(rnd: random.Random, customer: int, channel: str, step: int) -> list[dict[str, str]]:
    """Return one to three identifiers: anonymous until the customer signs in, then both; at the till a card."""
    user = {"kind": "user_id", "value": f"user-{customer}"}
    email = {"kind": "email", "value": f"person.{customer}@shop-mail.example"}
    phone = {"kind": "phone", "value": f"+49151{customer:08d}"}
    if channel == "web":
        browser = {"kind": "anonymous_id", "value": f"browser-{customer}-{rnd.randrange(2)}"}
        return [browser] if step < 2 else [user, browser, email] if step == 2 else [user, browser]
    if channel == "app":
        return [user, {"kind": "device_id", "value": f"device-{customer}"}]
    if channel == "pos":
        card = {"kind": "loyalty_id", "value": f"card-{customer}"}
        return [card, phone] if rnd.random() < 0.3 else [card, user] if rnd.random() < 0.5 else [card]
    if channel == "call-centre":
        return [phone, user] if rnd.random() < 0.6 else [phone]
    return [email]


def _signal(rnd: random.Random, customer: int, channel: str, *, name: str, step: int, at_ms: int) -> Any:
    doing = rnd.choices(list(DOINGS[channel]), list(DOINGS[channel].values()))[0]
    kind, payload = _payload(rnd, doing, name, customer)
    signal: dict[str, Any] = {
        "id": name,
        "kind": kind,
        "name": doing if kind != "traits" else "identified",
        "channel": channel,
        "source": f"{channel}-sdk",
        "identifiers": _identifiers(rnd, customer, channel, step),
        "occurred_at_ms": at_ms,
        "original_at_ms": at_ms,
        "sent_at_ms": at_ms + 40,
        "received_at_ms": at_ms + 90,
        kind: payload,
        "context": {},
    }
    if channel in {"web", "app"}:
        signal["context"] = {
            "user_agent": USER_AGENT,
            "locale": ("de-DE", "fa-IR", "ar-EG", "en-GB")[customer % 4],
            "time_zone": "Europe/Berlin",
            "page_url": f"https://shop.example/p/{rnd.randrange(2_000)}",
        }
    return signal


def _payload(rnd: random.Random, doing: str, name: str, customer: int) -> tuple[str, dict[str, Any]]:
    item, minor = rnd.randrange(2_000), rnd.randrange(500, 20_000)
    if doing in {"order_completed", "order_returned"}:
        lines = [
            {"item_id": f"sku-{(item + n) % 2_000}", "category": f"c{item % 40}", "quantity": 1, "price_minor": minor}
            for n in range(rnd.randrange(1, 5))
        ]
        what = "order" if doing == "order_completed" else "return"
        money = {"amount_minor": minor * len(lines), "currency": "EUR", "margin_minor": minor // 5}
        return "transaction", {"type": what, "order_id": f"o-{name}", **money, "items": lines}
    if doing == "message":
        return "message", {"direction": "inbound", "text": rnd.choice(TEXTS), "thread_id": f"t-{customer}"}
    if doing == "survey":
        return "survey", {"survey": "nps", "score": float(rnd.randrange(11)), "scale_max": 10.0}
    if doing == "consent":
        return "consent", {"purpose": "marketing", "channel": rnd.choice(("email", "app", "web")), "granted": True}
    if doing == "traits":
        values = {"first_name": f"Name{customer}", "city": "Berlin", "language": ("de", "fa", "ar", "en")[customer % 4]}
        return "traits", {"values": values}
    if doing in {"call_started", "call_ended"}:
        return "service", {"event": doing, "reason": "delivery", "duration_s": 180 if doing == "call_ended" else None}
    if doing in {"ticket_opened", "ticket_resolved"}:
        event = doing.removeprefix("ticket_")
        ticket = {
            "ticket_id": f"t-{customer}",
            "reason": rnd.choice(("delivery", "refund", "size")),
            "priority": "high",
        }
        return "service", {"event": event, **ticket, "text": rnd.choice(TEXTS) if event == "opened" else None}
    behaviour: dict[str, Any] = {"item_id": f"sku-{item}", "category": f"c{item % 40}", "value_minor": minor}
    if doing == "products_searched":
        return "behaviour", {"query": f"shoes {item % 300}"}
    if doing in {"product_added", "product_removed"}:
        behaviour["quantity"] = 1 if doing == "product_added" else -1
    return "behaviour", {**behaviour, "url": f"https://shop.example/p/{item}"}


def write(bootstrap: str, sent: list[Sent], *, prefix: str = "") -> None:
    """Write signals to Kafka in their order, and wait until the broker has them.

    Raises
    ------
    RuntimeError
        when it does not acknowledge them within two minutes
    """
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "queue.buffering.max.messages": 1_000_000,
            "log_level": 3,  # a broker just started says no for a second; it is asked again
        }
    )
    for number, (topic, key, value, _) in enumerate(sent):
        producer.produce(prefix + topic, value, key)
        if number % 1_000 == 0:
            producer.poll(0)
    left = producer.flush(120)
    if left:
        raise RuntimeError(f"{left} of {len(sent)} signals were not acknowledged within 120 s")
