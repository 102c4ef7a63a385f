"""The application around the stages: what it asks of Kafka and of its assignor, with no broker.

The tests are coroutines, since Faust makes an event loop of its own where none runs.
"""

from typing import Any

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from streams.lane.app import build
from streams.lane.config import LaneConfig
from streams.lane.examples.word_count import stage
from streams.lane.faust_app import LaneAssignor


def auth_of(**settings: Any) -> dict[str, Any]:
    app = build(LaneConfig(app="t", **settings), [stage("")])
    app.finalize()
    return dict(credentials_to_aiokafka_auth(app.conf.broker_credentials, app.conf.ssl_context))


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_credentials_reach_aiokafka(mechanism: Any) -> None:
    auth = auth_of(security="SASL_PLAINTEXT", sasl_mechanism=mechanism, user="u", password="p")
    assert auth["security_protocol"] == "SASL_PLAINTEXT"
    assert (auth["sasl_mechanism"], auth["sasl_plain_username"], auth["sasl_plain_password"]) == (mechanism, "u", "p")


async def test_tls_reaches_aiokafka() -> None:
    assert auth_of(security="SSL")["security_protocol"] == "SSL"
    auth = auth_of(security="SASL_SSL", user="u", password="p")
    assert auth["security_protocol"] == "SASL_SSL"
    assert auth["ssl_context"].check_hostname
    assert auth_of()["security_protocol"] == "PLAINTEXT"


async def test_nothing_listens_and_nothing_is_created() -> None:
    app = build(LaneConfig(app="t"), [stage("")])
    app.finalize()
    services = [type(service).__name__ for service in app.on_init_dependencies()]
    app.consumer._thread.thread_loop.close()  # made with the thread, which is never started here
    assert [name for name in services if "Web" in name or "Producer" in name] == []
    assert app.conf.topic_allow_declare is False
    assert app.conf.table_standby_replicas == 0


async def test_the_table_is_read_only() -> None:
    app = build(LaneConfig(app="t"), [stage("")])
    app.finalize()
    store = app.tables["words"].data
    assert (len(store), list(store), b"a" in store) == (0, [], False)
    for write in (lambda: store.__setitem__(b"a", b"1"), lambda: store.__delitem__(b"a"), store.clear):
        with pytest.raises(TypeError, match="transactions only"):
            write()


class Awkward(str):
    """A member id whose equal sets iterate in different orders: all hashes collide."""

    __slots__ = ()

    def __hash__(self) -> int:
        return 1


async def test_topics_with_the_same_members_are_one_group_whatever_the_order_of_sets() -> None:
    """Faust groups by the order of a set: the topics of one stage could then go to different workers."""
    topics = {"a", "b"}
    one, two = Awkward("one"), Awkward("two")
    subscriptions: dict[str, Any] = {one: ["a"], two: ["a", "b"]}
    assert sorted(map(sorted, LaneAssignor._group_co_subscribed(topics, subscriptions))) == [["a"], ["b"]]
    both: dict[str, Any] = {one: ["a", "b"], two: ["b", "a"]}
    assert [sorted(group) for group in LaneAssignor._group_co_subscribed(topics, both)] == [["a", "b"]]
