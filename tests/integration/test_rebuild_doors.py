"""A rebuild with everything running: a gateway takes signals in, two workers decide, deliver sends letters, serve
answers; the command is killed in the middle of the switch. Nothing is lost, nothing is counted or sent twice."""

import asyncio
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.running import read_topic
from schemas.identifiers import Identifier
from schemas.topics import CHANNELS, DEAD_LETTERS, FIRST, actions, full_name, signals
from schemas.wire import codec_of
from streams.agents.catalogue import publish
from streams.agents.catalogue_command import read_file
from tests.bench.rig import CATALOGUE
from tests.integration.test_rebuild import HASHER, System, wait
from tests.peers.delivery import smtp
from tests.peers.gateway import Door, gateway
from tests.peers.processes import started
from tests.peers.smtp import Relay, relay

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(400)]

PEOPLE = 300
# The gateway's topics, too: `tests.peers.gateway` makes them.
BEFORE = 2


def event(number: int, rnd: random.Random) -> dict[str, Any]:
    """Return an event of somebody: every second person shares an address; an order in eight, which is thanked for."""
    person = rnd.randrange(PEOPLE)
    who = {"anonymousId": f"a{person}-{rnd.randrange(2)}"}
    if rnd.random() < 0.6:
        who["userId"] = f"u{person}"
    traits = {"email": f"p{person // 2}@shop.example"} if rnd.random() < 0.5 else {}
    said: dict[str, Any] = {"event": "Product Viewed", "properties": {"product_id": f"i{number % 5}"}}
    if number % 8 == 0:
        order = {"order_id": f"o{number}", "total": 20, "currency": "EUR"}
        said = {"event": "Order Completed", "properties": order}
    return {"type": "track", "messageId": f"s{number}", "context": {"traits": traits}, **who, **said}


class Shop:
    """Posts events to the gateway until it is stopped; keeps which were accepted."""

    def __init__(self, door: Door) -> None:
        self.door, self.rnd, self.sent = door, random.Random(5), 0
        self.accepted: set[str] = set()
        self.refused: list[int] = []
        self.stop = threading.Event()

    def post(self, count: int) -> None:
        batch = [event(self.sent + number, self.rnd) for number in range(count)]
        self.sent += count
        answer = self.door.post("/v1/batch", {"batch": batch})
        if answer.status_code == 200:
            self.accepted |= {each["messageId"] for each in batch}
        else:
            self.refused.append(answer.status_code)

    def run(self) -> None:
        while not self.stop.wait(0.2):
            self.post(12)


def taken_in(system: System, generation: str) -> Counter[str]:
    """Return the ids of all signals that lie in a generation's topics, with how often each does."""
    decode = codec_of("signal").decode
    topics = [full_name(signals(channel), prefix=system.prefix, generation=generation) for channel in CHANNELS]
    values = (value for topic in topics for _, value in read_topic(system.kafka, topic))
    return Counter(decode(value)["id"] for value in values if value)


def everything(system: System) -> int:
    """Return how many signals were taken in, those of what came of letters among them."""
    return len(taken_in(system, FIRST) | taken_in(system, "g2"))


def letters_of(peer: Relay) -> Counter[str]:
    """Return the ids of the actions that came as letters."""
    return Counter(str(taken.message["Message-ID"]).strip("<>").split("@")[0] for taken in peer.taken)


