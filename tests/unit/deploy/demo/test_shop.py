"""The shop's truth: pure, in order of time, and moved by what reaches its customers."""

from random import Random

import pytest

from deploy.demo.doings import Doing, Received
from deploy.demo.people import DAY_MS, Person, populate
from deploy.demo.shop import Shop

START_MS = 1_700_000_000_000


def shop_of(count: int, days: int = 30, seed: int = 1) -> Shop:
    rng = Random(seed)
    return Shop(populate(count, rng, start_ms=START_MS, days=days), rng)


def steps(shop: Shop, days: int, hours: int = 6) -> list[tuple[int, int, list[Doing]]]:
    found = []
    for at_ms in range(START_MS, START_MS + days * DAY_MS, hours * 3_600_000):
        end_ms = at_ms + hours * 3_600_000
        found.append((at_ms, end_ms, shop.until(end_ms).doings))
    return found


def message(person: Person, action: str, channel: str = "email", **fields: str) -> Received:
    return Received(person.number, channel, action, fields.get("treatment", "t"), "a1", fields.get("unsubscribe", ""))


def test_the_same_seed_lives_the_same_life() -> None:
    assert steps(shop_of(50), 20) == steps(shop_of(50), 20)
    assert steps(shop_of(50), 20) != steps(shop_of(50, seed=2), 20)


def test_what_is_done_lies_in_its_step_and_in_order_of_time() -> None:
    total = 0
    for start_ms, end_ms, doings in steps(shop_of(80), 20):
        times = [doing.at_ms for doing in doings]
        assert times == sorted(times)
        assert all(start_ms <= at_ms < end_ms for at_ms in times)
        total += len(times)
    assert total > 80 * 5


def test_every_channel_is_used_and_the_truth_is_told_to_nobody() -> None:
    doings = [doing for _, _, found in steps(shop_of(200), 30) for doing in found]
    assert {doing.channel for doing in doings} == {"web", "app", "call-centre", "pos"}
    told = {name for doing in doings for name in (*doing.properties, *doing.traits, *doing.context)}
    assert not told & {"mood", "stage", "tastes", "patience", "hazard", "receptive", "rhythm_days"}


def test_some_tablets_are_shared() -> None:
    people = populate(2_000, Random(3), start_ms=START_MS, days=30)
    owners: dict[str, int] = {}
    for person in people:
        for browser in person.browsers:
            owners[browser] = owners.get(browser, 0) + 1
    assert 10 < sum(count > 1 for count in owners.values()) < 100


def test_interest_fades_and_an_offer_brings_some_back() -> None:
    shop = shop_of(200, days=90)
    steps(shop, 90, hours=24)
    gone = [person for person in shop.people if person.stage == "gone"]
    assert 20 < len(gone) < 180
    now_ms = START_MS + 90 * DAY_MS
    for person in gone:
        shop.receive(message(person, "win-back"), now_ms)
    doings = shop.until(now_ms + 3 * DAY_MS).doings
    visitors = {doing.ids.get("anonymous_id") for doing in doings}
    back = [person for person in gone if visitors & {*person.browsers, person.app} - {None}]
    assert 0.05 * len(gone) < len(back) < 0.6 * len(gone)


def test_nobody_comes_back_by_itself() -> None:
    shop = shop_of(120, days=90)
    steps(shop, 90, hours=24)
    gone = {browser for p in shop.people if p.stage == "gone" for browser in (*p.browsers, p.app)}
    shared = {browser for p in shop.people if p.stage != "gone" for browser in (*p.browsers, p.app)}
    # What they had begun before lies within a week: tickets, returns.
    shop.until(START_MS + 100 * DAY_MS)
    later = shop.until(START_MS + 120 * DAY_MS).doings
    assert not {doing.ids.get("anonymous_id") for doing in later} & (gone - shared - {None})


def test_too_many_messages_end_in_unsubscribing_by_the_messages_own_link() -> None:
    shop = shop_of(150)
    pressed = []
    for day in range(25):
        now_ms = START_MS + day * DAY_MS
        for person in shop.people:
            shop.receive(message(person, "win-back", unsubscribe=f"http://s/{person.number}"), now_ms)
        pressed += shop.until(now_ms + DAY_MS).unsubscribes
    assert len({wish.person for wish in pressed}) > 30
    assert all(wish.url == f"http://s/{wish.person}" for wish in pressed)


@pytest.mark.parametrize("action", ["apology", "service-follow-up", "save-script"])
def test_care_repairs_moods(action: str) -> None:
    shop = shop_of(200)
    for person in shop.people:
        person.mood = -0.5
        shop.receive(message(person, action, channel="call-centre" if action == "save-script" else "email"), START_MS)
    shop.until(START_MS + 2 * DAY_MS)
    assert sum(person.mood for person in shop.people) / len(shop.people) > -0.4
