"""``sada catalogue check``, ``publish`` and ``show``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streams.core.catalogue import Catalogue

File = Annotated[Path, typer.Argument(help="Catalogue in YAML; see deploy/local/catalogue.yaml.")]

EXIT_REFUSED = 1
# 69, EX_UNAVAILABLE: nothing is wrong with the file; Kafka does not answer.
EXIT_UNAVAILABLE = 69


def check(file: File) -> None:
    """Check a catalogue without publishing it.

    Prints every problem at once as FILE:LINE:COLUMN: FIELD: what is wrong and what to do, and exits with 1. No Kafka
    is needed.
    """
    catalogue = _read(file)
    typer.echo(f"{file}: good. Version {catalogue.version[:12]}.")
    _summary(catalogue)


def publish(file: File) -> None:
    """Check a catalogue and make it live: every worker takes it within a second, without a restart.

    A bad file is refused and nothing changes. Publishing the same again writes nothing.
    """
    from streams.agents import catalogue as live  # noqa: PLC0415 - the command line answers --help without Kafka
    from streams.settings import Settings  # noqa: PLC0415

    catalogue = _read(file)
    try:
        written = live.publish(Settings(), catalogue)
    except live.CatalogueError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(EXIT_UNAVAILABLE) from None
    typer.echo(f"Version {catalogue.version[:12]} {'is live now' if written else 'was live already'}.")


def show(
    document: Annotated[bool, typer.Option("--document", help="Print the document itself, as JSON.")] = False,
) -> None:
    """Show the catalogue that is live."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from streams.agents import catalogue as live  # noqa: PLC0415
    from streams.settings import Settings  # noqa: PLC0415

    try:
        found = live.read_live(Settings())
    except live.CatalogueError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(EXIT_UNAVAILABLE) from None
    if found.current is None:
        typer.echo("No catalogue is live: publish one with `sada catalogue publish FILE`.", err=True)
        raise typer.Exit(EXIT_REFUSED)
    if document:
        typer.echo(found.current.document.decode())
        return
    at = datetime.fromtimestamp(found.published_at_ms / 1000, UTC)
    typer.echo(f"Version {found.current.version}, published {at:%Y-%m-%d %H:%M:%S} UTC.")
    _summary(found.current)


def read_file(file: Path) -> "Catalogue":
    """Return the catalogue of a file.

    Raises
    ------
    DocumentError
        when it cannot be read or is refused, with every problem
    """
    from schemas.document import MAX_CHARACTERS, DocumentError, Problem  # noqa: PLC0415
    from streams.core.catalogue_check import read_catalogue  # noqa: PLC0415 - loads the compilers

    # At most 4 bytes a character; what is longer is refused without being read.
    limit = 4 * MAX_CHARACTERS
    name = str(file)
    try:
        with file.open("rb") as stream:
            raw = stream.read(limit + 1)
        text = raw[:limit].decode("utf-8-sig")
    except OSError as exc:
        raise DocumentError([Problem(name, 1, 1, "", f"cannot be read: {exc.strerror}")]) from None
    except UnicodeDecodeError as exc:
        before = raw[: exc.start]
        column = exc.start - (before.rfind(b"\n") + 1) + 1
        problem = f"byte {raw[exc.start]:#04x} is not UTF-8: save the file as UTF-8"
        raise DocumentError([Problem(name, before.count(b"\n") + 1, column, "", problem)]) from None
    if len(raw) > limit:
        raise DocumentError([Problem(name, 1, 1, "", f"is larger than {limit} bytes: split it")])
    return read_catalogue(text, name)


def _read(file: Path) -> "Catalogue":
    from schemas.document import DocumentError  # noqa: PLC0415

    try:
        return read_file(file)
    except DocumentError as exc:
        typer.echo(str(exc), err=True)
        count = len(exc.problems)
        typer.echo(f"Refused: {count} problem{'s' if count > 1 else ''}. Nothing was published.", err=True)
        raise typer.Exit(EXIT_REFUSED) from None


def _summary(catalogue: "Catalogue") -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=f"{len(catalogue.actions)} actions, {len(catalogue.triggers)} triggers")
    for column in ("action", "purpose", "upon", "treatments", f"value {catalogue.currency}", "goal"):
        table.add_column(column)
    for action in catalogue.actions.values():
        upon = [name for name, trigger in catalogue.triggers.items() if action in trigger.actions]
        treatments = ", ".join(f"{t.id} ({t.channel}: {'/'.join(t.texts)})" for t in action.treatments)
        days = action.within_ms / 86_400_000
        table.add_row(
            action.id, action.purpose, ", ".join(upon), treatments, f"{action.value:g}", f"{action.goal} in {days:g} d"
        )
    Console().print(table)
    policy = catalogue.policy
    typer.echo(
        f"Control group {policy.control_share:.0%}, exploration {policy.exploration:.1%},"
        f" quiet hours on {', '.join(policy.quiet_hours) or 'no channel'}."
    )
