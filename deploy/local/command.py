"""`sada up`, `sada down`, `sada status`: the stack on this machine."""

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from deploy.local.up import UpFile

VarOption = Annotated[Path, typer.Option("--var", envvar="SADA_VAR", help="Folder of all state, logs and reports.")]

# The example shop's actions: what a newcomer sees first.
_CATALOGUE = Path(__file__).with_name("catalogue.yaml")

# Kafka may take its 30 s of grace, the tier above it 15 s, and all of it some more on a busy machine.
_DOWN_TIMEOUT_S = 90


def up(
    *,
    var: VarOption = Path("var"),
    gateway_port: Annotated[
        int, typer.Option(envvar="SADA_HTTP_PORT", help="Port of the collection API, the customer API and the page.")
    ] = 8400,
    kafka_port: Annotated[
        int, typer.Option(envvar="SADA_KAFKA_PORT", help="Port of Kafka; 0 takes a free one.")
    ] = 9192,
    redis_port: Annotated[
        int, typer.Option(envvar="SADA_REDIS_PORT", help="Port of Redis; 0 takes a free one.")
    ] = 6479,
    workers: Annotated[int, typer.Option(min=1, help="Workers: each may use one core.")] = 2,
    catalogue: Annotated[
        Path,
        typer.Option(
            envvar="SADA_CATALOGUE", help="Actions to publish when the file is new or changed.", dir_okay=False
        ),
    ] = _CATALOGUE,
) -> None:
    """Run Kafka, Redis and all of Sada on this machine until Ctrl-C.

    State stays in the folder var/ between runs; each process writes var/logs/NAME.log and is started again when it
    dies. When all is ready, var/up.json holds every address, a write key for the collection API and a key for the
    customer API.

    SADA_KAFKA or SADA_REDIS, when set, name a Kafka or Redis of your own that is used instead (SADA_KAFKA_SECURITY,
    SADA_KAFKA_USER, SADA_KAFKA_PASSWORD and SADA_KAFKA_CA secure the way to it).
    """
    from rich.console import Console  # noqa: PLC0415 - the command line answers --help without it

    from deploy.local import topology  # noqa: PLC0415
    from deploy.local.processes import StackError  # noqa: PLC0415
    from deploy.local.up import Options, run  # noqa: PLC0415
    from deploy.local.view import StackView  # noqa: PLC0415

    options = Options(
        var=var,
        gateway_port=gateway_port,
        kafka_port=kafka_port,
        redis_port=redis_port,
        catalogue=catalogue,
        rows=topology.with_workers(workers),
    )
    console = Console()
    try:
        with StackView(console) as view:
            run(options, view.say, show=view.show, ready=view.ready)
    except StackError as error:
        Console(stderr=True).print(f"{error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None


def down(var: VarOption = Path("var")) -> None:
    """Stop the stack that `sada up` runs in var/; its state stays."""
    from deploy.local.preflight import owner  # noqa: PLC0415

    pid = owner(var)
    if pid is None:
        typer.echo(f"Nothing runs in {var.resolve()}.")
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_TIMEOUT_S
    while owner(var) == pid:
        if time.monotonic() > deadline:
            typer.echo(
                f"`sada up` (pid {pid}) still runs after {_DOWN_TIMEOUT_S} s; its logs are in {var / 'logs'}.", err=True
            )
            raise typer.Exit(1)
        time.sleep(0.1)
    typer.echo(f"Stopped `sada up` (pid {pid}). Its state stays in {var.resolve()}.")


def status(var: VarOption = Path("var")) -> None:
    """Show what runs in var/ and where; exit 1 when something does not."""
    from rich.console import Console  # noqa: PLC0415

    from deploy.local.preflight import owner  # noqa: PLC0415
    from deploy.local.view import status_table  # noqa: PLC0415

    pid = owner(var)
    stack = _read(var) if pid is not None else None
    if pid is None:
        typer.echo(f"Nothing runs in {var.resolve()}. Start it with `sada up`.")
    elif stack is None:
        typer.echo(f"`sada up` (pid {pid}) is starting or stopping; its logs are in {var / 'logs'}.")
    else:
        Console().print(status_table(stack))
    if stack is None or any(process.state != "ready" for process in stack.processes):
        raise typer.Exit(1)


def _read(var: Path) -> "UpFile | None":
    import msgspec  # noqa: PLC0415

    from deploy.local.up import UpFile  # noqa: PLC0415

    try:
        return msgspec.json.decode((var / "up.json").read_bytes(), type=UpFile)
    except FileNotFoundError:
        return None
