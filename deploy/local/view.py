"""What `sada up` shows: a table that follows the processes, or a line for each thing that happened.

``LiveView`` is the frame of every live view of ours.
"""

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.local.supervisor import Child, State
from deploy.local.up import UpFile

# Redrawing four times a second looks live and costs under 1 % of a core.
_REDRAW_EVERY_S = 0.25

_STYLES = {State.READY: "green", State.STARTING: "yellow", State.WAITING: "yellow", State.LOOPING: "bold red"}


class LiveView:
    """A picture that is redrawn in a terminal, and sentences, which are all that a log gets.

    Parameters
    ----------
    console : where to
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._drawn_at = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, sentence: str) -> None:
        """Show a thing that happened."""
        # What a child wrote may stand in it: shown as it is, never as markup.
        self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def draw(self, picture: Callable[[], RenderableType]) -> bool:
        """Redraw the picture when it is time; say whether there is a terminal for it at all."""
        if self._live is None:
            return False
        now = time.monotonic()
        if now - self._drawn_at >= _REDRAW_EVERY_S:
            self._drawn_at = now
            self._live.update(picture(), refresh=True)
        return True


class StackView(LiveView):
    """The stack in a terminal or in a log."""

    def show(self, children: Sequence[Child]) -> None:
        """Show the processes as they are now."""
        self.draw(lambda: _children_table(children))

    def ready(self, stack: UpFile) -> None:
        """Say that all is up, and where."""
        self.say("")
        for line in _where(stack):
            self.say(line)
        self.say("Ctrl-C stops it; var/up.json holds all addresses and keys.")
        self.say("")


def _children_table(children: Sequence[Child]) -> Table:
    table = _table()
    for child in children:
        _add(
            table,
            name=child.spec.name,
            pid=child.process.pid,
            state=child.state,
            restarts=child.restarts,
            log=str(child.log),
        )
    return table


def status_table(stack: UpFile) -> Table:
    """Return the table of a stack that another process runs."""
    table = _table()
    table.caption = "\n".join(_where(stack))
    for process in stack.processes:
        _add(
            table,
            name=process.name,
            pid=process.pid,
            state=State(process.state),
            restarts=process.restarts,
            log=f"logs/{process.name}.log",
        )
    return table


def _where(stack: UpFile) -> list[str]:
    return [
        f"Customers' page  {stack.desk}",
        f"Collection API   {stack.gateway}  (write key {stack.write_key})",
        f"Kafka            {stack.kafka}",
    ]


def _table() -> Table:
    table = Table("process", "pid", "state", "restarts", "log", title="Sada", title_justify="left")
    table.caption_justify = "left"
    return table


def _add(table: Table, *, name: str, pid: int, state: State, restarts: int, log: str) -> None:
    table.add_row(name, str(pid), Text(state.value, style=_STYLES.get(state, "")), str(restarts or ""), Text(log))
