"""``sada privacy erase|status|export``."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from connectors.operate.session import Session
    from streams.settings import Settings

EXIT_REFUSED = 1
# EX_UNAVAILABLE: nothing is wrong with what was asked; Kafka or Redis does not answer.
EXIT_UNAVAILABLE = 69
# EX_TEMPFAIL: the erasure is kept, and nothing came of it yet.
EXIT_PENDING = 75

One = Annotated[str, typer.Argument(metavar="KIND:VALUE", help="For example email:sara@example.com, or node:HEX.")]
Reason = Annotated[str, typer.Option(help="Why, 3 to 500 characters. Kept for ever: name the ticket, not the person.")]
By = Annotated[str | None, typer.Option(help="Who rules; your login name unless you say.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for the identifier again.")]
Show = Annotated[bool, typer.Option("--show", help="Show identifiers in full; they are masked otherwise.")]
Wait = Annotated[float, typer.Option(help="Seconds to wait for what comes of it.", min=0)]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="File to write, for your eyes only. Default: printed.")]

# An erasure travels to its customer within a second; behind a long handshake or a restart it may take this long.
_WAIT_S = 30.0


def erase(
    one: One, *, reason: Reason, by: By = None, yes: Yes = False, show: Show = False, wait: Wait = _WAIT_S
) -> None:
    """Forget a customer: everything of everybody whom this identifier belongs to, for good.

    You are shown who that is, and asked to type the identifier again. All identifiers of the customer are refused from
    then on, in a replay as well. It cannot be undone: the secret that opens the customer's records is destroyed. At the
    end you see what lies where until when: topics that others read end by their retention (SADA_SIGNALS_DAYS, …).

    sada privacy erase email:sara@example.com --reason "her request of 2026-11-20, ticket 4711"
    """
    import getpass  # noqa: PLC0415 - `sada --help` must not wait for it
    import time  # noqa: PLC0415
    import uuid  # noqa: PLC0415

    from connectors.operate.rulings import ERASE, Ruling  # noqa: PLC0415

    def run(session: "Session", settings: "Settings") -> None:
        node = session.node(one)
        at_ms = time.time_ns() // 1_000_000
        made = Ruling(uuid.uuid4().hex, ERASE, node, b"", reason, by or getpass.getuser(), at_ms)
        profile = session.profile(node)
        for line in _will_go(profile, show=show):
            typer.echo(line)
        if not yes and typer.prompt("Type the identifier again to erase, anything else to leave it") != one:
            raise _failed("that is another one: nothing was done")
        session.produce(made)
        typer.echo(f"Ruling {made.id} is kept.")
        told = session.wait(made.id, wait)
        if told is None or told["state"] == "pending":
            typer.echo(f"Nothing came of it within {wait:g} s; ask again: sada privacy status {made.id}", err=True)
            raise typer.Exit(EXIT_PENDING)
        _tell(told, settings)

    _with_session(run)


def status(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As it was printed when the erasure was ruled.")],
) -> None:
    """Show what came of an erasure, and what lies where until when.

    sada privacy status 0f8fad5bd9cb469fa16570867728950e
    """

    def run(session: "Session", settings: "Settings") -> None:
        told = session.rulings([id_]).get(id_)
        if told is None:
            raise _failed(f"no erasure of the last thirteen months is {id_[:64]!r}: check the id")
        if "kind" in told:
            typer.echo(f"{told['kind']} by {told['by']}: {told['reason']}")
        _tell(told, settings)

    _with_session(run)


def export(one: One, *, out: Out = None) -> None:
    """Write all that is held on a person, as JSON: what a request for access asks for.

    The golden record whole, identifiers, consent with its proofs, relations; and of the topics, as far as they reach
    back: the signals that name the person, decisions, actions with their words, dead letters. It reads every topic
    once: some 70 seconds a million signals.

    sada privacy export email:sara@example.com --out sara.json
    """
    import os  # noqa: PLC0415 - `sada --help` must not wait for it
    import time  # noqa: PLC0415

    import orjson  # noqa: PLC0415

    from connectors.privacy.export import whole  # noqa: PLC0415

    def run(session: "Session", _: "Settings") -> None:
        profile = session.profile(session.node(one))
        if profile is None:
            raise _failed("nobody is known by this identifier: check its kind and spelling")
        found = _of_topics(profile, session.live)
        document = whole(profile, found, at_ms=time.time_ns() // 1_000_000)
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2)
        if out is None:
            typer.echo(text.decode())
            return
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text + b"\n")
        counts = ", ".join(f"{len(records)} {section.replace('_', ' ')}" for section, records in found.items())
        typer.echo(f"{out}: the golden record, {counts}.")

    _with_session(run)


def _of_topics(profile: Mapping[str, Any], settings: "Settings") -> dict[str, list[dict[str, Any]]]:
    """Return a person's records by section, with a progress bar on the terminal."""
    from rich.console import Console  # noqa: PLC0415 - `sada --help` must not wait for it
    from rich.progress import Progress  # noqa: PLC0415

    from connectors.privacy.gather import of_topics  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("reading topics", total=None)

        def passed(done: int, of: int) -> None:
            progress.update(bar, completed=done, total=of)

        return of_topics(profile, settings, passed)


def _will_go(profile: Mapping[str, Any] | None, *, show: bool) -> list[str]:
    """Return who is about to be erased, in lines."""
    from connectors.operate.preview import named  # noqa: PLC0415 - `sada --help` must not wait for it

    if profile is None:
        return ["Nobody is known by this identifier. Erased, it is refused from now on, whatever names it."]
    members = [f"  {named(member, show=show)}" for member in profile["members"]]
    signals = profile.get("history", {}).get("signals", 0)
    return [
        f"Customer {profile['customer'][:8]}… goes for good, with {signals} signals and all of these identifiers:",
        *members,
    ]


def _tell(told: Mapping[str, Any], settings: "Settings") -> None:
    """Show what came of an erasure and what is left."""
    from rich.console import Console  # noqa: PLC0415 - `sada --help` must not wait for it
    from rich.table import Table  # noqa: PLC0415

    from connectors.operate.preview import came_of  # noqa: PLC0415
    from connectors.privacy.places import in_words, places  # noqa: PLC0415

    for line in came_of(told):
        typer.echo(line)
    if told["state"] == "void":
        raise typer.Exit(EXIT_REFUSED)
    table = Table("place", "what lies there still", "gone after", title="What is left, counted from the erasure")
    for place in places(settings.kept_ms()):
        table.add_row(place.place, place.holds, in_words(place.gone_after_ms))
    Console().print(table)


def _with_session(run: "Callable[[Session, Settings], None]") -> None:
    from connectors.operate.rulings import RulingError  # noqa: PLC0415 - `sada --help` must not wait for it
    from connectors.operate.session import AwayError, Session  # noqa: PLC0415
    from connectors.privacy.scan import SilentError  # noqa: PLC0415
    from schemas.identifiers import IdentifierError  # noqa: PLC0415
    from streams.settings import Settings, SettingsError  # noqa: PLC0415

    settings = Settings()
    try:
        run(Session(settings), settings)
    except (RulingError, IdentifierError, SettingsError, OSError) as error:
        raise _failed(error) from None
    except (AwayError, SilentError) as error:
        raise _failed(error, EXIT_UNAVAILABLE) from None


def _failed(reason: object, code: int = EXIT_REFUSED) -> typer.Exit:
    typer.echo(f"privacy: {reason}", err=True)
    return typer.Exit(code)
