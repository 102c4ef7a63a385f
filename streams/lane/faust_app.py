"""The Faust application of a worker: an agent and a table per stage."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.assignor.partition_assignor import PartitionAssignor
from mode.supervisors import CrashingSupervisor

from streams.lane.config import LaneConfig
from streams.lane.faust_consumer import ChunkSchema, LaneTransport
from streams.lane.faust_tables import LaneTable, LaneTableManager
from streams.lane.job import Stage
from streams.lane.lane import Lane

# 64 chunks wait between fetch and agent at most; the lane fetches no more than two batches ahead anyway.
CHUNKS_BUFFERED = 64
# 1 MiB per partition and fetch: 8,000 records of 120 bytes.
FETCH_BYTES = 1024 * 1024


class LaneAssignor(PartitionAssignor):  # type: ignore[misc]  # Faust has no types
    """Faust's assignor; topics with the same subscribers always form one group.

    Faust groups by ``tuple(set_of_members)``, whose order may differ between equal sets: partition p of two topics
    of one stage could then go to two workers.
    """

    @classmethod
    def _group_co_subscribed(cls, topics: set[str], subscriptions: dict[str, list[str]]) -> Iterable[set[str]]:
        members: dict[str, set[str]] = defaultdict(set)
        for member, subscribed in subscriptions.items():
            for topic in subscribed:
                members[topic].add(member)
        groups: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for topic in topics:
            groups[tuple(sorted(members[topic]))].add(topic)
        return groups.values()


class LaneBoot(BootStrategy):  # type: ignore[misc]  # Faust has no types
    """No web server (it would listen on 0.0.0.0:6066, unauthenticated) and no producer of Faust's."""

    enable_web = False
    enable_kafka_producer = False
    enable_sensors = False


class LaneApp(faust.App):  # type: ignore[misc]  # Faust has no types
    """A Faust application that runs stages in the lane."""

    BootStrategy = LaneBoot

    def __init__(self, config: LaneConfig, lane: Lane) -> None:
        self.lane = lane
        super().__init__(config.app, **_settings(config))
        for stage in lane.stages.values():
            self._add_stage(stage)

    def _add_stage(self, stage: Stage[Any]) -> None:
        """Declare a stage's table and the agent that iterates over its topics."""
        changelog = self.topic(stage.changelog, key_type=bytes, value_type=bytes, acks=False, internal=False)
        self.Table(stage.name, key_type=bytes, value_type=bytes, changelog_topic=changelog)
        sources = self.topic(*stage.sources, schema=ChunkSchema(), internal=False)
        feed = self.lane.feed

        async def agent(stream: Any) -> None:
            async for chunk in stream.noack():
                feed(chunk)

        self.agent(sources, name=stage.name, concurrency=1)(agent)

    def _new_transport(self) -> LaneTransport:
        return LaneTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Make none: Faust keeps nothing on disk here."""

    async def on_stop(self) -> None:
        """Finish what runs before the consumer leaves the group."""
        await self.lane.stop()
        await self.consumer.commit()
        await super().on_stop()

    async def wait_crashed(self) -> None:
        """Wait until Faust itself fails."""
        await self._crashed.wait()

    @property
    def failure(self) -> BaseException | None:
        """Why Faust failed, if it did."""
        reason: BaseException | None = self._crash_reason
        return reason


def _settings(config: LaneConfig) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "broker": [f"kafka://{server.strip()}" for server in config.bootstrap.split(",")],
        "broker_client_id": f"{config.app}-worker",
        "broker_session_timeout": config.session_timeout_s,
        "broker_heartbeat_interval": config.heartbeat_s,
        # Longer than any session timeout: Faust demands it.
        "broker_request_timeout": max(40.0, 2 * config.session_timeout_s),
        "broker_commit_interval": 1.0,
        "consumer_auto_offset_reset": "earliest",
        "consumer_max_fetch_size": FETCH_BYTES,
        "agent_supervisor": CrashingSupervisor,
        "table_standby_replicas": 0,
        "stream_buffer_maxsize": CHUNKS_BUFFERED,
        "stream_recovery_delay": 0.0,
        "stream_wait_empty": False,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
        "TableManager": LaneTableManager,
        "Table": LaneTable,
        "PartitionAssignor": LaneAssignor,
    }
    credentials = _credentials(config)
    if credentials is not None:
        settings["broker_credentials"] = credentials
    return settings


def _credentials(config: LaneConfig) -> Any:
    context = config.ssl_context()
    if config.security.startswith("SASL"):
        return faust.SASLCredentials(
            username=config.user, password=config.password, mechanism=config.sasl_mechanism, ssl_context=context
        )
    return None if context is None else faust.SSLCredentials(context)
