"""``sada topics`` and ``sada worker``."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streams.settings import Settings


def topics(
    *,
    replication: Annotated[int, typer.Option(help="Replicas of each partition: 3 in production.")] = 1,
    alter: Annotated[
        bool, typer.Option("--alter", help="Bring the settings of topics that exist in line: retention, compaction.")
    ] = False,
) -> None:
    """Create the topics that are missing, and say what does not fit of those that are there.

    May be run again at any time. What exists is checked against the table in schemas/topics.py and against SADA_*_DAYS,
    and changed with --alter only: a shorter retention deletes what is older, for good.
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
            alter=alter,
        )
    except TopicsError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{len(report.created)} topics created, {len(report.existing)} were there.")
    for each in report.differing:
        said = "was {}, is now {}" if alter else "is {}, should be {}"
        typer.echo(f"{each.topic}: {each.setting} {said.format(each.has, each.wants)}")
    if settings.schema_registry:
        typer.echo(f"{_register(settings)} subjects registered, FULL_TRANSITIVE.")
    if report.differing and not alter:
        typer.echo("Nothing of these was changed; `sada topics --alter` does.", err=True)


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
