"""``sada import``: files become signals."""

from pathlib import Path
from typing import Annotated

import typer


def import_file(  # noqa: PLR0917 - typer's options
    file: Annotated[Path, typer.Argument(help="CSV, JSON Lines or Parquet.")],
    mapping: Annotated[Path, typer.Option(help="Which columns become what: YAML or JSON.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, write nothing.")] = False,
    rejects: Annotated[
        Path | None, typer.Option(help="Where rejected rows go, as CSV. Default: beside the checkpoint in var/imports.")
    ] = None,
    dead_letter: Annotated[
        bool, typer.Option("--dead-letter", help="Rejected rows also go to the dead letters.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="Import a finished file once more. The signals keep their ids; the pipeline drops those that it still "
            "remembers (the last 64 of each customer's facet), so history may count twice.",
        ),
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option(min=0.1, help="At most so many signals a second: leaves room for live traffic, and for learning."),
    ] = None,
) -> None:
    """Import a file of customers' past: every row, or group of rows, becomes one signal.

    Exactly once: signals are written in Kafka transactions that hold the position in the file, so an import that is
    stopped or killed goes on where it was when it is started again, and a finished one does nothing.

    A row that cannot be used goes to the rejects file with its line and the reason; the others go on.

    The mapping, at its shortest:

        name: web-orders
        kind: transaction
        signal: order_completed
        id:
          - order_no
        time: {column: created_at, zone: Asia/Tehran}
        identifiers:
          - {kind: email, column: mail}
        payload:
          type: {const: order}
          order_id: order_no
          currency: {const: EUR}
          amount_minor: {column: total, minor: 2}

    More, with groups, lists and conversions: connectors/files/mapping.py.
    """
    from connectors.files.located import FileError  # noqa: PLC0415 - `sada --help` must not wait for Kafka's library
    from connectors.files.session import Options, run  # noqa: PLC0415
    from streams.generations import live_settings  # noqa: PLC0415
    from streams.logs import configure  # noqa: PLC0415
    from streams.settings import Settings, SettingsError  # noqa: PLC0415

    configure("import")
    options = Options(
        file=file, mapping=mapping, dry_run=dry_run, rejects=rejects, dead_letter=dead_letter, again=again, rate=rate
    )
    try:
        settings = Settings()
        # A dry run needs no Kafka.
        code = run(settings if dry_run else live_settings(settings), options)
    except (FileError, SettingsError) as exc:
        typer.echo(f"sada import: {exc}", err=True)
        raise typer.Exit(2) from exc
    raise typer.Exit(code)
