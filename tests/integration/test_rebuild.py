"""A rebuild with everything running: a gateway takes signals in, two workers decide, deliver sends letters, serve
answers; operators rule before and while; the command is killed while it copies and in the switch. Nothing is lost,
counted or sent twice. Then the first generation is dropped, and a third with the old rules has the old customers."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.running import read_topic
from schemas.topics import DEAD_LETTERS, DECISIONS, FIRST, actions
from streams.agents.catalogue import publish
from streams.agents.catalogue_command import read_file
from tests.bench.rig import CATALOGUE
from tests.peers.delivery import smtp
from tests.peers.gateway import PARTITIONS, Door, gateway
from tests.peers.processes import started
from tests.peers.rebuilding import Named, Shop, System, expected, named, node_of, wait, wait_same
from tests.peers.smtp import Relay, relay

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(400)]

AFTER = 4
# Two cards a person are usual; four are two people whom an operator has made one.
OLD = "version: 1\nkinds:\n  loyalty_id:\n    limit: 5\n"
# What is new: an e-mail address ties nobody any more.
NEW = OLD + "  email:\n    link: false\n"


class Play:
    """What operators rule, on whom, and what must come of it.

    Whoever is erased or parted is whole before: all seven identifiers of two people who share an address are one
    customer, so that what comes later cannot change whom the ruling is about.
    """

    def __init__(self, system: System, shop: Shop) -> None:
        self.system, self.shop = system, shop
        whole = [nodes for nodes in expected(self.told(FIRST)) if len(nodes) == 7]
        people = [p for p in range(0, 120, 2) if any(node_of("loyalty_id", f"l{p}") in nodes for nodes in whole)]
        self.one, self.other = [person for person in people if person // 2 % 4 == 1][:2]
        self.parted, first, second = [person for person in people if person // 2 % 2 == 0][:3]
        shop.quiet = frozenset({first, first + 1, second, second + 1})
        self.erased = [node_of("loyalty_id", f"l{first}"), node_of("loyalty_id", f"l{second}")]
        self.first = next(nodes for nodes in whole if self.erased[0] in nodes)
        self.gone = {node for nodes in whole for node in nodes if not nodes.isdisjoint(self.erased)}
        self.merged = [node_of("loyalty_id", f"l{person}") for person in (self.one, self.other)]
        self.alone = node_of("anonymous_id", f"a{self.parted}-0")

    def told(self, *generations: str) -> list[Named]:
        """Return all signals that were taken in; what was carried over lies in both generations, and counts once."""
        found = {said["id"]: said for generation in generations for said in self.system.taken_in(generation)}
        return [named(said) for said in found.values()]

    def customers(self, told: list[Named], *without: str) -> dict[frozenset[bytes], int]:
        """Return who the customers must be when all rulings are obeyed; ``without``: kinds that tie nobody."""
        return expected(told, without=without, alone=self.alone, merged=self.merged, erased=self.gone)

    def rule(self) -> None:
        """Rule, but for the second erasure, and wait until it is obeyed."""
        wait_same(lambda: self.system.customers(FIRST), lambda: expected(self.told(FIRST)))
        self.system.rule("split", self.alone)
        self.system.rule("merge", *self.merged)
        self.system.rule("erase", self.erased[0])

        wait_same(  # letters go on being delivered, and that is told in signals
            lambda: self.system.customers(FIRST),
            lambda: expected(self.told(FIRST), alone=self.alone, merged=self.merged, erased=self.first),
        )


def rebuilt(play: Play) -> None:
    """Build and switch, killed twice on the way, while the shop goes on."""
    system = play.system
    command = ("--partitions", str(AFTER), "--identity", str(system.folder / "new.yaml"), "--yes")
    copying = system.start("copying", *command)
    wait(lambda: "g2" in system.table().names())
    wait(lambda: sum(1 for _ in read_topic(system.kafka, f"{system.prefix}g2.replay")) > 300, 100)
    copying.kill()
    assert copying.wait() == -9
    assert not system.table().switching, "it was to be killed while it copies"
    system.rule("erase", play.erased[1])
    switching = system.start("switching", *command)
    wait(lambda: switching.poll() is not None or system.table().switching, 120)
    switching.kill()
    assert switching.wait() == -9, system.said("switching")
    done = system.start("done", *command)
    wait(lambda: done.poll() is not None or system.table().live == "g2", 120)
    wait(lambda: system.taken_in("g2") or done.poll() is not None)  # doors have followed
    system.ended("done", done)


def check_customers(play: Play, shop: Shop) -> None:
    """Every accepted signal is in one golden record, and the golden records are those of the new rules and rulings."""
    system = play.system
    assert shop.refused == [], "a door was closed"
    mine = {f"s{number}" for number in range(shop.sent)}
    assert shop.accepted == mine
    # What came to the old topics after the switch was carried over: it lies in both, in each once.
    before, after = (Counter(said["id"] for said in system.taken_in(name)) for name in (FIRST, "g2"))
    assert max([*before.values(), *after.values()]) == 1
    assert mine <= before.keys() | after.keys()
    assert after, "no door followed the switch"
    wait_same(lambda: system.customers("g2"), lambda: play.customers(play.told(FIRST, "g2"), "email"))
    assert not play.gone & {m["node"] for p in system.profiles("g2") for m in p["members"]}, "an erasure came undone"
    letters = [letter for _, letter in system.of(DEAD_LETTERS) if letter]
    assert {(letter["code"], letter["value"], letter["key"] in play.gone) for letter in letters} == {
        ("erased", None, True)
    }


def check_actions(play: Play, shop: Shop, peer: Relay) -> None:
    """Each signal was decided upon once, no action was said twice, and each letter came once."""
    system = play.system
    decided = Counter((d["signal_id"], d["trigger"]) for _, d in system.of(DECISIONS) if d is not None)
    assert max(decided.values()) == 1
    by_cart = {signal_id for signal_id, trigger in decided if trigger == "cart-changed"}
    refused = {s["id"] for name in (FIRST, "g2") for s in system.taken_in(name) if named(s)[0] in play.gone}
    assert shop.carts - by_cart <= refused
    sent = [action["id"] for _, action in system.of(actions("email")) if action]
    assert len(sent) == len(set(sent)) > 10
    wait(lambda: letters_of(peer).total() >= len(sent))
    assert letters_of(peer) == Counter(sent)
    others = Counter(a["id"] for channel in ("web", "app") for _, a in system.of(actions(channel)) if a)
    assert max(others.values()) == 1


def letters_of(peer: Relay) -> Counter[str]:
    """Return the ids of the actions that came as letters."""
    return Counter(str(taken.message["Message-ID"]).strip("<>").split("@")[0] for taken in peer.taken)


def check_door(play: Play, door: Door) -> None:
    """The door answers with the new generation's customer."""
    person, profiles = node_of("loyalty_id", f"l{play.one}"), play.system.profiles("g2")
    home = next(p for p in profiles if person in {m["node"] for m in p["members"]})

    def answered() -> bool:
        answer = door.get(f"/v1/customers/loyalty_id/l{play.one}", key="agent")
        return answer.status_code == 200 and answer.json()["customer"] == home["customer"].hex()

    wait(answered)


