"""Every internal of faust-streaming, mode and aiokafka that the lane overrides or touches, by name and signature.

An upgrade fails here first. When one of these fails, read what changed, then `streams/lane/faust_*.py`, then run the
lane's integration and chaos tests before pinning the new version.
"""

import importlib.metadata
import inspect
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment, SubscriptionState, TopicPartitionState
from aiokafka.structs import ConsumerRecord
from faust.app.base import App, BootStrategy
from faust.assignor.partition_assignor import PartitionAssignor
from faust.serializers.schemas import Schema
from faust.stores.base import Store
from faust.streams import Stream
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.tables.table import Table
from faust.transport.conductor import Conductor
from faust.transport.consumer import Consumer, ConsumerThread, ThreadDelegateConsumer
from faust.transport.consumer import Fetcher as FaustFetcher
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from faust.types.settings import Settings
from mode import Service
from mode.services import ServiceTask
from mode.threads import QueueServiceThread

from streams.lane.faust_consumer import LaneConsumer, records_of
from streams.lane.job import Record


def test_versions_are_those_the_lane_was_written_for() -> None:
    assert importlib.metadata.version("faust-streaming") == "0.15.3"
    assert importlib.metadata.version("aiokafka").startswith("0.14.")


SIGNATURES: list[tuple[Any, str, str]] = [
    # overridden
    (driver.Consumer, "_new_consumer_thread", "(self)"),
    (driver.AIOKafkaConsumerThread, "_create_worker_consumer", "(self, transport)"),
    (Consumer, "on_partitions_revoked", "(self, revoked)"),
    (Consumer, "on_partitions_assigned", "(self, assigned, generation_id)"),
    (Consumer, "perform_seek", "(self)"),
    (Consumer, "getmany", "(self, timeout)"),
    (driver.Consumer, "_to_message", "(self, tp, record)"),
    (Consumer, "_drain_messages", "(self, fetcher)"),
    (Consumer, "commit", "(self, topics, start_new_transaction)"),
    (Schema, "compile", "(self, app, on_key_decode_error, on_value_decode_error, default_propagate)"),
    (TableManager, "on_start", "(self)"),
    (App, "_new_transport", "(self)"),
    (App, "_create_directories", "(self)"),
    (App, "on_stop", "(self)"),
    (PartitionAssignor, "_group_co_subscribed", "(cls, topics, subscriptions)"),
    (Table, "_new_store", "(self)"),
    (Store, "persisted_offset", "(self, tp)"),
    (Store, "apply_changelog_batch", "(self, batch, to_key, to_value)"),
    (Store, "backup_partition", "(self, tp, flush, purge, keep)"),
    (Store, "restore_backup", "(self, tp, latest, backup_id)"),
    # called
    (driver.AIOKafkaConsumerThread, "_fetch_records", "(self, consumer, active_partitions, timeout, max_records)"),
    (driver.AIOKafkaConsumerThread, "_ensure_consumer", "(self)"),
    (driver.AIOKafkaConsumerThread, "assignment", "(self)"),
    (QueueServiceThread, "call_thread", "(self, fun, args, kwargs)"),
    (ThreadDelegateConsumer, "earliest_offsets", "(self, partitions)"),
    (ThreadDelegateConsumer, "highwaters", "(self, partitions)"),
    (Consumer, "_get_active_partitions", "(self)"),
    (Consumer, "stop_flow", "(self)"),
    (Recovery, "_resume_streams", "(self, generation_id)"),
    (Recovery, "_set_recovery_started", "(self)"),
    (Recovery, "_set_recovery_ended", "(self)"),
    (Recovery, "wait_for_stopped", "(self, coros, timeout)"),
    (TableManager, "_update_channels", "(self)"),
    (Stream, "noack", "(self)"),
    (Fetcher, "fetched_records", "(self, partitions, timeout, max_records)"),
    (GroupCoordinator, "check_errors", "(self)"),
    (Assignment, "state_value", "(self, tp)"),
    (AIOKafkaConsumer, "seek", "(self, partition, offset)"),
    (AIOKafkaConsumer, "pause", "(self, partitions)"),
    (AIOKafkaConsumer, "commit", "(self, offsets)"),
]


@pytest.mark.parametrize(
    ("owner", "name", "signature"), SIGNATURES, ids=lambda value: getattr(value, "__name__", value)
)
def test_signature(owner: Any, name: str, signature: str) -> None:
    raw = inspect.getattr_static(owner, name)
    function = raw.__func__ if isinstance(raw, classmethod) else getattr(owner, name)
    assert f"({', '.join(inspect.signature(function).parameters)})" == signature


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Recovery, "_restart_recovery"),
        (Recovery, "_slurp_changelogs"),
        (Recovery, "_publish_stats"),
        (Consumer, "_commit_livelock_detector"),
        (Consumer, "_commit_handler"),
        (FaustFetcher, "_fetcher"),
    ],
)
def test_background_task_is_one_that_a_subclass_replaces_by_name(owner: type[Service], name: str) -> None:
    assert isinstance(inspect.getattr_static(owner, name), ServiceTask)


