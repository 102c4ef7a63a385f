"""`sada demo`: a living shop."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

# The short form, for continuous integration: a minute in all.
SHORT_CUSTOMERS, SHORT_DAYS = 200, 30


def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running at the end, until Ctrl-C.")] = False,
    short: Annotated[
        bool, typer.Option("--short", help=f"{SHORT_CUSTOMERS} customers, {SHORT_DAYS} days: for tests.")
    ] = False,
    customers: Annotated[int, typer.Option(min=20, max=100_000, help="How many customers the shop has.")] = 2_000,
    days: Annotated[int, typer.Option(min=2, max=366, help="How many days pass.")] = 120,
    var: Annotated[Path, typer.Option("--var", help="Folder of the demo; emptied at the start.")] = Path("var/demo"),
    seed: Annotated[int, typer.Option(help="Of the shop's customers: another seed, other people.")] = 7,
) -> None:
    """Watch a living shop: customers of many channels, understood, answered, and answering, on a real Kafka.

    Two thousand simulated customers with tastes, patience and moods of their own use web, app, e-mail, call centre
    and tills through real SDKs and Kafka producers, four months in a few minutes, since time is the stream's.
    They react to the messages that really reach them. At the end there are var/demo/report.html and
    var/reports/demo.json; the exit code is 0 when no signal was lost or doubled.
    """
    from rich.console import Console  # noqa: PLC0415 - the command line answers --help without it

    try:
        from deploy.demo.clients import ClientError  # noqa: PLC0415
        from deploy.demo.stage import Options, run  # noqa: PLC0415
        from deploy.local.processes import StackError  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        typer.echo(f"The demo needs {missing.name}, which comes with the extra dev: pip install 'sada[dev]'", err=True)
        raise typer.Exit(2) from missing
    if short:
        customers, days = SHORT_CUSTOMERS, SHORT_DAYS
    console = Console()
    try:
        code = run(Options(var=var, customers=customers, days=days, keep=keep, seed=seed), console)
    except (StackError, ClientError) as error:
        Console(stderr=True).print(f"{error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        typer.echo("Stopped; nothing is left running.")
        raise typer.Exit(130) from None
    raise typer.Exit(code)
