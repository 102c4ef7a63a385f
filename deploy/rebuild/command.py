"""``sada rebuild``: other rules of identity or another number of partitions, beside the live system."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from deploy.rebuild.diff import Diff
    from deploy.rebuild.rebuild import Rebuild


def rebuild(
    *,
    partitions: Annotated[int | None, typer.Option(min=1, max=1024, help="Of the customers' topics.")] = None,
    identity: Annotated[Path | None, typer.Option(help="The new identity.yaml.", dir_okay=False, exists=True)] = None,
    rules: Annotated[Path | None, typer.Option(help="The new rules.yaml.", dir_okay=False, exists=True)] = None,
    replication: Annotated[int, typer.Option(help="Replicas of each new partition: 3 in production.")] = 1,
    yes: Annotated[bool, typer.Option("--yes", help="Switch without asking when the new generation is ready.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be lost and end; make nothing.")] = False,
    build_only: Annotated[bool, typer.Option("--build-only", help="Build and compare, do not switch yet.")] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Go on where old signals are kept no more: what only they told goes.")
    ] = False,
    drop: Annotated[str | None, typer.Option(help="Remove a generation that is not live, with its topics.")] = None,
) -> None:
    """Change the rules of identity or the number of partitions: replay all signals into a new generation, then switch.

    The new generation is built beside the live one, by the same workers (they begin anew once, to host both), from the
    signals that Kafka keeps, in order of time. It decides nothing: what was decided and sent is taken over from the
    topic decisions. Operators' cuts, merges and erasures bind it from its first record on.

    When it has caught up you see who comes together and who parts, and are asked. The switch takes a second or two, in
    which signals are accepted and wait. Each is decided upon by exactly one generation, and no action is sent twice.
    Interrupted at any point, run it again: it goes on.
    """
    from deploy.rebuild.log import RebuildError  # noqa: PLC0415 - `sada --help` must not wait for Kafka's library
    from deploy.rebuild.rebuild import Rebuild  # noqa: PLC0415
    from schemas.admin import TopicsError  # noqa: PLC0415
    from streams.settings import Settings, SettingsError  # noqa: PLC0415

    try:
        work = Rebuild(Settings(), typer.echo, replication=replication)
        if drop is not None:
            work.drop(drop)
            return
        _check_loss(work, accept_loss=accept_loss or dry_run)
        if not dry_run:
            _run(work, partitions, identity, rules, yes=yes, build_only=build_only)
    except (RebuildError, SettingsError, TopicsError) as error:
        typer.echo(f"sada rebuild: {error}", err=True)
        raise typer.Exit(1) from None


def _check_loss(work: "Rebuild", *, accept_loss: bool) -> None:
    lost = work.loss()
    if not lost:
        typer.echo("All signals since the beginning are kept: nothing would be lost.")
        return
    typer.echo(f"{lost} customers are older than the oldest signals kept: what only those told would be lost.")
    if not accept_loss:
        raise typer.Exit(3)


def _run(
    work: "Rebuild",
    partitions: int | None,
    identity: Path | None,
    rules: Path | None,
    *,
    yes: bool,
    build_only: bool,
) -> None:
    known = work.make(partitions, identity, rules)
    typer.echo(f"{known.name} from {known.before}: {known.partitions} partitions; workers begin anew to host it.")
    copier, past = work.copier(known)
    try:
        if not copier.open():
            work.first(known, copier, past)
        with _bar() as bar:
            task = bar.add_task(known.name, total=None, left=0, behind=0, rate=0.0)

            def show(copied: int, left: int, behind: int, rate: float) -> None:
                bar.update(task, completed=copied, total=copied + left, left=left, behind=behind, rate=rate)

            work.follow(known, copier, show)
        diff = work.diff(known, copier)
        _show(diff)
        place = work.report(known, diff, copied=copier.copied, left_out=past.left_out)
        typer.echo(f"All of it is in {place}.")
        if diff.withdrawals_lost:
            typer.echo(
                f"{len(diff.withdrawals_lost)} withdrawals of consent would be lost: not switched. Somebody was parted "
                f"from what they took back, by a split since this began or by the rules: `sada rebuild --drop "
                f"{known.name}`, then rebuild again; what operators have ruled by then comes first.",
                err=True,
            )
            raise typer.Exit(4)
        if build_only or not (yes or typer.confirm(f"Switch to {known.name}?")):
            typer.echo("Not switched. Run it again to go on, or remove it with --drop.")
            return
        seconds = work.switch(known, copier)
        typer.echo(f"{known.name} is live; for {seconds:.1f} s signals were accepted and waited.")
        typer.echo(f"{work.carry(copier)} records carried over from the old topics since.")
        work.report(known, diff, copied=copier.copied, left_out=past.left_out, switch_s=seconds)
    finally:
        copier.close()


def _bar() -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    words = ("{task.completed:,.0f} copied", "{task.fields[rate]:,.0f}/s", "{task.fields[left]:,} to go")
    ends = (TextColumn("{task.fields[behind]:,} behind"), TimeElapsedColumn())
    return Progress(TextColumn("{task.description}"), BarColumn(), *map(TextColumn, words), *ends)


def _show(diff: "Diff") -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("customers", "number", title="Before and after")
    for word, number in (
        ("before", diff.before),
        ("after", diff.after),
        ("the same", diff.same),
        ("of them under another id", diff.moved),
        ("after, of several before", diff.merged),
        ("before, in several after", diff.split),
        ("only before", diff.only_before),
        ("only after", diff.only_after),
        ("withdrawals of consent lost", len(diff.withdrawals_lost)),
    ):
        table.add_row(word, f"{number:,}")
    console = Console()
    console.print(table)
    for rule in diff.rules:
        console.print(f"rule: {rule}", markup=False)
    if diff.changes:
        changes = Table("change", "customer", "of or into", "identifiers", "because", title="Largest changes")
        for each in diff.changes:
            kinds = ", ".join(f"{number} {kind}" for kind, number in each["kinds"].items())
            because = "\n".join(each["because"]) or "order of signals, partitions or rulings"
            changes.add_row(each["change"], each["customer"][:12], str(len(each["others"])), kinds, because)
        console.print(changes)
