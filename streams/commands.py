"""``sada topics`` and ``sada worker``."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streams.settings import Settings


def topics(
    replication: Annotated[int, typer.Option(help="Replicas of each partition: 3 in production.")] = 1,
) -> None:
    """Create the topics that are missing.

    May be run again at any time: what exists is checked against the table in schemas/topics.py and never changed.
    SADA_PARTITIONS says how many partitions the customers' topics have: the most workers that can share the work.
    """
    from schemas.admin import TopicsError, create_topics  # noqa: PLC0415 - the command line answers --help without it
    from streams.settings import Settings  # noqa: PLC0415

    settings = Settings()
    try:
        report = create_topics(
            settings.librdkafka(),
            customers=settings.partitions,
            prefix=settings.topic_prefix,
            replication=replication,
            kept_ms=settings.kept_ms(),
        )
    except TopicsError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{len(report.created)} topics created, {len(report.existing)} were there.")
    if settings.schema_registry:
        typer.echo(f"{_register(settings)} subjects registered, FULL_TRANSITIVE.")


def _register(settings: "Settings") -> int:
    """Register every public topic's schema under Confluent's subject of the topic."""
    import json  # noqa: PLC0415

    from schemas import wire  # noqa: PLC0415
    from schemas.codecs import subject_of  # noqa: PLC0415
    from schemas.registry import RegistryError, SchemaRegistry  # noqa: PLC0415
    from schemas.topics import TOPICS  # noqa: PLC0415

    registry = SchemaRegistry(str(settings.schema_registry))
    rows = [(settings.topic(t.name), t.schema) for t in TOPICS.values() if t.public]
    try:
        for topic, schema in rows:
            registry.register(subject_of(topic), json.dumps(wire.load(schema)))
    except RegistryError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(1) from None
    return len(rows)


def worker() -> None:
    """Run a worker: customers and learners, as many partitions as the group gives it.

    Start as many as you have cores, at most SADA_PARTITIONS. A worker ends when it is fenced or Kafka fails it: let
    something start it again (`sada up`, systemd, Kubernetes). Nothing is lost or done twice by that.
    """
    from schemas.registry import RegistryError  # noqa: PLC0415
    from streams.app import run_worker  # noqa: PLC0415 - imports Faust
    from streams.settings import Settings, SettingsError  # noqa: PLC0415

    try:
        code = run_worker(Settings())
    except SettingsError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(78) from None
    except RegistryError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(1) from None
    raise typer.Exit(code)
