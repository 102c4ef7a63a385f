"""The materialiser against a real broker and a real Redis of its own: exact, whatever dies."""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastavro.utils
import orjson
import pytest
import redis
from confluent_kafka import Producer

from connectors.outbound.inbox import keys_of
from connectors.serve.keys import RULING, RULING_LASTS_S, ViewKeys
from connectors.serve.materialiser import Materialiser
from connectors.serve.metrics import LAG_RECORDS
from deploy.local import redis as local_redis
from deploy.local.processes import free_port, kill, running
from schemas.admin import create_topics
from schemas.codecs import Codecs
from schemas.topics import IDENTITIES, MERGES, PROFILES, RULINGS
from schemas.wire import codec_of

pytestmark = pytest.mark.kafka


class Bench:
    """Topics, a producer, and a materialiser that turns when told."""

    def __init__(self, kafka: str, redis_url: str, prefix: str) -> None:
        self.kafka, self.prefix = kafka, prefix
        create_topics({"bootstrap.servers": kafka}, customers=2, prefix=prefix)
        self.producer = Producer({"bootstrap.servers": kafka, "partitioner": "murmur2_random", "linger.ms": 0})
        self.client = redis.Redis.from_url(redis_url, socket_timeout=1.0, socket_connect_timeout=1.0)
        self.keys = ViewKeys(prefix)
        self.worker = self.member()

    def member(self) -> Materialiser:
        return Materialiser(
            {"bootstrap.servers": self.kafka, "heartbeat.interval.ms": 200},
            group=f"{self.prefix}serve",
            codecs=Codecs(lambda name: self.prefix + name),
            client=self.client,
            keys=self.keys,
        )

    def profile(self, number: int, **fields: Any) -> bytes:
        """Write a profile and return its customer."""
        customer = number.to_bytes(16, "big")
        view = {**fastavro.utils.generate_one(codec_of("profile").parsed), "customer": customer, **fields}
        self.put(PROFILES, customer, codec_of("profile").encode(view))
        return customer

    def put(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        self.producer.produce(self.prefix + topic, value, key)
        self.producer.flush(10)

    def seen(self, customer: bytes) -> int | None:
        raw: Any = self.client.get(self.keys.profile(customer))
        return None if raw is None else int(orjson.loads(raw)["updated_at_ms"])

    def until(self, holds: Callable[[], bool], timeout_s: float = 20.0) -> bool:
        """Let the materialiser turn until something holds."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.worker.turn()
            if self.worker.redis_up and holds():
                return True
        return False


@pytest.fixture
def bench(kafka: str, redis_url: str) -> Iterator[Bench]:
    found = Bench(kafka, redis_url, f"t{uuid.uuid4().hex[:10]}-")
    yield found
    found.worker.close()
    found.client.close()


def test_newest_wins_and_tombstones_delete(bench: Bench) -> None:
    """A profile is what its last record says; an identity points to its customer; gone is gone."""
    for at in range(20):
        one = bench.profile(1, updated_at_ms=at)
    two = bench.profile(2, updated_at_ms=7)
    node = bytes(range(16))
    identity = codec_of("identity").encode({"customer": two, "kind": "email", "updated_at_ms": 1})
    bench.put(IDENTITIES, node, identity)
    assert bench.until(lambda: bench.seen(one) == 19 and bench.seen(two) == 7)
    assert bench.until(lambda: bench.client.get(bench.keys.node(node)) == two.hex().encode())
    bench.put(PROFILES, one, None)
    bench.put(IDENTITIES, node, None)
    assert bench.until(lambda: bench.seen(one) is None and bench.client.get(bench.keys.node(node)) is None)
    assert bench.seen(two) == 7


def test_what_is_no_profile_costs_only_itself(bench: Bench) -> None:
    """Truncated, foreign, without a key: the next record is served."""
    for key, value in ((b"k" * 16, b"\x00\x01"), (b"k" * 16, b"\xc3\x01"), (None, b"x"), (b"short", b"x")):
        bench.put(PROFILES, key, value)
    three = bench.profile(3, updated_at_ms=5)
    assert bench.until(lambda: bench.seen(three) == 5)


def test_the_next_member_goes_on_where_redis_is(bench: Bench) -> None:
    """Positions are Redis' own: what was applied is not applied again, whatever the group's offsets say."""
    one = bench.profile(1, updated_at_ms=1)
    assert bench.until(lambda: bench.seen(one) == 1)
    bench.worker.close()
    bench.client.set(bench.keys.profile(one), orjson.dumps({"updated_at_ms": 999}))  # a replay would undo this
    two = bench.profile(2, updated_at_ms=2)
    bench.worker = bench.member()
    assert bench.until(lambda: bench.seen(two) == 2)
    assert bench.seen(one) == 999


def test_a_batch_applied_twice_counts_once(bench: Bench) -> None:
    """A member that was paused for long writes its old batch: the newer state stays."""
    one = bench.profile(1, updated_at_ms=1)
    assert bench.until(lambda: bench.seen(one) == 1)
    place = next(place for place, at in bench.worker._at.items() if at)
    from connectors.serve.changes import Change
    from connectors.serve.store import GapError, Span, View

    view = View(bench.client, bench.keys)
    key = bench.keys.profile(one)
    assert view.apply(PROFILES, Span(place[1], 0, 1, from_start=True), [Change(key, b"old")]) == bench.worker._at[place]
    assert bench.seen(one) == 1
    with pytest.raises(GapError):
        view.apply(PROFILES, Span(place[1], 50, 60, from_start=False), [Change(key, b"early")])
    assert bench.seen(one) == 1


def test_an_emptied_redis_is_filled_again(bench: Bench) -> None:
    """Without anybody saying so, and without new records."""
    customers = [bench.profile(n, updated_at_ms=n) for n in range(1, 9)]
    assert bench.until(lambda: all(bench.seen(c) for c in customers))
    for key in bench.client.scan_iter(f"{bench.prefix}*"):
        bench.client.delete(key)
    assert bench.until(lambda: [bench.seen(c) for c in customers] == list(range(1, 9)))


def test_topics_made_anew(bench: Bench) -> None:
    """Redis is ahead of a topic that starts over: the view starts over, too."""
    for partition in (0, 1):
        bench.client.hset(bench.keys.position(PROFILES), str(partition), 10_000)
    one = bench.profile(1, updated_at_ms=4)
    assert bench.until(lambda: bench.seen(one) == 4)


def test_lag_is_shown(bench: Bench) -> None:
    """In records: as many as are not yet in the view, and none at the end."""
    last = [bench.profile(n, updated_at_ms=n) for n in range(1, 700)][-1]
    assert bench.until(lambda: bench.seen(last) == 699)
    assert bench.until(lambda: all(LAG_RECORDS.labels(PROFILES, str(p))._value.get() == 0 for p in (0, 1)), 5)


def _merge(kind: str, customer: int, merged: int, ruling: str = "") -> tuple[bytes, bytes]:
    key = customer.to_bytes(16, "big")
    record = {
        "kind": kind,
        "customer": key,
        "merged": merged.to_bytes(16, "big"),
        "reason": "ruling" if ruling else "link",
        "signal_id": "" if ruling else "s1",
        "at_ms": 5,
        "ruling": ruling,
        "nodes": [],
    }
    return key, codec_of("merge").encode(record)


def _ruling(id_: str, node: int) -> tuple[bytes, bytes]:
    key = node.to_bytes(16, "big")
    fields = {"kind": "split", "node": key, "other": b"", "reason": "two people", "by": "op", "at_ms": 4}
    return key, codec_of("ruling").encode({"id": id_, **fields})


def test_rulings_and_what_came_of_them(bench: Bench) -> None:
    """Whichever comes first; each outcome once, told twice or not; what signals brought about is no ruling's."""
    bench.put(MERGES, *_merge("split", 1, 2, "r1"))
    bench.put(MERGES, *_merge("merged", 1, 3))
    bench.put(MERGES, *_merge("split", 1, 2, "r1"))
    bench.put(RULINGS, *_ruling("r1", 9))
    bench.put(MERGES, *_merge("split", 1, 4, "r1"))
    key = bench.keys.ruling("r1")
    assert bench.until(lambda: bench.client.hlen(key) == 3)
    found: Any = bench.client.hgetall(key)
    outcomes = [orjson.loads(value) for field, value in found.items() if field != RULING.encode()]
    assert sorted(int(outcome["merged"], 16) for outcome in outcomes) == [2, 4]
    ruling = orjson.loads(found[RULING.encode()])
    assert (ruling["reason"], ruling["node"]) == ("two people", f"{9:032x}")
    assert 0 < bench.client.ttl(key) <= RULING_LASTS_S
    last = bench.keys.position(MERGES)
    assert bench.until(lambda: sum(map(int, bench.client.hvals(last))) >= 4)
    keys = [key for key in bench.client.scan_iter(f"{bench.prefix}*") if b"ruling:" in key]
    assert keys == [bench.keys.ruling("r1").encode()]


def test_rulings_survive_an_emptied_redis(bench: Bench) -> None:
    """They are read again from the beginning, as profiles are."""
    bench.put(RULINGS, *_ruling("r1", 9))
    bench.put(MERGES, *_merge("void", 1, 9, "r1"))
    assert bench.until(lambda: bench.client.hlen(bench.keys.ruling("r1")) == 2)
    for key in bench.client.scan_iter(f"{bench.prefix}*"):
        bench.client.delete(key)
    assert bench.until(lambda: bench.client.hlen(bench.keys.ruling("r1")) == 2)


def test_what_is_no_ruling_costs_only_itself(bench: Bench) -> None:
    """Ids that are no names of keys, tombstones, foreign bytes: the next record is served."""
    for id_ in ("", "a" * 65, "a\nb", "آ"):
        bench.put(RULINGS, *_ruling(id_, 9))
        bench.put(MERGES, *_merge("void", 1, 9, id_ or "\x00"))
    bench.put(RULINGS, b"k" * 16, None)
    bench.put(MERGES, b"k" * 16, b"\xc3\x01")
    bench.put(RULINGS, *_ruling("good", 9))
    bench.put(MERGES, *_merge("void", 1, 9, "good"))
    assert bench.until(lambda: bench.client.hlen(bench.keys.ruling("good")) == 2)
    keys = [key for key in bench.client.scan_iter(f"{bench.prefix}*") if b"ruling:" in key]
    assert keys == [bench.keys.ruling("good").encode()]


def test_an_erasure_takes_along_what_waits_for_the_customer(bench: Bench) -> None:
    """Messages in the inboxes of every id that the customer ever had go; marks stay; a stranger's inbox stays."""
    customer, former, other = ((n).to_bytes(16, "big") for n in (1, 2, 3))
    for node in (customer, former, other):
        for channel in ("web", "app"):
            index, bodies = keys_of(bench.prefix, channel, node.hex())
            bench.client.zadd(index, {"m1": 1})
            bench.client.hset(bodies, "m1", "dear Sara")
    key, told = _merge("erased", 1, 2, "r1")
    record = codec_of("merge").decode(told) | {"nodes": [customer, former]}
    bench.put(MERGES, key, codec_of("merge").encode(record))
    assert bench.until(lambda: bench.client.get(bench.keys.erased(former)) == b"r1")
    assert bench.client.get(bench.keys.erased(customer)) == b"r1"
    assert bench.client.get(bench.keys.erased(other)) is None
    waiting = {key.decode() for key in bench.client.scan_iter(f"{bench.prefix}inbox:*")}
    assert waiting == {name for channel in ("web", "app") for name in keys_of(bench.prefix, channel, other.hex())}
    assert bench.client.ttl(bench.keys.erased(former)) == -1, "a mark is for ever"


def test_redis_writes_its_files_anew_after_an_erasure(kafka: str, tmp_path: Path) -> None:
    """The append-only file tells every value that was ever set, until then; the mark stays."""
    port, prefix = free_port(), f"t{uuid.uuid4().hex[:10]}-"
    folder = tmp_path / "redis"

    def on_disk(text: bytes) -> bool:
        return any(text in path.read_bytes() for path in folder.rglob("*") if path.is_file())

    with running(local_redis.server(folder, port=port), tmp_path / "redis.log"):
        bench = Bench(kafka, f"redis://127.0.0.1:{port}/0", prefix)
        one = bench.profile(1, updated_at_ms=1)
        assert bench.until(lambda: bench.seen(one) == 1)
        assert bench.until(lambda: on_disk(f"profile:{one.hex()}".encode()))
        bench.put(PROFILES, one, None)
        key, told = _merge("erased", 1, 1, "r1")
        bench.put(MERGES, key, codec_of("merge").encode(codec_of("merge").decode(told) | {"nodes": [one]}))
        assert bench.until(lambda: not on_disk(f"profile:{one.hex()}".encode()), 30)
        assert bench.client.get(bench.keys.erased(one)) == b"r1"
        bench.worker.close()
        bench.client.close()


def test_a_ruling_that_a_worker_repeats_does_not_replace_the_operators(bench: Bench) -> None:
    """An erasure is shown as it was ruled, not as it was repeated for the customer's other identifiers."""
    key, raw = _ruling("r1", 9)
    first = codec_of("ruling").decode(raw) | {"kind": "erase", "other": b""}
    bench.put(RULINGS, key, codec_of("ruling").encode(first))
    other = (8).to_bytes(16, "big")
    bench.put(RULINGS, other, codec_of("ruling").encode(first | {"node": other, "other": key, "by": "sada"}))
    last = bench.keys.position(RULINGS)
    assert bench.until(lambda: sum(map(int, bench.client.hvals(last))) >= 2)
    shown = orjson.loads(bench.client.hget(bench.keys.ruling("r1"), RULING) or b"")
    assert (shown["node"], shown["by"]) == (key.hex(), "op")


def test_former_ids_lead_to_who_is_there_now(bench: Bench) -> None:
    """A customer's id is a node: merged it leads to who stayed, parted again to its own."""
    stayed, gone = bench.profile(1, updated_at_ms=1), (2).to_bytes(16, "big")

    def owner(customer: bytes) -> None:
        bench.put(
            IDENTITIES, gone, codec_of("identity").encode({"customer": customer, "kind": "email", "updated_at_ms": 1})
        )

    bench.put(PROFILES, gone, None)
    owner(stayed)
    assert bench.until(lambda: bench.client.get(bench.keys.node(gone)) == stayed.hex().encode())
    owner(gone)
    assert bench.until(lambda: bench.client.get(bench.keys.node(gone)) == gone.hex().encode())


def test_redis_away_and_back(kafka: str, tmp_path: Path) -> None:
    """Reading pauses and goes on by itself; the group is kept; nothing is lost, empty after a kill or not."""
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    prefix = f"t{uuid.uuid4().hex[:10]}-"
    log = tmp_path / "redis.log"
    with running(local_redis.server(tmp_path / "redis", port=port), log) as process:
        bench = Bench(kafka, url, prefix)
        one = bench.profile(1, updated_at_ms=1)
        assert bench.until(lambda: bench.seen(one) == 1)
        kill(process)
        two = bench.profile(2, updated_at_ms=2)
        for _ in range(30):
            bench.worker.turn()
        assert not bench.worker.redis_up
    with running(local_redis.server(tmp_path / "redis", port=port), log):
        assert bench.until(lambda: (bench.seen(one), bench.seen(two)) == (1, 2))
        bench.worker.close()
        bench.client.close()
