"""A person is erased: in every place, searched for in every form, nothing is left but that hashes were erased.

With real processes and a broker of its own. That the search can find is shown first: before the erasure each place that
should hold the person does.
"""

import contextlib
import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from typer.testing import CliRunner

from connectors.serve.keys import ViewKeys
from deploy.local.processes import ProcessSpec, await_ready, free_port, kill, running, spawn, stop, terminate
from deploy.local.services import kafka_running, redis_running
from deploy.local.topology import sada, says_yes
from schemas.identifiers import Hasher, normalise
from schemas.topics import (
    CUSTOMERS_CHANGELOG,
    DEAD_LETTERS,
    EXAMPLES,
    IDENTITIES,
    MATCHES,
    MODELS,
    NEAR_CHANGELOG,
    NEAR_VAULT,
    PROFILES,
    TOPICS,
    VAULT,
    actions,
    signals,
)
from schemas.wire import codec_of
from streams.agents.words import state_words
from streams.cli import build
from streams.core import state
from streams.core.state import Erased
from streams.lane.errors import FormError
from streams.lane.forms import Forms, is_sealed
from tests.integration.test_learners import churn_examples
from tests.peers import marked
from tests.peers.delivery import action
from tests.peers.gateway import NODE_KEY, Door, gateway
from tests.peers.processes import environment, records
from tests.property.cluster import page_view
from tests.property.near_cluster import stated

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(400)]

# Time passes for the broker at its own pace: a segment ends within a second or two, and what ended goes at once.
_BROKER = {
    "log.retention.check.interval.ms": "500",
    "log.segment.delete.delay.ms": "100",
    "log.cleaner.backoff.ms": "200",
    "log.index.size.max.bytes": "4096",
}
# What a deployment waits days for, in seconds: the stated retention of each topic, and the lag of the cleaner.
_SHORT = {
    "delete": {"retention.ms": "1000", "segment.ms": "1000", "file.delete.delay.ms": "100"},
    "compact": {
        "segment.ms": "1000",
        "max.compaction.lag.ms": "1000",
        "min.cleanable.dirty.ratio": "0.001",
        "delete.retention.ms": "60000",
        "file.delete.delay.ms": "100",
    },
}
# What is kept for ever by design: hashes, and what operators said.
_FOR_EVER = frozenset({"merges", "rulings"})
_hasher = Hasher(bytes.fromhex(NODE_KEY))


def node(kind: str, value: str) -> bytes:
    return _hasher.node(normalise(kind, value))


NODES = {
    node("user_id", marked.USER),
    node("email", marked.EMAIL),
    node("phone", marked.PHONE),
    node("anonymous_id", marked.BROWSER),
    node("device_id", marked.DEVICE),
}


@dataclass
class Stack:
    """All processes of a deployment, each on ports that we know."""

    kafka: str
    redis: str
    prefix: str
    folder: Path
    env: dict[str, str]
    door: Door
    worker: subprocess.Popen[bytes]
    worker_port: int
    ports: Sequence[int]

    @property
    def view(self) -> ViewKeys:
        return ViewKeys(self.prefix)

    def newest(self, topic: str) -> dict[bytes, bytes | None]:
        found = records(self.kafka, self.prefix + topic, lambda _: True, settled_s=0.5)
        return {raw.key or b"": raw.value for raw in found}

    def letters(self) -> list[dict[str, Any]]:
        found = records(self.kafka, self.prefix + DEAD_LETTERS, lambda _: True, settled_s=0.5)
        return [codec_of("dead_letter").decode(raw.value or b"") for raw in found]

    def sent(self, number: int) -> None:
        """Write signals of passers-by to every partition, so that segments end."""
        producer = Producer({"bootstrap.servers": self.kafka})
        for each in range(16):
            raw = page_view(number, [("user_id", f"passer-{each}")], time.time_ns() // 1_000_000)
            producer.produce(self.prefix + signals("web"), raw, node("user_id", f"passer-{each}"))
            # A card of its own, so that blocks of near matches are written on every partition.
            born = {"name": "Passer", "birthday": f"19{(number + each) % 90 + 10}-01-02", "postal_code": str(number)}
            raw = stated(number * 100 + each, [("user_id", f"passer-{each}")], born)
            producer.produce(self.prefix + signals("crm"), raw, node("user_id", f"passer-{each}"))
        assert producer.flush(20) == 0


def eventually(what: str, check: Callable[[], Any], within_s: float = 60) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := check()):
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    return found


