"""Exports through the API: a real gateway takes them, a real `sada serve` makes them, Redis holds nothing to read."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from confluent_kafka import Producer

from connectors.privacy import make
from connectors.privacy.jobs import (
    AGAIN_S,
    ASK,
    FAILED,
    LASTS_S,
    LEASE_S,
    MADE,
    MOST_WAITING,
    TRIES,
    WAITING,
    JobKeys,
    Jobs,
)
from connectors.privacy.seal import check_of, wrapper
from connectors.serve.keys import ViewKeys, profile_json
from schemas.identifiers import Hasher, normalise
from schemas.topics import DEAD_LETTERS, MERGES, actions, full_name
from schemas.wire import codec_of
from tests.peers.delivery import action
from tests.peers.gateway import NODE_KEY, Door, gateway
from tests.peers.people import profile
from tests.peers.processes import environment, started
from tests.peers.waiting import await_that

pytestmark = pytest.mark.kafka

HASHER = Hasher(bytes.fromhex(NODE_KEY))
NOW_S = 1_000.0


class Shop:
    """A gateway, and customers in its view whose past lies in the topics."""

    def __init__(self, door: Door, env: dict[str, str], folder: Path) -> None:
        self.door, self.env, self.folder = door, env, folder
        self.redis = redis.Redis.from_url(door.redis)
        self.keys, self.job_keys = ViewKeys(door.prefix), JobKeys(door.prefix)
        self.jobs = Jobs(self.redis, self.job_keys)
        self.producer = Producer({"bootstrap.servers": door.kafka, "partitioner": "murmur2_random"})

    def customer(self, name: str) -> tuple[dict[str, str], bytes]:
        """Have somebody known, who looked at something, was sent something, and sent something unreadable."""
        email = {"kind": "email", "value": f"{name}@example.com"}
        node = HASHER.node(normalise("email", email["value"]))
        member = {"node": node, "kind": "email", "value": email["value"], "since_ms": 1, "signal_id": "s1"}
        member |= {"source": "shop", "original": email["value"], "suspended_at_ms": 0, "cuts": []}
        view = profile(1, members=[member], customer=node)
        self.redis.set(self.keys.profile(node), profile_json(view))
        self.redis.set(self.keys.node(node), node.hex())
        viewed = {"id": f"{name}-1", "channel": "web", "kind": "behaviour", "name": "product_viewed"}
        viewed |= {"identifiers": [email], "behaviour": {"item_id": "i1"}}  # type: ignore[dict-item]
        assert self.door.post("/v1/webhook", [viewed]).status_code == 200
        letter = {"code": "bad-name", "detail": "", "stage": "customers", "partition": 0, "offset": 1, "at_ms": 1}
        letter |= {"topic": "/v1/track", "key": None, "value": orjson.dumps({"userId": email["value"]}) + b"\xff"}
        self.put(DEAD_LETTERS, codec_of("dead_letter").encode(letter))
        self.put(actions("email"), codec_of("action").encode(action(1, customer=node)))
        return email, node

    def put(self, topic: str, value: bytes) -> None:
        self.producer.produce(full_name(topic, prefix=self.door.prefix), value, b"k" * 16)
        assert self.producer.flush(20) == 0

    def ask(self, email: dict[str, str]) -> str:
        """Ask for an export and return where it will be."""
        answer = self.door.post("/v1/privacy/exports", {"identifier": email}, key="privacy")
        assert answer.status_code == 202, answer.text
        assert answer.headers["Location"] == answer.json()["address"]
        assert answer.headers["Cache-Control"] == "no-store"
        return str(answer.json()["address"])

    def fetch(self, address: str) -> tuple[int, dict[str, Any]]:
        answer = self.door.get(address, key="privacy")
        return answer.status_code, answer.json()

    def made(self, address: str) -> dict[str, Any]:
        """Return a document as soon as it is made."""
        await_that(lambda: "form" in self.fetch(address)[1], within_s=60)
        return self.fetch(address)[1]

    def job(self, node: bytes) -> Any:
        return self.jobs.find(node)

    def taken(self, node: bytes) -> Any:
        """Take a job as `sada serve` does."""
        assert self.jobs.take(time.time()) == node
        return self.job(node)

    def wanted(self, node: bytes, key: bytes, *, node_key: str = NODE_KEY) -> None:
        """Put a job there as the gateway does."""
        keys = (self.job_keys.job(node), self.job_keys.made(node), self.job_keys.waiting)
        fields = ("check", check_of(key), "key", wrapper(bytes.fromhex(node_key)).wrap(key), "state", WAITING)
        asked = self.redis.register_script(ASK)(keys=keys, args=[node.hex(), NOW_S, MOST_WAITING, LASTS_S, *fields])
        assert asked


@pytest.fixture(scope="module")
def shop(kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    prefix, folder = f"t{uuid.uuid4().hex[:10]}-", tmp_path_factory.mktemp("exports")
    with gateway(kafka, redis_url, prefix, folder) as door:
        found = Shop(door, environment(kafka, redis_url, prefix, folder), folder)
        yield found
        found.redis.close()


@pytest.fixture(autouse=True)
def _nobody_waits(shop: Shop) -> None:
    shop.redis.delete(shop.job_keys.waiting)


def test_all_that_is_held_is_given_to_who_asked(shop: Shop) -> None:
    """As the command line writes it; asked for while nobody makes exports, made by who comes."""
    email, node = shop.customer("sara")
    address = shop.ask(email)
    assert shop.fetch(address) == (200, {"state": WAITING, "records_read": 0, "records": 0})
    with started(shop.env, shop.folder, "serve"):
        document = shop.made(address)
    assert document["signals"][0]["id"] == "sara-1"
    assert document["dead_letters"][0]["value"].startswith('{"userId":"sara@example.com"')
    assert document["actions"][0]["customer"] == node.hex()
    assert (document["identifiers"][0]["original"], document["decisions"]) == ("sara@example.com", [])
    command = [sys.executable, "-m", "streams.cli", "privacy", "export", f"node:{node.hex()}"]
    written = orjson.loads(subprocess.run(command, env=shop.env, capture_output=True, check=True, timeout=120).stdout)
    assert {**written, "made_at": ""} == {**document, "made_at": ""}
    # What waits in Redis tells nothing, and the key is in none of it: neither the address's nor the job's.
    key = address.rpartition(".")[2]
    for name in (shop.job_keys.job(node), shop.job_keys.made(node)):
        raw: Any = shop.redis.dump(name)
        for secret in (b"sara", key.encode(), bytes.fromhex(key)):
            assert secret not in raw
    assert shop.job(node).key == b""
    assert 0 < shop.redis.ttl(shop.job_keys.made(node)) <= 3_600
    assert key not in shop.door.log.read_text()
    assert "sara@" not in (shop.folder / "serve.log").read_text()


def test_only_the_address_opens_it(shop: Shop) -> None:
    email, node = shop.customer("omid")
    address = shop.ask(email)
    for wrong in (
        f"{address[:-1]}{'0' if address[-1] != '0' else '1'}",
        address[:-2],
        f"{address}.x",
        "/v1/privacy/exports/x",
    ):
        assert shop.fetch(wrong)[0] == 404
    assert shop.door.get(address, key="agent").status_code == 403
    assert shop.door.post("/v1/privacy/exports", {"identifier": email}, key="agent").status_code == 403
    assert shop.ask(email) != address
    assert shop.fetch(address)[0] == 404, "another request has taken its place"
    nobody = {"identifier": {"kind": "user_id", "value": "nobody"}}
    assert shop.door.post("/v1/privacy/exports", nobody, key="privacy").status_code == 404
    assert node.hex().encode() in shop.redis.zrange(shop.job_keys.waiting, 0, -1)


def test_an_export_does_not_outlive_its_customer(shop: Shop) -> None:
    """Serve deletes it with the rest; what is made of it afterwards is not kept."""
    email, node = shop.customer("reza")
    address = shop.ask(email)
    job = shop.taken(node)
    assert shop.jobs.made(node, job, b"sealed")
    erased = {"kind": "erased", "customer": node, "merged": node, "reason": "ruling", "at_ms": 9, "nodes": [node]}
    raw = codec_of("merge").encode({**erased, "signal_id": "", "ruling": uuid.uuid4().hex})
    with started(shop.env, shop.folder, "serve"):
        shop.redis.delete(shop.keys.profile(node), shop.keys.node(node))
        shop.put(MERGES, raw)
        await_that(lambda: shop.fetch(address)[0] == 410)
    assert not shop.redis.exists(shop.job_keys.job(node), shop.job_keys.made(node))
    assert not shop.jobs.made(node, job, b"sealed")
    assert not shop.redis.exists(shop.job_keys.job(node), shop.job_keys.made(node))


def test_too_many_are_refused(shop: Shop) -> None:
    """Also when they ask all at once; who waits already may ask again."""
    emails = [shop.customer(f"mina-{number}")[0] for number in range(8)]
    waiting = {f"{number:032x}": time.time() + 900 for number in range(MOST_WAITING - 1)}
    shop.redis.zadd(shop.job_keys.waiting, waiting)

    def asked(email: dict[str, str]) -> Any:
        return shop.door.post("/v1/privacy/exports", {"identifier": email}, key="privacy")

    with ThreadPoolExecutor(len(emails)) as pool:
        answers = list(pool.map(asked, emails))
    assert sorted(answer.status_code for answer in answers) == [202, *[429] * 7]
    assert {answer.headers.get("Retry-After") for answer in answers} == {None, "60"}
    assert shop.redis.zcard(shop.job_keys.waiting) == MOST_WAITING
    admitted = next(email for email, answer in zip(emails, answers, strict=True) if answer.status_code == 202)
    assert asked(admitted).status_code == 202


def test_what_a_killed_process_took_is_taken_up(shop: Shop) -> None:
    """When its lease is over, and not while it is renewed; nobody's job is dropped."""
    node, key = b"a" * 16, b"k" * 32
    shop.wanted(node, key)
    shop.redis.zadd(shop.job_keys.waiting, {(b"gone" * 4).hex(): NOW_S - 1})
    assert shop.jobs.take(NOW_S) is None, "that one was erased"
    assert shop.jobs.take(NOW_S) == node
    assert shop.jobs.take(NOW_S + LEASE_S - 1) is None
    assert shop.jobs.renew(node, shop.job(node), NOW_S + LEASE_S - 1, done=3, of=9)
    assert (shop.job(node).done, shop.job(node).of) == (3, 9)
    assert shop.jobs.take(NOW_S + LEASE_S + 1) is None
    former = shop.job(node)
    assert shop.jobs.take(NOW_S + 2 * LEASE_S) == node
    assert not shop.jobs.made(node, former, b"late"), "it is another's now"
    assert not shop.redis.exists(shop.job_keys.made(node))
    # Whatever it is that ends every process that begins with it, it ends no more than these.
    assert shop.jobs.take(NOW_S + 4 * LEASE_S) == node
    assert shop.jobs.take(NOW_S + 6 * LEASE_S) is None
    assert (shop.job(node).state, "never ended" in shop.job(node).reason) == (FAILED, True)


