"""``sada rules check``."""

from pathlib import Path
from typing import Annotated

import typer


def check(file: Annotated[Path, typer.Argument(help="Rules in YAML; see deploy/local/rules.yaml.")]) -> None:
    """Check the golden record's rules without using them: which values survive, what signals must keep.

    Prints every problem at once as FILE:LINE:COLUMN: FIELD: what is wrong and what to do, and exits with 1.
    """
    from schemas.document import DocumentError  # noqa: PLC0415 - --help answers without them
    from streams.core.rules_check import read_rules  # noqa: PLC0415

    try:
        rules = read_rules(file.read_text("utf-8-sig"), str(file))
    except OSError as exc:
        typer.echo(f"{file}: cannot be read: {exc.strerror}", err=True)
        raise typer.Exit(1) from None
    except UnicodeDecodeError as exc:
        typer.echo(f"{file}: byte {exc.start} is not UTF-8: save the file as UTF-8", err=True)
        raise typer.Exit(1) from None
    except DocumentError as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(1) from None
    typer.echo(
        f"{file}: good. {len(rules.fields)} fields say which value survives, {len(rules.signals)} rules are held."
    )
