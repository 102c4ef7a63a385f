"""Kafka clients that share no code with ours, unchanged, as producers and consumers beside a real worker."""

import asyncio
import json
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import aiokafka.consumer.fetcher
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.admin import create_topics
from schemas.topics import DEAD_LETTERS, PROFILES, signals
from schemas.wire import codec_of
from tests.peers.gateway import PARTITIONS
from tests.peers.processes import environment, records, started

# The first test of the module pays for a worker: 20 s here, more where others work, too.
pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

HERE = Path(__file__).parent / "kafkajs"
WEB = signals("web")

# Numbers of the codecs in a record batch's attributes, of Kafka's protocol; each on a channel that has no other.
COMPRESSIONS = {"gzip": (1, "app"), "snappy": (2, "pos"), "lz4": (3, "crm"), "zstd": (4, "survey")}


class Sent(NamedTuple):
    """A record to write: any key, and any partition or the client's own choice."""

    key: bytes | None
    value: bytes
    partition: int | None = None


class Client(Protocol):
    """A foreign client."""

    def write(self, kafka: str, topic: str, sent: Sequence[Sent], compression: str, folder: Path) -> None:
        """Write records, acknowledged."""
        ...

    def read(self, kafka: str, topic: str, until: bytes, folder: Path) -> list[tuple[bytes | None, bytes | None]]:
        """Read committed records from the beginning until one whose value holds some bytes."""
        ...


