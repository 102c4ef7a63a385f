"""What customers do of their own accord: visits of web, app and shop, orders, troubles, calls. Pure."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from deploy.demo.doings import Doing
from deploy.demo.people import DAY_MS, HOUR_MS, MINUTE_MS, Person, favourite

# Mean time between two clicks, seconds.
CLICK_S = 40.0
# Items per category; prices in cents.
ITEMS = 30
CURRENCY = "EUR"

# Orders that go wrong: late, damaged, not as described.
TROUBLE = 0.14
# What care after the order (how to reach us, how to use it) leaves of that.
CARED_TROUBLE = 0.5

_COMPLAINTS = {
    "en": "This is terrible, I am very disappointed: {reason}.",
    "fa": "خیلی بد بود، اصلا راضی نیستم: {reason}",
    "ar": "الخدمة سيئة جدا وأنا غاضب: {reason}",
}
_PRAISE = {
    "en": "Excellent, I love it, thank you!",
    "fa": "عالی بود، خیلی راضی هستم، ممنون",
    "ar": "ممتاز جدا، شكرا لكم",
}
_SHRUG = {"en": "It arrived.", "fa": "رسید.", "ar": "وصل."}
_BLAME = {"en": "Bad quality, disappointed.", "fa": "کیفیت بد بود، ناراضی هستم", "ar": "جودة سيئة جدا"}
_REASONS = ("late_delivery", "damaged", "wrong_item", "quality")


def item(rng: Random, category: str) -> tuple[str, str, int]:
    """Return an item of a category: id, category, price in cents."""
    number = int(rng.triangular(0, ITEMS, 0))
    return f"{category}-{number:02d}", category, 600 + 370 * number


class Scene:
    """One visit as it unfolds: its clock, its place and what was done in it."""

    def __init__(self, person: Person, rng: Random, at_ms: int, channel: str, anonymous_id: str) -> None:
        self.person = person
        self.rng = rng
        self.at_ms = at_ms
        self.channel = channel
        self.anonymous_id = anonymous_id
        self.done: list[Doing] = []

    def do(
        self,
        call: str,
        name: str,
        properties: Mapping[str, Any] | None = None,
        traits: Mapping[str, str] | None = None,
    ) -> None:
        """Do one thing, and let some time pass."""
        ids = {"anonymous_id": self.anonymous_id}
        if self.anonymous_id in self.person.signed_in:
            ids["user_id"] = self.person.user_id
        self.done.append(
            Doing(self.at_ms, self.channel, call, name, ids, properties or {}, traits or {}, context_of(self.person))
        )
        self.at_ms += 1_000 + int(self.rng.expovariate(1 / CLICK_S) * 1_000)

    def sign_in(self) -> None:
        """Say who one is; the first time ever that is the registration, with consent or without."""
        person = self.person
        if self.anonymous_id in person.signed_in:
            return
        person.signed_in.add(self.anonymous_id)
        traits = {"email": person.email, "first_name": person.name, "language": person.region.language}
        traits |= {"time_zone": person.region.zone, "city": person.city, "customer_number": person.user_id}
        if person.number % 5 < 4:
            traits["phone"] = person.phone
        if person.loyalty_id and person.number % 3:
            traits["loyalty_id"] = person.loyalty_id
        self.do("identify", "", traits=traits)
        if not person.registered:
            person.registered = True
            if person.consents:
                proof = {"purpose": "marketing", "channel": "*", "proof": "registration form"}
                self.do("track", "Consent Granted", proof)


def context_of(person: Person) -> dict[str, Any]:
    """Return what a client says of its user's place."""
    return {"locale": person.region.locale, "timezone": person.region.zone}


def place(person: Person, rng: Random) -> str:
    """Return where the next visit goes: pos, app, or web."""
    if person.loyalty_id and rng.random() < person.store:
        return "pos"
    return "app" if person.app and rng.random() < person.app_share else "web"


def browse(scene: Scene) -> bool:
    """Look around, perhaps buy; return whether something was ordered."""
    person, rng = scene.person, scene.rng
    scene.do("page" if scene.channel == "web" else "screen", "Home", {"url": "https://shop.example/"})
    if scene.anonymous_id not in person.asked_cookies:
        person.asked_cookies.add(scene.anonymous_id)
        if scene.channel == "web" and rng.random() < 0.6:
            granted = {"purpose": "marketing", "channel": "web", "proof": "cookie banner"}
            scene.do("track", "Consent Granted", granted)
    if rng.random() < (0.75 if person.registered else 0.35):
        scene.sign_in()
    if rng.random() < 0.2:
        scene.do("track", "Products Searched", {"query": favourite(person, rng)})
    looks = 1 + min(6, int(rng.expovariate(0.55 if person.stage == "keen" else 1.1)))
    wants = rng.random() < order_probability(person, scene.at_ms)
    for _ in range(looks):
        _look(scene, wants=wants)
    if wants and not person.cart:
        put(scene, item(rng, favourite(person, rng)))
    if person.cart and (wants or rng.random() < 0.25):
        scene.do("track", "Checkout Started", {"value": sum(price for _, _, price in person.cart) / 100})
    if wants:
        order(scene)
    elif person.cart and rng.random() < 0.15:
        thing, category, price = person.cart.pop()
        scene.do("track", "Product Removed", _thing(thing, category, price))
    return wants


