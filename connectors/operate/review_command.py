"""``sada identity review``: who may be one person, side by side, and your word on it."""

import getpass
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from connectors.operate.reviews import Review
    from connectors.operate.session import Session

# Questions of one sitting.
_MOST = 100
_WAIT_S = 30.0

_STYLES = {"same": "green", "near": "green3", "similar": "yellow", "differs": "red", "": "dim"}
_VERDICTS = {"same": True, "different": False}

Listed = Annotated[bool, typer.Option("--list", help="Show the queue and ask nothing.")]
Answered = Annotated[
    tuple[str, str] | None,
    typer.Option("--answer", metavar="ID same|different", help="Answer one question.", show_default=False),
]
Reason = Annotated[
    str | None,
    typer.Option(help="Why, 3 to 500 characters, kept for ever: name the ticket, not the person.", show_default=False),
]
By = Annotated[str | None, typer.Option(help="Who answers; your login name unless you say.", show_default=False)]


def review(*, listed: Listed = False, answer: Answered = None, reason: Reason = None, by: By = None) -> None:
    """Answer whether two customers are one person: near matches that were found between them.

    Both golden records are shown side by side, the most probable pair first: y (one person, they are merged), n (two
    people, never asked again), s (skip) or q (quit). Each answer teaches what a name, a birthday or a street is worth.
    An answer is a ruling: `sada identity cut` undoes a merge, `sada identity merge` a "different".

    sada identity review --list

    sada identity review --answer 3f1c…e2 same --reason "passport seen, ticket 4711"
    """
    from connectors.operate.command import with_session  # noqa: PLC0415 - `sada --help` must not wait for it

    name = by or getpass.getuser()

    def run(session: "Session") -> None:
        from rich.console import Console  # noqa: PLC0415

        console = Console()
        if listed:
            _list(session, console)
        elif answer is not None:
            _answer_one(session, console, answer, reason, name)
        else:
            _ask_all(session, console, reason, name)

    with_session(run)


def _list(session: "Session", console: "Console") -> None:
    from rich.table import Table  # noqa: PLC0415 - `sada --help` must not wait for it

    table = Table("id", "one person", "one household", "one", "the other", "found")
    for _, asked in session.reviews(_MOST):
        names = (_plain(name) or "?" for name in asked.names)
        day = time.strftime("%Y-%m-%d", time.gmtime(asked.since_ms / 1000))
        table.add_row(asked.id, f"{asked.match:.1%}", f"{asked.household:.1%}", *names, day)
    console.print(table if table.row_count else "Nothing is to be reviewed.")


def _answer_one(session: "Session", console: "Console", answer: tuple[str, str], reason: str | None, by: str) -> None:
    from connectors.operate.reviews import is_id  # noqa: PLC0415 - `sada --help` must not wait for it
    from connectors.operate.rulings import RulingError  # noqa: PLC0415

    id_, verdict = answer
    if verdict not in _VERDICTS:
        raise RulingError("bad-answer", f"an answer is {' or '.join(_VERDICTS)}, not {verdict[:20]!r}")
    found = session.review(id_) if is_id(id_) else None
    if found is None:
        raise RulingError("not-found", "this question is settled already, or never was: look with --list")
    if reason is None:
        raise RulingError("bad-reason", "say why with --reason")
    _rule(session, console, found[0], same=_VERDICTS[verdict], reason=reason, by=by)


def _ask_all(session: "Session", console: "Console", reason: str | None, by: str) -> None:
    asked = 0
    for match, question in session.reviews(_MOST):
        asked += 1
        _show(console, question)
        said = _choice()
        if said == "q":
            break
        if said == "s":
            continue
        why = reason or typer.prompt("Why (3 to 500 characters; name the ticket, not the person)")
        _rule(session, console, match, same=said == "y", reason=why, by=by)
    if not asked:
        console.print("Nothing is to be reviewed.")


def _choice() -> str:
    while True:
        said = str(typer.prompt("One person? y, n, s(kip), q(uit)")).strip().lower()[:1]
        if said in {"y", "n", "s", "q"}:
            return said


def _show(console: "Console", asked: "Review") -> None:
    """Show both golden records side by side."""
    from rich.table import Table  # noqa: PLC0415 - `sada --help` must not wait for it
    from rich.text import Text  # noqa: PLC0415

    head = f"one person {asked.match:.1%}, one household {asked.household:.1%}  ({asked.id})"
    table = Table("", "one", "the other", "", title=head)
    for row in asked.rows:
        style = _STYLES[row.agreement]
        cells = (Text(_plain(value), style=style) for value in (row.one, row.other))
        table.add_row(row.name.replace("_", " "), *cells, Text(row.agreement, style=style))
    told = ("\n".join(f"{m['kind']} {_plain(m['value'])}" for m in side) for side in asked.members)
    table.add_row("identifiers", *told, "")
    console.print(table)
    if asked.limit:
        console.print(
            f"[yellow]One customer of both would have more than one {asked.limit}: they are merged all the same.[/]"
        )


def _rule(
    session: "Session", console: "Console", match: Mapping[str, Any], *, same: bool, reason: str, by: str
) -> None:
    from connectors.operate.preview import came_of  # noqa: PLC0415 - `sada --help` must not wait for it
    from connectors.operate.reviews import ruling_of  # noqa: PLC0415

    at_ms = time.time_ns() // 1_000_000
    made = ruling_of(match, same=same, reason=reason, by=by, id_=uuid.uuid4().hex, at_ms=at_ms)
    session.produce(made)
    console.print(f"Ruling {made.id} is kept.")
    told = session.wait(made.id, _WAIT_S)
    for line in came_of(told) if told is not None else ():
        console.print(line)


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