class ConfluentKafka:
    """librdkafka in Python."""

    def write(self, kafka: str, topic: str, sent: Sequence[Sent], compression: str, folder: Path) -> None:
        producer = Producer({"bootstrap.servers": kafka, "compression.type": compression, "linger.ms": 100})
        for record in sent:
            place = {} if record.partition is None else {"partition": record.partition}
            producer.produce(topic, record.value, record.key, **place)
        assert producer.flush(20) == 0

    def read(self, kafka: str, topic: str, until: bytes, folder: Path) -> list[tuple[bytes | None, bytes | None]]:
        consumer = Consumer({"bootstrap.servers": kafka, "group.id": f"{topic}-confluent", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
        found: list[tuple[bytes | None, bytes | None]] = []
        deadline = time.monotonic() + 30
        while not any(until in (value or b"") for _, value in found):
            assert time.monotonic() < deadline, len(found)
            found += [(message.key(), message.value()) for message in consumer.consume(100, timeout=0.2)]
        consumer.close()
        return found


class AioKafka:
    """The client in pure Python that Faust builds on, in its own newest version and with no change of ours."""

    def write(self, kafka: str, topic: str, sent: Sequence[Sent], compression: str, folder: Path) -> None:
        async def work() -> None:
            async with AIOKafkaProducer(bootstrap_servers=kafka, compression_type=compression, linger_ms=100) as client:
                await asyncio.gather(
                    *[
                        await client.send(topic, value=value, key=key, partition=partition)
                        for key, value, partition in sent
                    ]
                )

        asyncio.run(work())

    def read(self, kafka: str, topic: str, until: bytes, folder: Path) -> list[tuple[bytes | None, bytes | None]]:
        async def work() -> list[tuple[bytes | None, bytes | None]]:
            found: list[tuple[bytes | None, bytes | None]] = []
            options = {"isolation_level": "read_committed", "auto_offset_reset": "earliest"}
            async with AIOKafkaConsumer(topic, bootstrap_servers=kafka, **options) as client:
                while not found or until not in (found[-1][1] or b""):
                    message = await asyncio.wait_for(client.getone(), 30)
                    found.append((message.key, message.value))
            return found

        return asyncio.run(work())


class KafkaJs:
    """The client of Node.js; of the codecs it brings gzip only."""

    def write(self, kafka: str, topic: str, sent: Sequence[Sent], compression: str, folder: Path) -> None:
        lines = [
            json.dumps({"key": key and key.hex(), "value": value.hex(), "partition": partition})
            for key, value, partition in sent
        ]
        self._run(folder, "write", kafka, topic, given="\n".join(lines))

    def read(self, kafka: str, topic: str, until: bytes, folder: Path) -> list[tuple[bytes | None, bytes | None]]:
        said = self._run(folder, "read", kafka, topic, until.hex())
        found = [json.loads(line) for line in said.splitlines()]
        return [(_bytes(record["key"]), _bytes(record["value"])) for record in found]

    def _run(self, folder: Path, *args: str, given: str = "") -> str:
        command = ["node", str(_with_packages(folder)), *args]
        ended = subprocess.run(command, input=given, capture_output=True, text=True, timeout=90, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout


class Kcat:
    """The command line's client: a message is a file, a key an argument."""

    def write(self, kafka: str, topic: str, sent: Sequence[Sent], compression: str, folder: Path) -> None:
        for number, (key, value, partition) in enumerate(sent):
            path = folder / f"kcat-{number}"
            path.write_bytes(value)
            place = [] if partition is None else ["-p", str(partition)]
            named = [] if key is None else ["-k", key.decode()]
            command = ["kcat", "-P", "-b", kafka, "-t", topic, "-z", compression, *place, *named, str(path)]
            subprocess.run(command, check=True, capture_output=True, timeout=30)

    def read(self, kafka: str, topic: str, until: bytes, folder: Path) -> list[tuple[bytes | None, bytes | None]]:
        command = ["kcat", "-C", "-b", kafka, "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%K %S\n%k%s"]
        command += ["-X", "isolation.level=read_committed"]
        said = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
        found: list[tuple[bytes | None, bytes | None]] = []
        while said:
            sizes, _, said = said.partition(b"\n")
            key, value = (max(0, int(size)) for size in sizes.split())
            found.append((said[:key], said[key : key + value]))
            said = said[key + value :]
        return found


CLIENTS: Mapping[str, Client] = {
    "aiokafka": AioKafka(),
    "confluent-kafka": ConfluentKafka(),
    "kafkajs": KafkaJs(),
    "kcat": Kcat(),
}

# What each writes beside its good signals: the value, and the reason by which it is found again.
GARBAGE: Mapping[str, tuple[bytes, str]] = {
    "aiokafka": (codec_of("signal").header + b"\x02", "bad-avro"),
    "confluent-kafka": (b"\x00\x00\x00\x00\x07a schema id without a registry", "unknown-schema"),
    "kafkajs": (b'{"id": "m-1", "kind": "behaviour"}', "bad-frame"),
    "kcat": (b"plain text", "bad-frame"),
}


class Shop(NamedTuple):
    """A deployment with one worker, for all tests here."""

    kafka: str
    prefix: str
    worker: "subprocess.Popen[bytes]"

    def topic(self, name: str) -> str:
        return self.prefix + name

    def known(self, *users: str) -> bool:
        """Wait until the golden records name the users."""
        codec = codec_of("profile")

        def named(found: list[Any]) -> bool:
            values = [codec.decode(raw.value) for raw in found if raw.value]
            return set(users) <= {member["value"] for profile in values for member in profile["members"]}

        return bool(records(self.kafka, self.topic(PROFILES), named))


@pytest.fixture(scope="module")
def shop(kafka: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder, prefix = tmp_path_factory.mktemp("clients"), f"t{uuid.uuid4().hex[:10]}-"
    create_topics({"bootstrap.servers": kafka}, customers=PARTITIONS, prefix=prefix)
    with started(environment(kafka, redis_url, prefix, folder), folder, "worker") as [worker]:
        yield Shop(kafka, prefix, worker)
        assert worker.poll() is None, "the worker ended"


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def _with_packages(folder: Path) -> Path:
    """Return the script beside its locked package: that of `make setup-test`, or installed now."""
    if (HERE / "node_modules").is_dir():
        return HERE / "client.mjs"
    for name in ("package.json", "package-lock.json", "client.mjs"):
        shutil.copy(HERE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=110)
    return folder / "client.mjs"


def _signal(user: str, channel: str = "web") -> bytes:
    """Return a signal of a user, long and repetitive enough for every codec to be worth its while."""
    now_ms = time.time_ns() // 1_000_000
    return codec_of("signal").encode(
        {
            "id": uuid.uuid4().hex,
            "kind": "behaviour",
            "name": "product_viewed",
            "channel": channel,
            "source": "foreign",
            "identifiers": [{"kind": "user_id", "value": user}],
            "occurred_at_ms": now_ms,
            "received_at_ms": now_ms,
            "behaviour": {"item_id": "i-1"},
            "context": {"page_url": "https://shop.example/" + "shoes/" * 100},
        }
    )


def _users(count: int) -> list[str]:
    return [f"u-{uuid.uuid4().hex}" for _ in range(count)]


@pytest.mark.parametrize("name", CLIENTS)
def test_any_client_may_write(shop: Shop, name: str, tmp_path: Path) -> None:
    """No key, a key of its own, a partition of its own: all are folded; garbage is a dead letter."""
    users = _users(3)
    garbage, reason = GARBAGE[name]
    key = f"{name}-{uuid.uuid4().hex}".encode()
    none, own, placed = (_signal(user) for user in users)
    sent = [Sent(None, none), Sent(key, garbage), Sent(key, own), Sent(b"7", placed, PARTITIONS - 1)]
    CLIENTS[name].write(shop.kafka, shop.topic(WEB), sent, "gzip", tmp_path)
    assert shop.known(*users)
    decode = codec_of("dead_letter").decode

    def buried(found: Sequence[Any]) -> list[dict[str, Any]]:
        return [letter for raw in found if (letter := decode(raw.value))["key"] == key]

    [letter] = buried(records(shop.kafka, shop.topic(DEAD_LETTERS), lambda found: bool(buried(found))))
    assert (letter["code"], letter["value"], letter["topic"]) == (reason, garbage, shop.topic(WEB))
    assert letter["stage"] == "customers"
    assert letter["detail"]


@pytest.fixture(scope="module")
def marked(shop: Shop) -> tuple[bytes, str]:
    """Write an aborted record to every partition of ``profiles``; give it, and a user whose profile came after it."""
    ghost = b"aborted " + uuid.uuid4().hex.encode()
    producer = Producer({"bootstrap.servers": shop.kafka, "transactional.id": f"{shop.prefix}ghost"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for partition in range(PARTITIONS):
        producer.produce(shop.topic(PROFILES), ghost, ghost[:16], partition=partition)
    assert producer.flush(10) == 0
    producer.abort_transaction(30)
    [user] = _users(1)
    ConfluentKafka().write(shop.kafka, shop.topic(WEB), [Sent(None, _signal(user))], "none", Path())
    assert shop.known(user)
    return ghost, user


@pytest.mark.parametrize("name", CLIENTS)
def test_any_client_reads_profiles_committed_only(
    shop: Shop, marked: tuple[bytes, str], name: str, tmp_path: Path
) -> None:
    """Golden records as they were written, keyed by their customer; what was aborted never shows."""
    ghost, user = marked
    found = CLIENTS[name].read(shop.kafka, shop.topic(PROFILES), user.encode(), tmp_path)
    assert ghost not in [value for _, value in found]
    profiles = [(key, codec_of("profile").decode(value)) for key, value in found if value]
    assert all(key == profile["customer"] for key, profile in profiles)
    assert user in {member["value"] for _, profile in profiles for member in profile["members"]}


def test_without_isolation_the_aborted_record_shows(shop: Shop, marked: tuple[bytes, str]) -> None:
    """The test above can fail: the ghost is there."""
    ghost, _ = marked

    def shown(found: Sequence[Any]) -> bool:
        return ghost in [raw.value for raw in found]

    topic = shop.topic(PROFILES)
    assert records(shop.kafka, topic, shown, isolation="read_uncommitted")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_worker_takes_every_compression(
    shop: Shop, compression: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of three clients, compressed on the wire by the codec that is named: all are folded."""
    writers = ("aiokafka", "confluent-kafka", "kcat")
    number, channel = COMPRESSIONS[compression]
    topic = shop.topic(signals(channel))
    written = {name: _users(5) for name in writers}
    for name, users in written.items():
        sent = [Sent(None, _signal(user, channel), 0) for user in users]
        CLIENTS[name].write(shop.kafka, topic, sent, compression, tmp_path)
    users = [user for names in written.values() for user in names]
    assert shop.known(*users)
    assert _compressions(shop.kafka, topic, users[-1].encode(), monkeypatch) == {number}


def _compressions(kafka: str, topic: str, until: bytes, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Return the codecs of the batches that a fetch of the topic brings."""
    real: Callable[[bytes], Any] = aiokafka.consumer.fetcher.MemoryRecords
    seen: set[int] = set()

    class Watched:
        """Looks at each batch that the client takes from a fetch's answer."""

        def __init__(self, answer: bytes) -> None:
            self.records = real(answer)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.records, name)

        def next_batch(self) -> Any:
            batch = self.records.next_batch()
            if batch is not None:
                seen.add(batch.compression_type)
            return batch

    monkeypatch.setattr(aiokafka.consumer.fetcher, "MemoryRecords", Watched)
    AioKafka().read(kafka, topic, until, Path())
    return seen
