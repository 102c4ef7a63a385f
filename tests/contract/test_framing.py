"""With a schema registry, end to end: every public topic in Confluent's framing, every internal one in our own."""

import asyncio
import io
import json
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pytest
import typer
import typer.testing
from confluent_kafka import Producer
from pydantic import SecretStr
from redis.asyncio import Redis
from rich.console import Console

from connectors.files.session import Options, run
from schemas.registry import RegistryError, SchemaRegistry
from schemas.topics import DEAD_LETTERS, IDENTITIES, PROFILES, TICKS, TOPICS, actions, signals
from schemas.wire import codec_of
from streams.commands import topics
from streams.settings import Settings
from tests.peers.delivery import Bench, action, delivering
from tests.peers.gateway import Door, gateway
from tests.peers.processes import environment, records, started
from tests.peers.shop_orders import ORDERS, mapping, row, write

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SINGLE_OBJECT = b"\xc3\x01"


class Deployment(NamedTuple):
    """Topics and subjects, made by `sada topics`; nothing runs yet."""

    env: dict[str, str]
    settings: Settings
    registry: SchemaRegistry

    def raw(self, topic: str, count: int = 1) -> list[bytes]:
        """Return the values of a topic as they lie there, once there are so many."""
        found = records(self.settings.kafka, self.settings.topic(topic), lambda seen: len(seen) >= count)
        return [record.value or b"" for record in found]

    def by_its_id(self, raw: bytes) -> Any:
        """Read a value as any client of the registry does: by the schema that its id names, and by no code of ours."""
        assert raw[:1] == b"\x00", raw[:8].hex()
        schema = json.loads(self.registry.schema_of(int.from_bytes(raw[1:5], "big")))
        return fastavro.schemaless_reader(io.BytesIO(raw[5:]), schema, None)


