"""The fixtures themselves: what every other test trusts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import confluent_kafka
import pytest
import redis
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.local import preflight
from schemas.registry import IncompatibleError, SchemaRegistry

WIDE = '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "string"}]}'
NARROW = '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}'

# As /proc/net/tcp writes them; Java listens on the IPv4 address mapped into IPv6.
LISTENING = "0A"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}


def test_topics_are_never_made_by_accident(kafka: str, topic_prefix: str) -> None:
    """A misspelt topic must fail, not be created with one partition."""
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka, "message.timeout.ms": 1000})
    errors: list[confluent_kafka.KafkaError | None] = []
    producer.produce(f"{topic_prefix}nowhere", b"x", on_delivery=lambda error, _: errors.append(error))
    producer.flush(10)
    assert [error is not None for error in errors] == [True]
    assert f"{topic_prefix}nowhere" not in AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics


def test_transactions_work_and_fence(kafka: str, topic_prefix: str) -> None:
    """The broker is one on which the lane can be exact."""
    topic = f"{topic_prefix}fenced"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, 1)])[topic].result()
    settings = {"bootstrap.servers": kafka, "transactional.id": topic, "log_level": 0}
    older, newer = confluent_kafka.Producer(settings), confluent_kafka.Producer(settings)
    older.init_transactions(20)
    older.begin_transaction()
    older.produce(topic, b"lost")
    older.flush(10)
    newer.init_transactions(20)
    with pytest.raises(confluent_kafka.KafkaException):
        older.commit_transaction(10)


def test_redis_forgets_nothing_for_want_of_memory(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_only_loopback_listens(kafka: str, redis_url: str) -> None:
    """Whatever this machine's network is, nobody on it reaches these servers."""
    ports = {int(address.rpartition(":")[2].partition("/")[0]) for address in (kafka, redis_url)}
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path("/proc/net", table).read_text().splitlines()[1:]]
    local = [row[1].split(":") for row in rows if row[3] == LISTENING]
    ours = {address for address, port in local if int(port, 16) in ports}
    assert ours
    assert ours <= LOOPBACK


def test_the_registry_refuses_an_incompatible_schema(registry_url: str, topic_prefix: str) -> None:
    registry = SchemaRegistry(registry_url)
    registry.register(f"{topic_prefix}value", WIDE)
    with pytest.raises(IncompatibleError):
        registry.register(f"{topic_prefix}value", NARROW)


def test_shared_services_for_a_working_day(tmp_path: Path) -> None:
    """The program that serves several test runs: writes its addresses when ready, ends clean on SIGTERM."""
    env_file = tmp_path / "stack.env"
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.local.services", tmp_path / "s", env_file], stdout=subprocess.DEVNULL
    ) as program:
        deadline = time.monotonic() + 60
        while not env_file.exists():
            assert program.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        lines = dict(line.removeprefix("export ").split("=", 1) for line in env_file.read_text().splitlines())
        assert AdminClient({"bootstrap.servers": lines["SADA_TEST_KAFKA"]}).list_topics(timeout=10).brokers
        with redis.Redis.from_url(lines["SADA_TEST_REDIS"]) as client:
            assert client.ping()
        os.kill(program.pid, signal.SIGTERM)
        assert program.wait(60) == 0
    assert not env_file.exists()
    port = int(lines["SADA_TEST_KAFKA"].rpartition(":")[2])
    assert preflight.port_is_free(port)