def order_probability(person: Person, at_ms: int) -> float:
    """Return the probability that a visit ends in an order."""
    p = person.buys * (1.0 + 0.5 * person.mood) + (0.1 if person.cart else 0.0)
    if person.stage == "slipping":
        p *= 0.5
    return p + (person.boost if at_ms < person.boost_until_ms else 0.0)


def _look(scene: Scene, *, wants: bool) -> None:
    found = item(scene.rng, favourite(scene.person, scene.rng))
    scene.do("track", "Product Viewed", _thing(*found))
    if scene.rng.random() < (0.5 if wants else 0.12) and len(scene.person.cart) < 6:
        put(scene, found)


def put(scene: Scene, found: tuple[str, str, int]) -> None:
    """Put an item into the cart."""
    scene.person.cart.append(found)
    scene.do("track", "Product Added", {**_thing(*found), "quantity": 1})


def order(scene: Scene) -> None:
    """Order what lies in the cart; one must sign in for it."""
    person = scene.person
    scene.sign_in()
    products = [{**_thing(*found), "quantity": 1} for found in person.cart]
    total = sum(price for _, _, price in person.cart) / 100
    scene.do("track", "Order Completed", {"order_id": order_id(person), "total": total, "currency": CURRENCY,
                                          "products": products})  # fmt: skip
    bought(person)


def bought(person: Person) -> None:
    """Take note of an order."""
    person.orders += 1
    person.cart.clear()
    person.boost = 0.0
    person.mind(0.05)


def order_id(person: Person) -> str:
    """Return the number of the order that comes next."""
    return f"o-{person.number}-{person.orders + 1}"


def _thing(name: str, category: str, price: int) -> dict[str, Any]:
    return {"product_id": name, "category": category, "price": price / 100, "currency": CURRENCY}


def till(person: Person, rng: Random, at_ms: int) -> Doing:
    """Return a purchase at the point of sale, by loyalty card."""
    lines = [item(rng, favourite(person, rng)) for _ in range(1 + int(rng.expovariate(1.0)))]
    ids = {"loyalty_id": person.loyalty_id or ""}
    if person.registered and rng.random() < 0.3:
        ids["phone"] = person.phone
    payload = {
        "type": "order",
        "order_id": order_id(person),
        "amount_minor": sum(price for _, _, price in lines),
        "currency": CURRENCY,
        "items": [{"item_id": i, "category": c, "quantity": 1, "price_minor": p} for i, c, p in lines],
    }
    cart = list(person.cart)
    bought(person)
    person.cart[:] = cart
    traits = {"customer_number": person.user_id}
    return Doing(at_ms, "pos", "transaction", "order_completed", ids, payload, traits, {})


def trouble(person: Person, rng: Random, at_ms: int) -> Iterator[Doing]:
    """Yield the call about an order that went wrong; the ticket is resolved by ``resolution``."""
    reason = rng.choice(_REASONS)
    words = _COMPLAINTS[person.region.language].format(reason=reason)
    ids = {"phone": person.phone}
    if rng.random() < 0.5:
        ids["email"] = person.email
    ticket = f"t-{person.number}-{person.orders}"
    traits = {"customer_number": person.user_id}
    call = {"event": "call_started", "ticket_id": ticket, "reason": reason}
    yield Doing(at_ms, "call-centre", "service", "call_started", ids, call, traits, {})
    opened = {"event": "opened", "ticket_id": ticket, "reason": reason, "priority": "normal", "text": words}
    yield Doing(at_ms + 4 * MINUTE_MS, "call-centre", "service", "ticket_opened", ids, opened, {}, {})
    ended = {"event": "call_ended", "ticket_id": ticket, "duration_s": 60 + int(rng.expovariate(1 / 240))}
    yield Doing(at_ms + 6 * MINUTE_MS, "call-centre", "service", "call_ended", ids, ended, {}, {})


def resolution(person: Person, at_ms: int, ticket: str) -> Doing:
    """Return the end of a ticket."""
    payload = {"event": "resolved", "ticket_id": ticket}
    return Doing(at_ms, "call-centre", "service", "ticket_resolved", {"phone": person.phone}, payload, {}, {})


def returned(scene: Scene) -> None:
    """Send the last order back."""
    person = scene.person
    scene.sign_in()
    scene.do("track", "Order Returned", {"order_id": f"o-{person.number}-{person.orders}", "total": 20.0,
                                         "currency": CURRENCY})  # fmt: skip


def review(scene: Scene) -> None:
    """Say what one thinks of the last order."""
    mood = scene.person.mood + scene.rng.gauss(0.1, 0.2)
    words = (_PRAISE if mood > 0.15 else _BLAME if mood < -0.2 else _SHRUG)[scene.person.region.language]
    rating = min(5, max(1, round(3.4 + 2.0 * mood)))
    scene.sign_in()
    scene.do("track", "Product Reviewed", {"rating": rating, "text": words})


def by_day(person: Person, rng: Random, at_ms: int) -> int:
    """Return a moment on the same day by the customer's clock at which people are awake, at or after ``at_ms``."""
    local = at_ms + person.region.offset_ms
    day = local - local % DAY_MS
    wished = day + int(rng.triangular(7, 23.5, 19) * HOUR_MS)
    return (wished if wished >= local else wished + DAY_MS) - person.region.offset_ms