@pytest.mark.parametrize(
    ("code_of", "names"),
    [
        # Faust hard-codes the isolation level and the fetch wait; aiokafka reads both only when it starts.
        (driver.AIOKafkaConsumerThread._create_worker_consumer, ["isolation_level", "fetch_max_wait_ms=1500"]),
        (AIOKafkaConsumer.start, ["self._isolation_level", "self._fetch_max_wait_ms", "self._coordinator"]),
        (AIOKafkaConsumer.__init__, ["self._isolation_level", "self._fetch_max_wait_ms", "self._subscription"]),
        # Both are read anew for each fetch, so the lane may change them in between.
        (Fetcher._get_actions_per_node, ["self._fetch_max_wait_ms", "self._fetch_min_bytes"]),
        (TopicPartitionState.__init__, ["self.lso", "self.highwater"]),
        (SubscriptionState.__init__, ["self._subscription"]),
        # A set that is empty means all partitions to aiokafka; a paused one is not fetched.
        (Fetcher.fetched_records, ["if partitions and tp not in partitions"]),
        # Returns early when the flow is stopped, so nothing is drained between revocation and seek by a new call.
        (driver.AIOKafkaConsumerThread._fetch_records, ["if not self.consumer.flow_active"]),
        # The seek comes before the flow is resumed.
        (Recovery._resume_streams, ["consumer.perform_seek()", "consumer.resume_flow()", "consumer_generation_id"]),
        (Recovery.on_rebalance, ["self.signal_recovery_start.set()", "self._generation_id = generation_id"]),
        (App._on_partitions_revoked, ["consumer.stop_flow", "self.flow_control.clear"]),
        (App._on_partitions_assigned, ["self.tables.on_rebalance", "consumer.pause_partitions"]),
        (Consumer._commit_handler.fun, ["await self.commit()"]),
        (FaustFetcher._fetcher.fun, ["consumer._drain_messages(self)"]),
        (BootStrategy.kafka_producer, ["_should_enable_kafka_producer"]),
        (BootStrategy._should_enable_web, ["self.enable_web"]),
        (TableManager.recovery.fget, ["self._recovery"]),
        (driver.ConsumerRebalanceListener.on_partitions_assigned, ["consumer_generation_id = generation"]),
        (ConsumerThread.on_partitions_assigned, ["threadsafe_partitions_assigned"]),
        (Conductor._compile_message_handler, ["callback(message)"]),
        (Service._crash, ["self._crashed.set()", "self.crash_reason = reason"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_the_code_still_does_what_the_lane_relies_on(code_of: Any, names: list[str]) -> None:
    source = inspect.getsource(code_of)
    assert [name for name in names if name not in source] == []


def test_position_of_a_partition_is_readable() -> None:
    for name in ("position", "has_valid_position"):
        assert isinstance(inspect.getattr_static(TopicPartitionState, name), property)


def test_settings_that_the_lane_sets_exist() -> None:
    names = (
        "broker_client_id broker_session_timeout broker_heartbeat_interval broker_request_timeout "
        "broker_commit_interval broker_credentials consumer_auto_offset_reset consumer_max_fetch_size agent_supervisor "
        "table_standby_replicas stream_buffer_maxsize stream_recovery_delay stream_wait_empty topic_allow_declare "
        "topic_disable_leader web_enabled TableManager Table PartitionAssignor"
    )
    assert [name for name in names.split() if not hasattr(Settings, name)] == []


def test_consumer_message_takes_a_chunk() -> None:
    assert TP("a", 1) == ("a", 1)
    message = ConsumerMessage("a", 1, 5, 1.0, 0, (), None, [1, 2], None, 0, 0, TP("a", 1), generation_id=3)
    assert (message.value, message.offset, message.generation_id) == ([1, 2], 5, 3)


def test_records_are_made_from_aiokafkas() -> None:
    """The lane makes its records by position, in C: names and order are held here."""
    theirs: Any = ConsumerRecord("t", 1, 2, 3, 0, b"k", b"v", None, 1, 1, (("h", b"x"),))
    (ours,) = records_of([theirs])
    assert type(ours) is Record
    assert ours == Record(
        topic="t", partition=1, offset=2, timestamp_ms=3, key=b"k", value=b"v", headers=(("h", b"x"),)
    )


def test_the_lane_replaces_faust_and_not_something_beside_it() -> None:
    """Each method that the consumer defines exists in Faust's, or is the lane's own by name."""
    own = {"_lane", "_watch", "_shown"}
    defined = {name for name, value in vars(LaneConsumer).items() if callable(value) or isinstance(value, ServiceTask)}
    assert [name for name in defined - own if not name.startswith("__") and not hasattr(driver.Consumer, name)] == []
