"""The composition root of a worker: settings become stages, stages become one Faust application.

To add a stage, write a job over (state, batch), make a ``Stage`` of it, and add it in ``stages``.
"""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Callable, Sequence
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
from streams.generations import Follower, Hosted, Renewal, hosted
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


def _customers(settings: Settings, wire: Wire, brain: Callable[[], Brain], tally: Tally) -> Stage[Any]:
    agent = Customers(
        wire=wire,
        namer=Namer(Hasher(settings.secret("node_key")), brain().identity),
        owner=Owner(settings.partitions),
        brain=brain,
        tally=tally,
    )
    return customers.stage(agent, max_batch=MAX_BATCH, name=_own_name(customers.STAGE, settings))


def _learners(settings: Settings, wire: Wire) -> Stage[Any]:
    return learners.learners_stage(
        settings.secret("snapshot_key"),
        topic=settings.topic,
        dead_letter=partial(wire.dead_letter, stage=learners.NAME),
    )


def _near(settings: Settings, wire: Wire) -> Stage[Any] | None:
    rules = settings.identity_rules().near
    if rules is None:
        return None
    return near.stage(
        near.Near(wire, review=rules.review, partitions=settings.partitions), name=_own_name(near.NAME, settings)
    )


def _own_name(stage: str, settings: Settings) -> str:
    """Return the name of a generation's stage: two generations run beside each other."""
    return stage if settings.generation == topics.FIRST else f"{stage}-{settings.generation}"


def tune_collector() -> None:
    """Let the garbage collector look less often, and never again at what was imported.

    A batch makes some hundred objects a signal, none of them in circles; with Python's own threshold of 700 the
    collector took 47 to 73 us of each signal, with these 21.
    """
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)


def _brains(settings: Settings, scorers: LiveScorers, catalogue: LiveCatalogue) -> Callable[[], Brain]:
    """Return what decides in a generation: its own rules, models and catalogue of all."""
    identity = settings.identity_rules()
    record_rules = load_rules(settings.rules, identity, text=settings.rules_text)
    rules = LabelRules(
        anchor=settings.churn_anchor,
        churn_horizon_ms=1_000 * settings.churn_horizon_s,
        churn_gap_ms=1_000 * settings.churn_gap_s,
    )

    def brain() -> Brain:
        return Brain(scorers.current, catalogue.current, identity=identity, labels=rules, rules=record_rules)

    return brain


def _wire(settings: Settings) -> Wire:
    wire = Wire(settings.codecs())
    for topic in topics.TOPICS.values():
        if topic.schema:
            wire.codec(topic.name)  # the registry is asked now, not in the middle of a batch
    return wire


def stages(generations: Sequence[Hosted], scorers: LiveScorers, catalogue: LiveCatalogue) -> list[Stage[Any]]:
    """Return every stateful stage that a worker runs: those of each generation, and the learners, once for all."""
    tally = Tally()
    found = [_learners(generations[0].settings, _wire(generations[0].settings))]
    for _, settings in generations:
        wire = _wire(settings)
        found.append(_customers(settings, wire, _brains(settings, scorers, catalogue), tally))
        matches = _near(settings, wire)
        if matches is not None:
            found.append(matches)
    return found


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
        seal_key_before=None if settings.seal_key_before is None else settings.secret("seal_key_before"),
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
    generations = hosted(settings)
    scorers = LiveScorers(settings.secret("snapshot_key"))
    catalogue = LiveCatalogue()
    renewal = Renewal(tuple(each.known.name for each in generations), lambda: os.kill(os.getpid(), signal.SIGTERM))
    config = lane_config(settings)
    running = stages(generations, scorers, catalogue)
    config.directory.mkdir(parents=True, exist_ok=True)
    connection = settings.librdkafka()
    with (
        BroadcastReader(connection, settings.topic(topics.MODELS), scorers.on_record) as models_reader,
        BroadcastReader(connection, settings.topic(topics.CATALOGUE), catalogue.on_record) as catalogue_reader,
        Follower(settings, renewal.on_table),
    ):
        for reader in (models_reader, catalogue_reader):
            if not reader.caught_up.wait(_CAUGHT_UP_S):
                log.warning("%s is not read yet after %.0f s; going on without", reader.topic, _CAUGHT_UP_S)
        app = build(config, running, observer=PrometheusObserver(group=config.app))

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
            await _tick(settings, [each.settings for each in generations])

        async def make_ready_to_learn() -> None:
            await _preload_when_learning(app.lane)

        read_here = [each.settings.topic(name) for each in generations for name in (topics.INBOX, topics.CARDS)]
        purge = Purge(connection, app.lane.committed, read_here)
        beside = [serve_metrics, make_ready_to_learn, purge.run, *([tick] if settings.tick_s else [])]
        code = run(app, beside=beside)
    if code == 0:
        renewal.renew()
    return code


async def _preload_when_learning(lane: Lane) -> None:
    """Import River in a thread once this worker owns a learner: in a batch, customers would wait for it.

    Not while it recovers, which is all that customers wait for then: the import takes as much CPU as 100,000 of them.
    """
    while not _is_to_learn(lane):  # noqa: ASYNC110 - rebalances tell nobody
        await asyncio.sleep(_LOOK_EVERY_S)
    await asyncio.to_thread(registry.preload)
    await asyncio.Event().wait()  # what runs beside the lane runs as long as it


def _is_to_learn(lane: Lane) -> bool:
    """Say whether this worker owns a learner, and has recovered all that it owns."""
    owned = lane.partitions.items()
    return any(stage == learners.NAME for (stage, _), _ in owned) and all(each.recovered for _, each in owned)


async def _tick(settings: Settings, generations: Sequence[Settings]) -> None:
    """Write the wall clock to every partition of ``ticks``: a quiet partition's time moves, and its timers fire.

    A generation that is built leaves them out: its time is that of what it replays.
    """
    producer = Producer({**settings.librdkafka(), "linger.ms": 5})
    codec = settings.codecs().of(topics.TICKS)
    places = [(each.topic(topics.TICKS), number) for each in generations for number in range(each.partitions)]
    try:
        while True:
            value = codec.encode({"at_ms": metrics.wall_ms()})
            for topic, partition in places:
                producer.produce(topic, value, partition=partition)
            producer.poll(0)
            await asyncio.sleep(settings.tick_s)
    finally:
        # 1 s: a tick that is not sent is followed by the next worker's.
        producer.flush(1.0)
