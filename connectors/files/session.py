"""One run of `sada import`: what was done before, the bar, Ctrl-C, the table and the report."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from connectors.files import checkpoint
from connectors.files.checkpoint import Progress
from connectors.files.importer import Counts, Importer, ImportFailedError, Sink, starting_point
from connectors.files.located import FileError
from connectors.files.mapping import Rules, load
from connectors.files.rejects import Rejects
from connectors.files.rows import Place, Reader, reader_of
from connectors.files.shape import RowError, Shaper
from schemas.identifiers import Hasher
from streams.settings import Settings

# Exit codes: as the shell's own for a process ended by SIGINT.
INTERRUPTED = 130
FAILED = 1


class Options(NamedTuple):
    """What the command line says."""

    file: Path
    mapping: Path
    dry_run: bool = False
    rejects: Path | None = None
    dead_letter: bool = False
    again: bool = False
    rate: float | None = None


class _Interrupt:
    """Remembers SIGINT and SIGTERM: the import ends between two rows, with a checkpoint."""

    def __init__(self) -> None:
        self.seen = False

    @contextmanager
    def heeded(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._see) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _see(self, *_: Any) -> None:
        self.seen = True


def run(settings: Settings, options: Options, *, console: Console | None = None) -> int:
    """Import a file; return the exit code.

    Raises
    ------
    FileError, SettingsError
        when file, mapping or settings cannot be used; nothing is written then
    """
    console = console or Console(stderr=True)
    if options.rejects is not None and options.rejects.resolve() in (options.file.resolve(), options.mapping.resolve()):
        raise FileError(f"{options.rejects}: rejected rows would overwrite what is imported")
    rules = load(options.mapping, settings.identity_rules().priority)
    reader = reader_of(options.file, rules)
    shaper = _shaper(rules, reader, settings)
    digest = checkpoint.digest_of(options.file, options.mapping)
    saved = settings.var / "imports" / f"{digest}.json"
    sink = None if options.dry_run else Sink(settings, rules, digest)
    interrupt = _Interrupt()
    started = time.monotonic()
    try:
        start = _start(reader, sink, saved, again=options.again)
        if start.done:
            console.print(f"{options.file} is imported already: {start.signals:,} signals. --again imports it again.")
            counts = Counts()
            _report(settings, rules, options, digest=digest, end=start, counts=counts, state="imported", seconds=0.0)
            return 0

        def told_or_paced() -> bool:
            _pace(importer.counts.signals - start.signals, started, options.rate)
            return interrupt.seen

        rejects = None
        if not options.dry_run:
            rejects = Rejects(options.rejects or saved.with_suffix(".rejects.csv"), start.rejects_bytes)
        with interrupt.heeded(), _bar(console, options.file.name, reader.size, start.offset) as bar:
            importer = Importer(
                rules,
                reader,
                shaper,
                file=options.file.name,
                sink=sink,
                rejects=rejects,
                letters=options.dead_letter,
                watch=bar,
                stop=told_or_paced,
                committed=lambda progress: checkpoint.write(saved, progress),
            )
            end = importer.run(start)
    except ImportFailedError as exc:
        console.print(f"[red]{exc}[/red]\nWhat was committed stays. The same command goes on from there.")
        return FAILED
    finally:
        if sink is not None:
            sink.close()
    if rejects is not None:
        rejects.close()
    state = "completed" if end.done else "interrupted"
    if options.dry_run:
        state = "checked"
    seconds = time.monotonic() - started
    rows = end.rows - start.rows
    _show(console, importer, shaper, rejects, options=options, state=state, rows=rows, seconds=seconds)
    _report(settings, rules, options, digest=digest, end=end, counts=importer.counts, state=state, seconds=seconds)
    return 0 if end.done else INTERRUPTED


def _pace(signals: int, started: float, rate: float | None) -> None:
    """Wait while the import is ahead of its rate; in short sleeps, so that Ctrl-C is heeded."""
    if rate is not None:
        ahead_s = started + signals / rate - time.monotonic()
        if ahead_s > 0:
            time.sleep(min(ahead_s, 0.5))


def _shaper(rules: Rules, reader: Reader, settings: Settings) -> Shaper:
    try:
        hasher = Hasher(settings.secret("node_key"))
        return Shaper(rules, reader.columns, reader.whole, hasher=hasher, identity=settings.identity_rules())
    except RowError as exc:  # a constant or default of the mapping that does not fit its field
        raise FileError(f"the mapping: {exc}") from exc


def _start(reader: Reader, sink: Sink | None, saved: Path, *, again: bool) -> Progress:
    fresh = Progress(offset=reader.start.offset, line=reader.start.line)
    if sink is None:
        return fresh
    known = starting_point(reader, sink.begin(), checkpoint.read(saved))
    if again and known.done:
        saved.unlink(missing_ok=True)  # or it would be ahead of what the new run commits
        return fresh
    return known


@contextmanager
def _bar(console: Console, name: str, size: int, begun: int) -> Iterator[Any]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[signals]:,} signals, {task.fields[rejected]:,} rejected"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=size, completed=begun, signals=0, rejected=0)

        def watch(place: Place, counts: Counts) -> None:
            bar.update(task, completed=place.offset, signals=counts.signals, rejected=counts.rejected)

        yield watch


def _show(
    console: Console,
    importer: Importer,
    shaper: Shaper,
    rejects: Rejects | None,
    *,
    options: Options,
    state: str,
    rows: int,
    seconds: float,
) -> None:
    counts = importer.counts
    table = Table(title=f"{options.file.name}: {state}", title_justify="left", show_header=False)
    for name, number in (
        ("rows", counts.rows),
        ("signals", counts.signals),
        ("rejected", counts.rejected),
        ("skipped by where", counts.skipped),
        *((f"  rejected: {code}", n) for code, n in counts.codes.most_common()),
        *((f"  identifier left out: {code}", n) for code, n in shaper.unused.items()),
    ):
        table.add_row(name, f"{number:,}")
    table.add_row("rows a second", f"{rows / max(seconds, 1e-9):,.0f}")
    console.print(table)
    if rejects is not None and counts.rejected:
        console.print(f"Rejected rows, with line and reason: {rejects.path}")
    for sample in importer.samples:
        console.print_json(msgspec.json.encode(sample).decode())
    if state == "interrupted":
        console.print("Interrupted; the same command goes on from here.")


def _report(
    settings: Settings,
    rules: Rules,
    options: Options,
    *,
    digest: str,
    end: Progress,
    counts: Counts,
    state: str,
    seconds: float,
) -> None:
    """Write the report for scripts: var/reports/import-NAME.json."""
    path = settings.var / "reports" / f"import-{rules.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        msgspec.json.format(
            msgspec.json.encode(
                {
                    "name": rules.name,
                    "file": str(options.file),
                    "digest": digest,
                    "state": state,
                    "rows": end.rows,
                    "signals": end.signals,
                    "rejected": end.rejected,
                    "skipped": end.skipped,
                    "rejected_by_code": dict(counts.codes),
                    "seconds": round(seconds, 3),
                }
            )
        )
    )
