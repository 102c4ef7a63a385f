"""``sada identity check``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from schemas.identity_rules import NearRules


def check(file: Annotated[Path, typer.Argument(help="Rules in YAML; see deploy/identity.example.yaml.")]) -> None:
    """Check the rules of identity without using them.

    Prints every problem at once as FILE:LINE:COLUMN: FIELD: what is wrong and what to do, and exits with 1.
    """
    from schemas.identity_file import DocumentError, read_rules  # noqa: PLC0415 - --help answers without them

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
    typer.echo(f"{file}: good. Strongest first: {', '.join(rules.priority)}.")
    typer.echo(f"Near matches: {_near(rules.near)}")


def _near(near: "NearRules | None") -> str:
    if near is None:
        return "off. Who typed an identifier wrongly stays two customers; `near: {review: 0.5}` looks for them."
    asked = f"from {near.review:.0%} on a person is asked"
    if near.automatic is None:
        return f"{asked} (`sada identity review`); none is linked without one."
    return f"{asked}, from {near.automatic:.0%} on they are linked."