def worker_spec(env: dict[str, str], port: int, store: str) -> ProcessSpec:
    return ProcessSpec(
        name="worker",
        args=sada("worker"),
        ready=says_yes(port, "/readyz"),
        env={**env, "SADA_METRICS_PORT": str(port), "SADA_STORE": store},
        start_timeout_s=180,
    )


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("erasure")
    prefix = f"t{uuid.uuid4().hex[:8]}-"
    with contextlib.ExitStack() as opened:
        kafka = opened.enter_context(kafka_running(folder / "broker", _BROKER))
        url = opened.enter_context(redis_running(folder / "redis"))
        rules = folder / "identity.yaml"
        rules.write_text("version: 1\nregion: IR\nnear: {review: 0.5}\n")
        more = {"SADA_IDENTITY": str(rules), "SADA_REGION": "IR", "SADA_INBOX_SECRET": NODE_KEY}
        env = environment(kafka, url, prefix, folder / "var", **more)
        door = opened.enter_context(gateway(kafka, url, prefix, folder / "var", **more))
        ports = [free_port() for _ in range(3)]
        for name, port in zip(("serve", "deliver"), ports[1:], strict=True):
            ready = says_yes(port, "/readyz")
            own = {**env, "SADA_METRICS_PORT": str(port)}
            spec = ProcessSpec(name=name, args=sada(name), ready=ready, env=own, start_timeout_s=180)
            opened.enter_context(running(spec, folder / "var" / f"{name}.log"))
        spec = worker_spec(env, ports[0], "rocksdb")
        worker = spawn(spec, folder / "var" / "worker.log")
        found = Stack(kafka, url, prefix, folder, env, door, worker, ports[0], ports)
        try:
            await_ready(spec, worker, folder / "var" / "worker.log")
            yield found
        finally:
            terminate(found.worker)
            stop(found.worker, 20)


def told(door: Door) -> None:
    """Let the person's browser and the shop's systems speak."""
    for path, body in marked.calls():
        assert door.post(path, body).status_code == 200