def check_old_rules(play: Play) -> None:
    """The first generation is dropped; a third with its rules and partitions has the customers that it would have."""
    system, told = play.system, play.told(FIRST, "g2")
    system.ended("drop", system.start("drop", "--drop", FIRST))
    assert system.table().names() == ("g2",)
    before = len(system.profiles("g2"))
    back = ("--partitions", str(PARTITIONS), "--identity", str(system.folder / "old.yaml"), "--yes")
    system.ended("look", system.start("look", *back, "--build-only"))
    assert "Not switched" in system.said("look")
    assert (system.table().live, system.table().names()) == ("g2", ("g2", "g3"))
    system.ended("back", system.start("back", *back))  # goes on
    assert system.table().live == "g3"
    wait_same(lambda: system.customers("g3"), lambda: play.customers(told))
    # What was compared was there: nobody writes, so both are whole.
    found: dict[str, Any] = yaml.safe_load((system.folder / "reports" / "rebuild.json").read_text())["customers"]
    assert (found["before"], found["after"]) == (before, len(system.profiles("g3")))
    assert (found["only_before"], found["only_after"], found["withdrawals_lost"]) == (0, 0, [])
    assert found["rules"] == ["email: may not tie, now may"]
    for name in ("serve", "deliver"):  # when a generation comes, goes live or goes; older tables are no news
        assert system.said(name).count("begins anew") <= 5, system.said(name)


def play_all(system: System, door: Door, peer: Relay) -> None:
    shop = Shop(door)
    for _ in range(14):
        shop.post(100)
    wait(lambda: system.counted(FIRST) >= len(shop.accepted) and peer.taken)
    play = Play(system, shop)
    play.rule()
    with shop:
        rebuilt(play)
    check_customers(play, shop)
    check_actions(play, shop, peer)
    check_door(play, door)
    check_old_rules(play)


async def test_a_rebuild_with_everything_running(kafka: str, redis_url: str, topic_prefix: str, tmp_path: Path) -> None:
    system = System(kafka, redis_url, topic_prefix, tmp_path, PARTITIONS)
    channels, catalogue = tmp_path / "channels.yaml", yaml.safe_load(CATALOGUE.read_text())
    del catalogue["policy"]["quiet_hours"]  # at night nobody would get a letter
    (tmp_path / "catalogue.yaml").write_text(yaml.safe_dump(catalogue))
    for name, rules in (("old", OLD), ("new", NEW)):
        (tmp_path / f"{name}.yaml").write_text(rules)
    system.env |= {"SADA_CHANNELS": str(channels), "SADA_IDENTITY": str(tmp_path / "old.yaml")}
    async with relay() as peer:
        channels.write_text(yaml.safe_dump({"channels": {"email": smtp(peer, unsubscribe_mailto="stop@shop.test")}}))

        def run() -> None:
            with gateway(kafka, redis_url, topic_prefix, tmp_path, SADA_IDENTITY=str(tmp_path / "old.yaml")) as door:
                publish(system.settings, read_file(tmp_path / "catalogue.yaml"))
                with started(system.env, tmp_path, "worker", "worker", "serve", "deliver"):
                    play_all(system, door, peer)

        await asyncio.to_thread(run)