def test_what_fails_is_tried_again_and_then_told(shop: Shop) -> None:
    node = b"b" * 16
    shop.wanted(node, b"k" * 32)
    for attempt in range(TRIES):
        assert shop.job(node).state == WAITING
        assert shop.jobs.take(NOW_S + attempt * AGAIN_S) == node
        assert shop.jobs.failed(node, shop.job(node), "Kafka is silent", NOW_S + attempt * AGAIN_S)
    job = shop.job(node)
    assert (job.state, job.reason, job.key) == (FAILED, "Kafka is silent", b"")
    assert not shop.redis.zcard(shop.job_keys.waiting)


@pytest.mark.parametrize(
    ("node_key", "limit", "reason"),
    [
        ("66" * 32, "", "different node keys"),
        (NODE_KEY, "MAX_BYTES", "sada privacy export"),
        (NODE_KEY, "MAX_HELD_BYTES", "sada privacy export"),
        (NODE_KEY, "", ""),
    ],
)
def test_what_cannot_be_made_says_why(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, node_key: str, limit: str, reason: str
) -> None:
    _, node = shop.customer("kian")
    shop.wanted(node, b"k" * 32, node_key=node_key)
    shop.taken(node)
    for name, value in shop.env.items():
        monkeypatch.setenv(name, value)
    if limit:
        monkeypatch.setattr(make, limit, 10)
    monkeypatch.setattr(os, "nice", lambda _: 0)
    monkeypatch.setattr(sys, "argv", ["make", node.hex()])
    assert make.main() == 0
    job = shop.job(node)
    assert (job.state, reason in job.reason) == (FAILED if reason else MADE, True)


def test_who_asks_for_what_failed_is_told_what_to_do(shop: Shop) -> None:
    email, node = shop.customer("lena")
    address = shop.ask(email)
    shop.jobs.failed(node, shop.taken(node), "it is too large", time.time(), for_good=True)
    status, told = shop.fetch(address)
    assert (status, told["state"], told["reason"]) == (200, FAILED, "it is too large")
    assert "sada privacy export" in told["message"]


def test_without_the_node_key_serve_says_that_exports_wait(shop: Shop) -> None:
    env = {name: value for name, value in shop.env.items() if name != "SADA_NODE_KEY"}
    with started(env, shop.folder, "serve"):
        pass
    assert "SADA_NODE_KEY is not set" in (shop.folder / "serve.log").read_text()
