"""Fixtures for everybody: a real Kafka and a real Redis, started once per session, and names that collide with none."""

import os
import shutil
import uuid
from collections import Counter
from collections.abc import Iterator

import pytest

from deploy.local.services import kafka_running, redis_running, registry_running


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: processes share files, and a long one at the end is waited for alone."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])  # stable: what is equally slow stays in its random order


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a real broker: that of ``SADA_TEST_KAFKA``, or one of our own for this session.

    It creates no topics by itself. Names are shared by the session: put ``topic_prefix`` before yours.
    """
    given = os.environ.get("SADA_TEST_KAFKA")
    if given:
        yield given
        return
    folder = tmp_path_factory.mktemp("kafka")
    with kafka_running(folder) as bootstrap:
        yield bootstrap
    shutil.rmtree(folder)  # pytest keeps the folders of three sessions; a broker's log is too large for that


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real Redis: that of ``SADA_TEST_REDIS``, or one of our own. Shared: use unique keys, never FLUSHALL."""
    given = os.environ.get("SADA_TEST_REDIS")
    if given:
        yield given
        return
    with redis_running(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def registry_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a real schema registry's Confluent API, started for this session. Shared: use unique subjects."""
    with registry_running(tmp_path_factory.mktemp("registry")) as url:
        yield url


@pytest.fixture
def topic_prefix() -> str:
    """Return a prefix for topics, groups, transactional ids and Redis keys that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}-"