def play(system: System, door: Door, peer: Relay) -> None:
    shop = Shop(door)
    for _ in range(30):
        shop.post(40)
    wait(lambda: system.counted(FIRST) >= len(shop.accepted) and peer.taken)
    running = threading.Thread(target=shop.run)
    running.start()
    try:
        killed = system.rebuild("--yes")
        wait(lambda: killed.poll() is not None or system.table().switching, 120)
        killed.kill()
        assert killed.wait() == -9, "it had ended before it could be killed in the switch"
        done = system.rebuild("--yes")
        wait(lambda: done.poll() is not None or system.table().live == "g2", 120)
        time.sleep(5)
    finally:
        shop.stop.set()
        running.join()
    done.wait(60)
    assert done.returncode == 0, (system.folder / "rebuild--yes.log").read_text()
    check(system, shop, peer)
    dropped = system.rebuild("--drop", FIRST)
    assert dropped.wait(60) == 0, (system.folder / "rebuild--drop.log").read_text()
    assert system.table().names() == ("g2",)
    customers = members_of(system, "g2")
    again = system.rebuild("--yes")
    assert again.wait(150) == 0, (system.folder / "rebuild--yes.log").read_text()
    wait(lambda: system.table().live == "g3" and system.counted("g3") == system.counted("g2"))
    assert members_of(system, "g3") == customers, "the same rules and signals make other customers"
    for name in ("serve", "deliver"):  # when a generation comes, goes live or goes; older tables are no news
        said = (system.folder / "one" / f"{name}.log").read_text()
        assert said.count("begins anew") <= 5, said


def members_of(system: System, generation: str) -> set[frozenset[bytes]]:
    """Return the customers of a generation, each as its identifiers."""
    return {frozenset(m["node"] for m in p["members"]) for p in system.profiles(generation).values()}


def check(system: System, shop: Shop, peer: Relay) -> None:
    assert shop.refused == [], "a door was closed"
    mine = {f"s{number}" for number in range(shop.sent)}
    assert shop.accepted == mine
    # What came to the old topics after the switch was carried over: it lies in both, in each once.
    before, after = taken_in(system, FIRST), taken_in(system, "g2")
    assert max([*before.values(), *after.values()]) == 1
    assert mine <= before.keys() | after.keys()
    assert after, "no door followed the switch"
    # What came of the letters are signals, too. Each is counted in one golden record, or is a dead letter.
    wait(lambda: system.counted("g2") == everything(system))
    time.sleep(2)
    assert system.counted("g2") == everything(system)
    assert [value for _, value in read_topic(system.kafka, system.prefix + DEAD_LETTERS) if value] == []
    sent = [action["id"] for _, action in system.of(actions("email")) if action]
    assert len(sent) == len(set(sent)) > 20
    wait(lambda: letters_of(peer).total() >= len(sent))
    assert letters_of(peer) == Counter(sent)
    others = Counter(a["id"] for channel in ("web", "app") for _, a in system.of(actions(channel)) if a)
    assert max(others.values()) == 1
    person = HASHER.node(Identifier("user_id", "u7"))
    home = next(p for p in system.profiles("g2").values() if person in {m["node"] for m in p["members"]})

    def answered() -> bool:
        answer = shop.door.get("/v1/customers/user_id/u7", key="agent")
        return answer.status_code == 200 and answer.json()["customer"] == home["customer"].hex()

    wait(answered)


async def test_doors_and_channels_stay_open(kafka: str, redis_url: str, topic_prefix: str, tmp_path: Path) -> None:
    system = System(kafka, redis_url, topic_prefix, tmp_path)
    channels, catalogue = tmp_path / "channels.yaml", yaml.safe_load(CATALOGUE.read_text())
    del catalogue["policy"]["quiet_hours"]  # at night nobody would get a letter
    (tmp_path / "catalogue.yaml").write_text(yaml.safe_dump(catalogue))
    more = {"SADA_CHANNELS": str(channels), "SADA_INBOX_SECRET": "5a" * 32, "SADA_PARTITIONS": str(BEFORE)}
    system.env |= more
    system.settings = system.settings.model_copy(update={"partitions": BEFORE})
    async with relay() as peer:
        channels.write_text(yaml.safe_dump({"channels": {"email": smtp(peer, unsubscribe_mailto="stop@shop.test")}}))

        def run() -> None:
            with gateway(kafka, redis_url, topic_prefix, tmp_path) as door:
                publish(system.settings, read_file(tmp_path / "catalogue.yaml"))
                first, second = (tmp_path / name for name in ("one", "two"))
                for each in (first, second):
                    each.mkdir()
                with started(system.env, first, "worker", "serve", "deliver"), started(system.env, second, "worker"):
                    play(system, door, peer)

        await asyncio.to_thread(run)
