"""The composition root of a worker: settings become stages, stages become one Faust application.

To add a stage, write a job over (state, batch), make a ``Stage`` of it, and add a row to ``STAGES``.
"""

import asyncio
import gc
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from confluent_kafka import Producer

from models import registry
from schemas import topics
from schemas.identifiers import Hasher
from streams import logs, metrics
from streams.agents import customers, learners, near
from streams.agents.broadcast import BroadcastReader
from streams.agents.catalogue import LiveCatalogue
from streams.agents.customers import Customers
from streams.agents.naming import Namer
from streams.agents.outgoing import Wire
from streams.agents.purge import Purge
from streams.agents.routing import Owner
from streams.agents.rules_file import load_rules
from streams.agents.scoring import LiveScorers
from streams.agents.tally import Tally
from streams.core.customer import Brain
from streams.core.labels import LabelRules
from streams.lane.app import build, run
from streams.lane.config import LaneConfig
from streams.lane.job import Stage
from streams.lane.lane import Lane
from streams.lane.metrics import PrometheusObserver
from streams.settings import Settings

log = logging.getLogger(__name__)

# Most signals in one transaction: a commit costs some 10 ms whatever its size.
MAX_BATCH = 1_000

# A worker that has no models yet decides with their priors; it waits so long for those that there are, seconds.
_CAUGHT_UP_S = 30.0

# How often a worker that owns no learner looks whether it does now, seconds.
_LOOK_EVERY_S = 0.5


def _customers(settings: Settings, wire: Wire, brain: Callable[[], Brain]) -> Stage[Any]:
    agent = Customers(
        wire=wire,
        namer=Namer(Hasher(settings.secret("node_key")), settings.identity_rules()),
        owner=Owner(settings.partitions),
        brain=brain,
        tally=Tally(),
    )
    return customers.stage(agent, max_batch=MAX_BATCH)


def _learners(settings: Settings, wire: Wire, _: Callable[[], Brain]) -> Stage[Any]:
    return learners.learners_stage(
        settings.secret("snapshot_key"),
        topic=settings.topic,
        dead_letter=partial(wire.dead_letter, stage=learners.NAME),
    )


def _near(settings: Settings, wire: Wire, _: Callable[[], Brain]) -> Stage[Any] | None:
    rules = settings.identity_rules().near
    if rules is None:
        return None
    return near.stage(near.Near(wire, review=rules.review, partitions=settings.partitions))


def tune_collector() -> None:
    """Let the garbage collector look less often, and never again at what was imported.

    A batch makes some hundred objects a signal, none of them in circles; with Python's own threshold of 700 the
    collector took 47 to 73 us of each signal, with these 21.
    """
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


# Every stateful stage that a worker runs; None: the settings want it not.
STAGES: Mapping[str, Callable[[Settings, Wire, Callable[[], Brain]], Stage[Any] | None]] = {
    "customers": _customers,
    "learners": _learners,
    "near": _near,
}


def lane_config(settings: Settings) -> LaneConfig:
    """Return the lane's configuration.

    Raises
    ------
    SettingsError
        when the seal key is missing: a worker writes no customer's state in the open
    """
    password = None if settings.kafka_password is None else settings.secret("kafka_password").decode()
    return LaneConfig(
        app=settings.topic_prefix + settings.app,
        bootstrap=settings.kafka,
        security=settings.kafka_security,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        user=settings.kafka_user,
        password=password,
        ca=settings.kafka_ca,
        store=settings.store,
        message_max_bytes=topics.STATE_MAX_BYTES,
        seal_key=settings.secret("seal_key"),
        commit_linger_ms=settings.commit_linger_ms,
        fetch_gather_ms=settings.fetch_gather_ms,
        # A worker's own: its metrics port tells workers of one machine apart.
        directory=settings.var / "lane" / f"worker-{settings.metrics_port}",
    )


def run_worker(settings: Settings) -> int:
    """Run a worker until it is told to stop or fails; return its exit code (see ``streams.lane.app.run``).

    Raises
    ------
    SettingsError
        when a secret is missing
    RegistryError
        when the schema registry does not answer, or does not hold a topic's schema
    """
    logs.configure("worker")
    tune_collector()
    wire = Wire(settings.codecs())
    for topic in topics.TOPICS.values():
        if topic.schema:
            wire.codec(topic.name)  # the registry is asked now, not in the middle of a batch
    scorers = LiveScorers(settings.secret("snapshot_key"))
    catalogue = LiveCatalogue()
    identity = settings.identity_rules()
    record_rules = load_rules(settings.rules, identity)
    rules = LabelRules(
        anchor=settings.churn_anchor,
        churn_horizon_ms=1_000 * settings.churn_horizon_s,
        churn_gap_ms=1_000 * settings.churn_gap_s,
    )

    def brain() -> Brain:
        return Brain(scorers.current, catalogue.current, identity=identity, labels=rules, rules=record_rules)

    config = lane_config(settings)
    stages = [stage for make in STAGES.values() if (stage := make(settings, wire, brain)) is not None]
    config.directory.mkdir(parents=True, exist_ok=True)
    connection = settings.librdkafka()
    with (
        BroadcastReader(connection, settings.topic(topics.MODELS), scorers.on_record) as models_reader,
        BroadcastReader(connection, settings.topic(topics.CATALOGUE), catalogue.on_record) as catalogue_reader,
    ):
        for reader in (models_reader, catalogue_reader):
            if not reader.caught_up.wait(_CAUGHT_UP_S):
                log.warning("%s is not read yet after %.0f s; going on without", reader.topic, _CAUGHT_UP_S)
        app = build(config, stages, observer=PrometheusObserver(group=config.app))

        async def serve_metrics() -> None:
            server = await metrics.serve(
                settings.metrics_port,
                live=app.lane.health.live,
                ready=app.lane.health.ready,
                host=settings.metrics_host,
            )
            try:
                await asyncio.Event().wait()
            finally:
                await server.stop()

        async def tick() -> None:
            await _tick(settings, wire)

        async def make_ready_to_learn() -> None:
            await _preload_when_learning(app.lane)

        purge = Purge(connection, app.lane.committed, [settings.topic(topics.INBOX), settings.topic(topics.CARDS)])
        beside = [serve_metrics, make_ready_to_learn, purge.run, *([tick] if settings.tick_s else [])]
        return run(app, beside=beside)


async def _preload_when_learning(lane: Lane) -> None:
    """Import River in a thread once this worker owns a learner: in a batch, customers would wait for it."""
    while not any(stage == learners.NAME for stage, _ in lane.partitions):  # noqa: ASYNC110 - rebalances tell nobody
        await asyncio.sleep(_LOOK_EVERY_S)
    await asyncio.to_thread(registry.preload)
    await asyncio.Event().wait()  # what runs beside the lane runs as long as it


async def _tick(settings: Settings, wire: Wire) -> None:
    """Write the wall clock to every partition of ``ticks``: a quiet partition's time moves, and its timers fire."""
    producer = Producer({**settings.librdkafka(), "linger.ms": 5})
    topic, codec = settings.topic(topics.TICKS), wire.codec(topics.TICKS)
    try:
        while True:
            value = codec.encode({"at_ms": metrics.wall_ms()})
            for partition in range(settings.partitions):
                producer.produce(topic, value, partition=partition)
            producer.poll(0)
            await asyncio.sleep(settings.tick_s)
    finally:
        # 1 s: a tick that is not sent is followed by the next worker's.
        producer.flush(1.0)