@pytest.fixture
def deployment(kafka: str, redis_url: str, registry_url: str, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    prefix = f"t{uuid.uuid4().hex[:10]}-"
    env = environment(kafka, redis_url, prefix, tmp_path_factory.mktemp("framing"), SADA_SCHEMA_REGISTRY=registry_url)
    command = typer.Typer()
    command.command()(topics)
    said = typer.testing.CliRunner().invoke(command, env=env)
    assert said.exit_code == 0, said.output
    public = sum(topic.public for topic in TOPICS.values())
    assert f"{public} subjects registered" in said.output
    settings = Settings(
        kafka=kafka,
        redis=SecretStr(redis_url),
        topic_prefix=prefix,
        partitions=2,
        node_key=SecretStr(env["SADA_NODE_KEY"]),
        inbox_secret=SecretStr(env["SADA_NODE_KEY"]),
        public_url="http://127.0.0.1:9",
        var=Path(env["SADA_VAR"]),
        schema_registry=registry_url,
    )
    return Deployment(env, settings, SchemaRegistry(registry_url))


def test_only_public_topics_have_subjects(deployment: Deployment) -> None:
    """What nobody else reads is nobody's contract."""
    for name in ("profiles", "signals.web"):
        assert deployment.settings.codecs().of(name).header[:1] == b"\x00"
    with pytest.raises(LookupError):
        deployment.registry.id_of(deployment.settings.topic(TICKS) + "-value", json.dumps(codec_of("tick").parsed))


def test_a_process_before_sada_topics(deployment: Deployment) -> None:
    """It says what to run."""
    early = deployment.settings.model_copy(update={"topic_prefix": "never-"})
    with pytest.raises(RegistryError, match=r"under never-profiles-value: run `sada topics`"):
        early.codecs().of(PROFILES)


@pytest.mark.timeout(300)
def test_the_loop(deployment: Deployment, tmp_path: Path) -> None:
    """A signal through the gateway arrives as a profile; so does one framed without a registry; an unknown id does not.

    Each topic's bytes are what its row of the table says.
    """
    user, older = f"u-{uuid.uuid4().hex}", f"u-{uuid.uuid4().hex}"
    settings, env = deployment.settings, deployment.env
    redis_url, registry_url = env["SADA_REDIS"], env["SADA_SCHEMA_REGISTRY"]
    with (
        started(env, tmp_path, "worker", "serve"),
        gateway(settings.kafka, redis_url, settings.topic_prefix, tmp_path, SADA_SCHEMA_REGISTRY=registry_url) as door,
    ):
        answer = door.post("/v1/track", {"userId": user, "event": "Product Viewed", "messageId": "m-1"})
        assert answer.status_code == 200
        foreign = _foreign(settings, older)
        assert _profile(door, user)
        assert _profile(door, older)
        [sent] = [value for value in deployment.raw(signals("web"), 3) if value not in foreign]
        assert deployment.by_its_id(sent)["id"] == "m-1"
        held = [deployment.by_its_id(value) for value in deployment.raw(PROFILES, 2)]
        assert {user, older} <= {member["value"] for profile in held for member in profile["members"]}
        assert {deployment.by_its_id(value)["kind"] for value in deployment.raw(IDENTITIES, 2)} == {"user_id"}
        assert {value[:2] for value in deployment.raw(TICKS)} == {SINGLE_OBJECT}
        topic = settings.topic(DEAD_LETTERS)
        found = records(settings.kafka, topic, lambda seen: any(foreign[0] in (r.value or b"") for r in seen))
        letters = [codec_of("dead_letter").decode(record.value or b"") for record in found]
        assert [letter["code"] for letter in letters if letter["value"] == foreign[0]] == ["unknown-schema"]


def _profile(door: Door, user: str) -> dict[str, Any]:
    """Ask the customer API until it knows the customer: Redis has the profile then."""
    deadline = time.monotonic() + 30
    while True:
        answer = door.get(f"/v1/customers/user_id/{user}", key="agent")
        if answer.status_code == 200:
            found: dict[str, Any] = answer.json()
            return found
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


def _foreign(settings: Settings, user: str) -> list[bytes]:
    """Write a record whose id no registry knows, and a good one as it was framed before the registry came."""
    now_ms = time.time_ns() // 1_000_000
    signal = {
        "id": uuid.uuid4().hex,
        "kind": "behaviour",
        "name": "product_viewed",
        "channel": "web",
        "source": "foreign",
        "identifiers": [{"kind": "user_id", "value": user}],
        "occurred_at_ms": now_ms,
        "received_at_ms": now_ms,
        "behaviour": {"item_id": "i-1"},
        "context": {},
    }
    producer = Producer(settings.librdkafka())
    values = [b"\x00\xff\xff\xff\xffx", codec_of("signal").encode(signal)]
    for value in values:
        producer.produce(settings.topic(signals("web")), value, b"foreign")
    assert producer.flush(10) == 0
    return values


async def test_delivery(deployment: Deployment, tmp_path: Path) -> None:
    """Actions are read in both framings; what became of them is written in the registry's."""
    settings = deployment.settings
    redis = Redis.from_url(settings.redis.get_secret_value())
    bench = Bench(settings, redis, Producer(settings.librdkafka()))
    codec = settings.codecs().of(actions("email"))
    framed, plain = action(1, expires_at_ms=1), action(2, expires_at_ms=1)
    bench.raw("email", codec.encode(framed), framed["customer"])
    bench.put(plain)
    relay = {"kind": "smtp", "host": "127.0.0.1", "port": 9, "tls": "none", "from_address": "Shop <a@shop.test>"}
    async with delivering(bench, tmp_path / "channels.yaml", {"email": relay}):
        outcomes = await asyncio.to_thread(deployment.raw, signals("outcome"), 2)
    await redis.aclose()
    read = [deployment.by_its_id(value)["outcome"] for value in outcomes]
    assert {outcome["action_id"] for outcome in read} == {framed["id"], plain["id"]}
    assert {outcome["event"] for outcome in read} == {"expired"}


def test_import(deployment: Deployment, tmp_path: Path) -> None:
    """Signals in the registry's framing; a bad row's letter in our own."""
    file = write(tmp_path / "orders.csv", [row(1), "o9,ragged"])
    options = Options(file=file, mapping=mapping(tmp_path / "m.yaml", ORDERS), dead_letter=True)
    assert run(deployment.settings, options, console=Console(quiet=True)) == 0
    [sent] = deployment.raw(signals("file"))
    assert deployment.by_its_id(sent)["transaction"]["order_id"] == "o1"
    letters = [codec_of("dead_letter").decode(value) for value in deployment.raw(DEAD_LETTERS)]
    assert "import" in {letter["stage"] for letter in letters}
