"""The catalogue over a real Kafka: published, followed live, a bad one refused while the old one stays."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from prometheus_client import REGISTRY
from typer.testing import CliRunner, Result

from schemas.admin import config_of
from schemas.topics import CATALOGUE, TOPICS
from schemas.wire import codec_of
from streams.agents.broadcast import BroadcastReader
from streams.agents.catalogue import KEY, CatalogueError, LiveCatalogue, publish, read_live
from streams.cli import build
from streams.core.catalogue import canonical, version_of
from streams.settings import Settings
from tests.unit.streams.core.deciding import action, catalogue

pytestmark = pytest.mark.kafka

EXAMPLE = Path(__file__).parents[2] / "deploy/local/catalogue.yaml"


@pytest.fixture
def settings(kafka: str, topic_prefix: str) -> Settings:
    """Settings of a broker with the catalogue's topic, under a prefix of our own."""
    made = Settings(kafka=kafka, topic_prefix=topic_prefix)
    topic = TOPICS[CATALOGUE]
    new = NewTopic(made.topic(CATALOGUE), 1, 1, config=config_of(topic))
    admin = AdminClient(made.librdkafka())
    for future in admin.create_topics([new]).values():
        future.result(20)
    return made


@pytest.fixture
def live(settings: Settings) -> Iterator[LiveCatalogue]:
    """A process that follows the topic."""
    following = LiveCatalogue()
    with BroadcastReader(settings.librdkafka(), settings.topic(CATALOGUE), following.on_record):
        yield following


def sada(settings: Settings, *words: str) -> Result:
    """Run the command line in this process."""
    env = {"SADA_KAFKA": settings.kafka, "SADA_TOPIC_PREFIX": settings.topic_prefix, "COLUMNS": "200"}
    arguments = ["catalogue", *words]
    return CliRunner(env=env).invoke(build(arguments), arguments)


def wait_for(of: LiveCatalogue, version: str) -> None:
    """Wait until a version is in use."""
    deadline = time.monotonic() + 20
    while of.current is None or of.current.version != version:
        assert time.monotonic() < deadline, f"{version[:12]} was not taken into use"
        time.sleep(0.05)


def write_raw(settings: Settings, key: bytes | None, value: bytes | None) -> None:
    """Write to the topic past all checks, as anybody with the broker's address might."""
    producer = Producer(settings.librdkafka())
    producer.produce(settings.topic(CATALOGUE), key=key, value=value)
    assert producer.flush(20) == 0


def refused(reason: str) -> float:
    """Return how many records were refused for a reason."""
    return REGISTRY.get_sample_value("sada_catalogue_refused_total", {"reason": reason}) or 0.0


def test_the_command_publishes_and_shows(settings: Settings, live: LiveCatalogue) -> None:
    """check needs no Kafka; publish makes it live once; show tells what is live."""
    nowhere = settings.model_copy(update={"kafka": "127.0.0.1:1"})
    assert sada(nowhere, "check", str(EXAMPLE)).exit_code == 0
    empty = sada(settings, "show")
    assert empty.exit_code == 1
    assert "No catalogue is live" in empty.stderr
    first = sada(settings, "publish", str(EXAMPLE))
    assert first.exit_code == 0, first.stderr
    assert "is live now" in first.stdout
    assert live.arrived.wait(20)
    assert live.current is not None
    assert live.current.version[:12] in first.stdout
    assert "was live already" in sada(settings, "publish", str(EXAMPLE)).stdout
    shown = sada(settings, "show")
    assert live.current.version in shown.stdout
    assert "cart-reminder" in shown.stdout
    assert sada(settings, "show", "--document").stdout.strip().encode() == live.current.document


def test_the_command_refuses_a_bad_file(settings: Settings, tmp_path: Path) -> None:
    """All problems on stderr with line and column, exit code 1, nothing published."""
    bad = tmp_path / "bad.yaml"
    bad.write_text(EXAMPLE.read_text().replace("cooldown: 21d", "cooldwn: 21d").replace("value: 14", "value: x"))
    for command in ("check", "publish"):
        done = sada(settings, command, str(bad))
        assert done.exit_code == 1
        assert "did you mean 'cooldown'?" in done.stderr
        assert "actions[1].value: 'x' is not a number" in done.stderr
        assert "Refused: 2 problems" in done.stderr
        assert f"{bad}:" in done.stderr
    assert read_live(settings).current is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version: 1\ncurrency: \xff\n", "2:11: document: byte 0xff is not UTF-8"),
        (b"x: " + b"y" * 3_000_000, "is larger than"),
        (b"", "is not a mapping"),
        (None, "cannot be read"),
    ],
)
def test_files_that_cannot_be_read(settings: Settings, tmp_path: Path, content: bytes | None, message: str) -> None:
    """A missing, huge, empty or wrongly encoded file is told as such, without a traceback."""
    file = tmp_path / "some.yaml"
    if content is not None:
        file.write_bytes(content)
    done = sada(settings, "check", str(file))
    assert done.exit_code == 1
    assert message in done.stderr
    assert isinstance(done.exception, SystemExit)


def test_reloaded_live_and_the_old_one_stays(settings: Settings, live: LiveCatalogue) -> None:
    """A good one replaces the old; nonsense, a tombstone, a forged and a bad one change nothing and are counted."""
    first, second = catalogue(action()), catalogue(action(value=11))
    assert publish(settings, first)
    wait_for(live, first.version)
    before = {reason: refused(reason) for reason in ("bad-frame", "not-a-catalogue", "bad-catalogue")}
    bad = canonical({"version": 1, "currency": "EUR", "triggers": {}, "actions": []})
    encode = codec_of("catalogue").encode
    write_raw(settings, KEY, b"nonsense")
    write_raw(settings, KEY, None)
    write_raw(settings, b"other", encode({"version": "x", "document": b"{}", "published_at_ms": 1}))
    write_raw(settings, KEY, encode({"version": first.version, "document": second.document, "published_at_ms": 1}))
    write_raw(settings, KEY, encode({"version": version_of(bad), "document": bad, "published_at_ms": 1}))
    deadline = time.monotonic() + 20
    while refused("bad-catalogue") < before["bad-catalogue"] + 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert live.current is not None
    assert live.current.version == first.version
    assert refused("bad-frame") == before["bad-frame"] + 1
    assert refused("not-a-catalogue") == before["not-a-catalogue"] + 2
    assert publish(settings, second)
    wait_for(live, second.version)


def test_a_rollback_is_a_publication(settings: Settings, live: LiveCatalogue) -> None:
    """Publishing an earlier version again makes it live again: live is the newest record, not the newest file."""
    first, second = catalogue(action()), catalogue(action(value=11))
    for version in (first, second, first):
        assert publish(settings, version)
        wait_for(live, version.version)


def test_no_broker_is_said_clearly() -> None:
    """A wrong address ends in words, not in a hang."""
    nowhere = Settings(kafka="127.0.0.1:1")
    with pytest.raises(CatalogueError, match=r"127\.0\.0\.1:1 could not be read within 1 s: is Kafka up"):
        publish(nowhere, catalogue(), timeout_s=1.0)
