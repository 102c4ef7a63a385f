"""`sada deliver` against a real Kafka, a real Redis and an SMTP relay on loopback."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from connectors.outbound.channels import Inbox
from connectors.outbound.claims import Claims
from connectors.outbound.delivery import Delivery
from connectors.outbound.inbox import InboxConnector
from connectors.serve.keys import ViewKeys
from schemas.topics import DEAD_LETTERS, signals
from tests.peers.delivery import Bench, action, delivering, eventually, open_bench, smtp
from tests.peers.smtp import relay

pytestmark = pytest.mark.kafka


@pytest.fixture
async def bench(kafka: str, redis_url: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(kafka, redis_url, topic_prefix, tmp_path) as opened:
        yield opened


async def test_every_action_ends_in_one_event(bench: Bench, tmp_path: Path) -> None:
    """Delivered, retried, bounced, expired, half-rendered, malformed: each ends, none holds another up."""
    refused: set[str] = set()

    def on_recipient(address: str) -> str:
        if address.startswith("sara2@"):
            return f"550 5.1.1 <{address}> unknown"
        if address.startswith("sara3@") and address not in refused:
            refused.add(address)
            return "451 4.3.0 later"
        return "250 2.1.5 ok"

    now_ms = time.time_ns() // 1_000_000
    async with relay() as peer:
        peer.on_recipient = on_recipient
        bench.raw("email", b"\xc3\x01 not avro", b"k")
        bench.put(
            action(1),
            action(2),
            action(3),
            action(4, decided_at_ms=now_ms - 10, expires_at_ms=now_ms - 5),
            action(5, body="{{ nobody_knows }}"),
            action(6, params={"name": "a\r\nBcc: all@shop.example"}),
            action(7, address=None),
        )
        async with delivering(bench, tmp_path / "c.yaml", {"email": smtp(peer)}, "email"):
            await eventually(lambda: len(bench.outcomes()) == 7)
    assert bench.outcomes() == {
        "1": "delivered",
        "2": "bounced",
        "3": "delivered",
        "4": "expired",
        "5": "failed",
        "6": "failed",
        "7": "failed",
    }
    assert sorted(t.recipient for t in peer.taken) == ["sara1@shop.example", "sara3@shop.example"]
    assert sorted(bench.letters()) == ["bad-template", "bad-template", "bounced", "no-address", "unknown-schema"]


async def test_a_letter_is_what_a_mail_reader_expects(bench: Bench, tmp_path: Path) -> None:
    """Headers, both parts, right to left, unsubscribe with one click, tracked links."""
    async with relay() as peer:
        bench.put(action(1))
        async with delivering(bench, tmp_path / "c.yaml", {"email": smtp(peer, reply_to="b@shop.test")}, "email"):
            await eventually(lambda: len(peer.taken) == 1)
    letter = peer.taken[0].message
    assert letter["Message-ID"] == f"<{action(1)['id']}@shop.test>"
    assert letter["Subject"] == "سلام سارا"
    assert letter["List-Unsubscribe"].startswith("<http://127.0.0.1:9/t/u/")
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert letter["Reply-To"] == "b@shop.test"
    plain, page = letter.get_body(("plain",)), letter.get_body(("html",))
    assert plain is not None
    assert page is not None
    assert "Dear سارا," in plain.get_content()
    content = page.get_content()
    assert 'dir="rtl"' in content
    assert 'href="http://127.0.0.1:9/t/c/' in content
    assert ">https://shop.example/offer?id=7</a>." in content


async def test_an_id_is_delivered_once_however_often_it_is_read(bench: Bench, tmp_path: Path) -> None:
    """The same action twice in the topic, and a second process that reads it all again: one e-mail."""
    async with relay() as peer:
        bench.put(action(1), action(1))
        async with delivering(bench, tmp_path / "c.yaml", {"email": smtp(peer)}, "email"):
            await eventually(lambda: len(bench.read(signals("outcome"), "signal")) == 2)
        again = bench.settings.model_copy(update={"app": "other"})
        async with delivering(
            Bench(again, bench.redis, bench.producer), tmp_path / "d.yaml", {"email": smtp(peer)}, "email"
        ):
            await eventually(lambda: len(bench.read(signals("outcome"), "signal")) == 4)
    assert len(peer.seen) == 1
    assert {s["id"] for s in bench.read(signals("outcome"), "signal")} == {f"{action(1)['id']}:delivered"}


@pytest.mark.parametrize("policy", ["drop", "resend"])
async def test_a_relay_that_goes_silent_after_the_text(bench: Bench, tmp_path: Path, policy: str) -> None:
    """drop: never sent again and said so; resend: again, with the same Message-ID."""
    async with relay() as peer:
        peer.on_text = lambda _: None if len(peer.seen) == 1 else "250 2.0.0 ok"
        bench.put(action(1))
        async with delivering(bench, tmp_path / "c.yaml", {"email": smtp(peer, in_doubt=policy)}, "email"):
            await eventually(lambda: len(bench.outcomes()) == 1)
    if policy == "drop":
        assert (len(peer.seen), bench.outcomes(), bench.letters()) == (1, {"1": "failed"}, ["in-doubt"])
    else:
        assert (len(peer.seen), bench.outcomes(), bench.letters()) == (2, {"1": "delivered"}, [])
        assert len({taken.message["Message-ID"] for taken in peer.seen}) == 1


async def test_nothing_is_delivered_to_who_was_erased(bench: Bench, tmp_path: Path) -> None:
    """What waits ends, also in the middle of its tries: not sent, not reported, no dead letter that would hold it."""
    view = ViewKeys(bench.settings.topic_prefix)
    gone, later, other = (action(n)["customer"] for n in (1, 2, 3))
    await bench.redis.set(view.erased(gone), "r1")
    async with relay() as peer:
        peer.on_recipient = lambda address: "451 4.3.0 later" if address.startswith("sara2@") else "250 2.1.5 ok"
        bench.put(action(1), action(1, "web"), action(2), action(3))
        channels = {"email": smtp(peer), "web": {"kind": "inbox"}}
        async with delivering(bench, tmp_path / "c.yaml", channels):
            await eventually(lambda: peer.refused >= 1 and bench.outcomes() == {"3": "delivered"})
            await bench.redis.set(view.erased(later), "r2")
            await eventually(lambda: settled(bench, 2, "d|erased|"))
            await eventually(lambda: settled(bench, 1, "d|erased|"))
    assert [taken.recipient for taken in peer.taken] == ["sara3@shop.example"]
    assert bench.outcomes() == {"3": "delivered"}
    assert bench.letters() == []
    assert [key async for key in bench.redis.scan_iter(f"{bench.settings.topic_prefix}inbox*")] == []
    assert other != gone


async def settled(bench: Bench, number: int, how: str) -> bool:
    """Say whether an action has come to its end in this way."""
    return how in str(await bench.redis.get(f"{bench.settings.topic_prefix}deliver:{action(number)['id']}"))


async def test_a_message_never_follows_an_erasure_into_the_inbox(bench: Bench) -> None:
    """Between the look and the store the customer may be erased: the store looks itself."""
    mine = action(1, "web")
    await bench.redis.set(ViewKeys(bench.settings.topic_prefix).erased(mine["customer"]), "r1")
    connector = InboxConnector(Inbox(kind="inbox"), bench.redis, bench.settings.topic_prefix)
    await connector.send(Delivery(mine, "actions.web", 0, 0, mine["decided_at_ms"], None, b""))
    assert [key async for key in bench.redis.scan_iter(f"{bench.settings.topic_prefix}inbox*")] == []


async def test_what_a_peer_says_is_kept_without_the_address(bench: Bench, tmp_path: Path) -> None:
    """Relays repeat whom they refuse: neither Redis nor the outcome keeps it."""
    async with relay() as peer:
        peer.on_recipient = lambda address: f"550 5.1.1 <{address.upper()}> no such user"
        bench.put(action(1))
        async with delivering(bench, tmp_path / "c.yaml", {"email": smtp(peer)}):
            await eventually(lambda: bench.outcomes() == {"1": "bounced"})
    (outcome,) = bench.read(signals("outcome"), "signal")
    (letter,) = bench.read(DEAD_LETTERS, "dead_letter")
    held = str(await bench.redis.get(f"{bench.settings.topic_prefix}deliver:{action(1)['id']}"))
    for said in (outcome["outcome"]["detail"], letter["detail"], held):
        assert "550 5.1.1" in said
        assert "sara1@" not in said.lower()


async def test_a_dead_holder_in_the_middle_of_sending(bench: Bench, tmp_path: Path) -> None:
    """A claim whose time ran out: e-mail is not sent again, the inbox stores it."""
    claims = Claims(bench.redis, bench.settings.topic_prefix, window_ms=60_000)
    for number in (1, 2):
        await claims.claim(action(number)["id"], "dead", 0.05)
    async with relay() as peer:
        bench.put(action(1), action(2, "web"))
        async with delivering(bench, tmp_path / "c.yaml", {"email": smtp(peer), "web": {"kind": "inbox"}}):
            await eventually(lambda: len(bench.outcomes()) == 2)
    assert peer.seen == []
    assert bench.outcomes() == {"1": "failed", "2": "delivered"}
    assert bench.letters() == ["in-doubt"]


async def test_a_slow_relay_holds_up_no_other_channel(bench: Bench, tmp_path: Path) -> None:
    """E-mail hangs; the inbox goes on."""
    async with relay() as peer:
        peer.silent_s = 2
        bench.put(*(action(n) for n in range(1, 5)), *(action(n, "web") for n in range(10, 60)))
        async with delivering(
            bench, tmp_path / "c.yaml", {"email": smtp(peer, concurrency=1), "web": {"kind": "inbox"}}
        ):
            await eventually(lambda: len(bench.outcomes()) >= 50)
            assert len(peer.taken) < 4


async def test_giving_up_and_running_out(bench: Bench, tmp_path: Path) -> None:
    """A relay that never takes it: failed after give_up_s, or expired when that comes first; never sent."""
    now_ms = time.time_ns() // 1_000_000
    async with relay() as peer:
        peer.on_recipient = lambda _: "451 4.3.0 later"
        bench.put(action(1), action(2, decided_at_ms=now_ms, expires_at_ms=now_ms + 4_000))
        async with delivering(bench, tmp_path / "c.yaml", {"email": smtp(peer, give_up_s=6)}):
            await eventually(lambda: len(bench.outcomes()) == 2, within_s=30)
    assert bench.outcomes() == {"1": "failed", "2": "expired"}
    assert bench.letters() == ["smtp-refused"]
    assert peer.seen == []


async def test_a_shutdown_does_not_wait_for_a_pause(bench: Bench, tmp_path: Path) -> None:
    """What pauses between tries goes back, unclaimed: the next process sends it at once."""
    async with relay() as peer:
        peer.on_recipient = lambda _: "451 4.3.0 later"
        bench.put(action(1))
        async with delivering(bench, tmp_path / "c.yaml", {"email": smtp(peer)}):
            await eventually(lambda: peer.refused >= 4)  # the pause is 4 s at least by now
            stopped = time.monotonic()
        assert time.monotonic() - stopped < 3
        peer.on_recipient = lambda _: "250 2.1.5 ok"
        async with delivering(bench, tmp_path / "c.yaml", {"email": smtp(peer)}):
            await eventually(lambda: len(peer.taken) == 1)


async def test_a_customers_messages_go_out_in_order_at_the_stated_rate(bench: Bench, tmp_path: Path) -> None:
    """The first is refused for now: the second waits for it, another customer's does not. Five a second, no more."""
    one, other = b"c" * 16, b"o" * 16
    refused: list[str] = []

    def on_recipient(address: str) -> str:
        if address.startswith("sara1@") and not refused:
            refused.append(address)
            return "451 4.3.0 later"
        return "250 2.1.5 ok"

    async with relay() as peer:
        peer.on_recipient = on_recipient
        bench.put(*(action(n, customer=one) for n in (1, 2, 3)), *(action(n, customer=other) for n in (11, 12, 13)))
        async with delivering(bench, tmp_path / "c.yaml", {"email": smtp(peer, rate_per_s=5)}):
            started = time.monotonic()
            await eventually(lambda: len(peer.taken) == 6)
            assert time.monotonic() - started > 5 * 0.2
    order = [taken.recipient.split("@")[0].removeprefix("sara") for taken in peer.taken]
    assert [n for n in order if len(n) == 1] == ["1", "2", "3"]
    assert [n for n in order if len(n) == 2] == ["11", "12", "13"]
    assert order[0] == "11"