def broken(stack: Stack) -> None:
    """Write a signal of the person that the customers agent cannot take: a dead letter with its bytes."""
    signal = codec_of("signal").decode(page_view(77, [("user_id", marked.USER)], time.time_ns() // 1_000_000))
    signal["name"] = marked.WORDS["what failed"] * 40
    producer = Producer({"bootstrap.servers": stack.kafka})
    producer.produce(stack.prefix + signals("web"), codec_of("signal").encode(signal), node("user_id", marked.USER))
    assert producer.flush(20) == 0


def put_action(stack: Stack, customer: bytes) -> None:
    """Let the customer be sent a message on the web: it waits in the inbox."""
    words = {"name": marked.WORDS["name"]}
    body = f"Dear {{{{ name }}}}, here is your {marked.WORDS['what was sent']}"
    made = action(7, "web", customer=customer, params=words, body=body, address=None)
    producer = Producer({"bootstrap.servers": stack.kafka})
    producer.produce(stack.prefix + actions("web"), codec_of("action").encode(made), customer)
    assert producer.flush(20) == 0


def parted(stack: Stack) -> None:
    """Let somebody else's tablet be taken for the person's, and be parted again: it keeps what protects both."""
    tablet, event = (
        node("anonymous_id", marked.TABLET),
        {"event": "Product Viewed", "properties": {"product_id": "tea"}},
    )
    sent = {"anonymousId": marked.TABLET, **event}
    for body in (sent, {**sent, "userId": marked.USER}):
        assert stack.door.post("/v1/track", body).status_code == 200
    eventually("the tablet is not the person's", lambda: whole(stack, {*NODES, tablet}))
    name = f"anonymous_id:{marked.TABLET}"
    sada_says(stack, "identity", "split", name, "--reason", "another's, ticket 11", "--yes")
    eventually("the tablet is not parted", lambda: whole(stack))


def kept_by_the_tablet(stack: Stack) -> None:
    """Demand that the tablet's owner is still protected by the withdrawal, and holds no word of the person's."""
    raw = stack.newest(PROFILES)[node("anonymous_id", marked.TABLET)]
    (said,) = codec_of("profile").decode(raw or b"")["consent"]
    assert (said["purpose"], said["channel"], said["granted"], said["proof"]) == ("marketing", "email", False, "")


def question(stack: Stack) -> str:
    """Return what has become of the near match between the person and whom they are like; "" before there was any."""
    pair = {node("user_id", marked.LIKE), node("user_id", marked.USER)}
    told = [codec_of("match").decode(raw or b"") for raw in stack.newest(MATCHES).values()]
    return next((match["state"] for match in told if {match["node"], match["other"]} == pair), "")


def learned(stack: Stack) -> None:
    """Let a model be learned from enough examples for a snapshot."""
    producer = Producer({"bootstrap.servers": stack.kafka})
    for example in churn_examples(250):
        producer.produce(stack.prefix + EXAMPLES, codec_of("example").encode(example), b"churn")
    assert producer.flush(20) == 0
    eventually("no model is published", lambda: stack.newest(MODELS))


def whole(stack: Stack, nodes: set[bytes] = NODES) -> dict[str, Any] | None:
    """Return the person's profile once all identifiers are of one customer."""
    with redis.Redis.from_url(stack.redis) as client:
        owner = client.get(stack.view.node(node("user_id", marked.USER)))
        raw = owner and client.get(stack.view.profile(bytes.fromhex(owner.decode())))
    profile = orjson.loads(raw) if raw else None
    members = {bytes.fromhex(member["node"]) for member in profile["members"]} if profile else set()
    return profile if members == nodes else None


def shorten(stack: Stack) -> None:
    """Let the stated times pass: retention and compaction that take days take seconds."""
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    changes = []
    for name, topic in TOPICS.items():
        if name not in _FOR_EVER:
            entries = [
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                for key, value in _SHORT["compact" if topic.compacted else "delete"].items()
            ]
            changes.append(ConfigResource(ResourceType.TOPIC, stack.prefix + name, incremental_configs=entries))
    for future in admin.incremental_alter_configs(changes).values():
        future.result()


def sada_says(stack: Stack, *words: str, typed: str = "") -> str:
    done = CliRunner().invoke(build([words[0]]), list(words), env=stack.env, input=typed)
    assert done.exit_code == 0, done.output
    return done.output


def opened(stack: Stack, changelog: str, vault: str) -> Iterator[bytes]:
    """Yield what a changelog says to whoever has the deployment's key: all that any living secret opens."""
    from streams.lane.vault import SealKey

    forms, key = Forms(state_words()), SealKey(bytes.fromhex(NODE_KEY))
    secrets: dict[bytes, list[bytes]] = {}
    for raw in records(stack.kafka, stack.prefix + vault, lambda _: True, settled_s=0.5):
        if raw.value is not None and (secret := key.unwrap(raw.value)) is not None:
            secrets.setdefault(raw.key or b"", []).append(secret)
    for raw in records(stack.kafka, stack.prefix + changelog, lambda _: True, settled_s=0.5):
        if raw.value is None or (raw.key or b"").startswith(b"\x00"):
            continue
        for secret in secrets.get(raw.key or b"", []) if is_sealed(raw.value) else [None]:
            with contextlib.suppress(FormError):  # a secret that came later, or was replaced
                yield forms.open(raw.key or b"", raw.value, secret)


def places(stack: Stack) -> dict[str, Any]:
    """Search everywhere; return what was found where."""
    return {
        "topics": {name: said for name, said in marked.in_topics(stack.kafka, stack.prefix).items() if said},
        "redis": marked.in_redis(stack.redis, stack.prefix),
        "redis files": marked.in_files(stack.folder / "redis"),
        "broker files": marked.in_files(stack.folder / "broker" / "kafka"),
        "var": marked.in_files(stack.folder / "var"),
        "pages": marked.in_pages(*stack.ports),
        "opened": marked.found_in(b"\0".join(opened(stack, CUSTOMERS_CHANGELOG, VAULT))),
        "near matches, opened": marked.found_in(b"\0".join(opened(stack, NEAR_CHANGELOG, NEAR_VAULT))),
    }


def gone(stack: Stack, when: str, within_s: float = 90) -> None:
    """Demand that nothing of the person is left anywhere, as soon as segments that ended are deleted or compacted."""
    deadline = time.monotonic() + within_s
    while left := {place: said for place, said in places(stack).items() if said}:
        assert time.monotonic() < deadline, f"{when} something is left: {left}"
        stack.sent(time.time_ns() // 1_000_000 % 10**9)
        time.sleep(1.5)


def test_nothing_is_left_of_who_was_erased(stack: Stack) -> None:
    """Found everywhere before; nowhere after the stated times; refused for ever, whoever starts again from whatever."""
    omid = {
        "userId": "omid-1",
        "traits": {"email": "omid@other.example", "first_name": "Omid", "phone": "+989351112233"},
    }
    assert stack.door.post("/v1/identify", omid).status_code == 200
    assert stack.door.post("/v1/identify", {"userId": marked.LIKE, "traits": marked.LIKE_TRAITS}).status_code == 200
    told(stack.door)
    profile = eventually("the person is not one customer", lambda: whole(stack))
    parted(stack)
    learned(stack)
    eventually("nobody is asked about the near match", lambda: question(stack) == "open")
    customer = bytes.fromhex(profile["customer"])
    broken(stack)
    put_action(stack, customer)
    eventually("no dead letter", lambda: any(letter["code"] == "bad-name" for letter in stack.letters()))
    eventually("no message waits", lambda: "inbox" in marked.in_redis(stack.redis, stack.prefix))
    other = node("user_id", "omid-1")
    before = eventually("no bystander", lambda: stack.newest(PROFILES).get(_root(stack, other)))

    # The search finds: every place that should hold the person does, each word somewhere.
    there = places(stack)
    assert there["topics"].keys() >= {signals("web"), "profiles", DEAD_LETTERS, actions("web")}
    assert there["redis"].keys() >= {"profile", "inbox"}
    assert there["redis files"], "Redis' own files are searched in vain"
    assert there["broker files"], "the broker's files are searched in vain"
    assert there["opened"] >= {"email", "address", "birth date", "search", "proof"}, "the changelog is not opened"
    assert there["near matches, opened"], "the changelog of near matches is not opened"
    assert "customers-changelog" not in there["topics"], "state is not sealed"
    assert not there["var"], "logs or stores on disk hold plain words"
    seen = set.union(*there["topics"].values())
    assert seen == marked.WORDS.keys(), f"the search cannot find {marked.WORDS.keys() - seen}"
    exported = json.loads(sada_says(stack, "privacy", "export", f"user_id:{marked.USER}"))
    assert marked.found_in(json.dumps(exported, ensure_ascii=False).encode()) == marked.WORDS.keys()

    said = sada_says(
        stack, "privacy", "erase", f"email:{marked.EMAIL}", "--reason", "asked for it, ticket 12",
        typed=f"email:{marked.EMAIL}\n",
    )  # fmt: skip
    assert "its 5 identifiers are refused now" in said
    assert "31 days" in said
    eventually("Redis holds something", lambda: not marked.in_redis(stack.redis, stack.prefix), 20)
    assert stack.door.get(f"/v1/customers/id/{customer.hex()}", key="agent").status_code == 410

    shorten(stack)
    gone(stack, "after the stated times")

    # The same signals again, and a broken one: refused without a byte.
    told(stack.door)
    broken(stack)
    _refused(stack)
    gone(stack, "after a replay")

    for store in ("rocksdb", "memory"):  # from its own disk, then from the changelog
        kill(stack.worker)
        spec = worker_spec(stack.env, stack.worker_port, store)
        stack.worker = spawn(spec, stack.folder / "var" / f"worker-{store}.log")
        await_ready(spec, stack.worker, stack.folder / "var" / f"worker-{store}.log")
        told(stack.door)
        _refused(stack)
    gone(stack, "after restarts")
    _bystander_unchanged(stack, other, before)
    assert question(stack) == "gone"
    kept_by_the_tablet(stack)


def _root(stack: Stack, of: bytes) -> bytes:
    raw = stack.newest(IDENTITIES).get(of)
    return codec_of("identity").decode(raw)["customer"] if raw else b""


def _refused(stack: Stack) -> None:
    """Demand that signals of the person are dead letters without their bytes, and make no customer."""
    letters = eventually("nothing is refused", lambda: [x for x in stack.letters() if x["code"] == "erased"])
    assert all(letter["value"] is None and letter["key"] in NODES for letter in letters)
    assert all(stack.newest(PROFILES).get(each) is None for each in NODES)


def _bystander_unchanged(stack: Stack, other: bytes, before: bytes) -> None:
    """Demand that somebody else's golden record is the same, byte for byte, and the marks are what is left of ours."""
    assert stack.newest(PROFILES)[_root(stack, other)] == before
    forms = Forms(state_words())
    marks = {key: value for key, value in stack.newest(CUSTOMERS_CHANGELOG).items() if key in NODES}
    assert marks.keys() == NODES
    held = {key: state.decode(forms.open(key, value or b"", None)) for key, value in marks.items()}
    assert all(isinstance(record, Erased) for record in held.values())
