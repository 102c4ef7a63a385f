"""``sada identity split|cut|merge|release|explain|ruling``."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from connectors.operate.graph import Profile
    from connectors.operate.session import Session

EXIT_REFUSED = 1
# EX_UNAVAILABLE: nothing is wrong with what was asked; Kafka or Redis does not answer.
EXIT_UNAVAILABLE = 69
# EX_TEMPFAIL: the ruling is kept, and nothing came of it yet.
EXIT_PENDING = 75

One = Annotated[str, typer.Argument(metavar="KIND:VALUE", help="For example email:sara@example.com, or node:HEX.")]
Other = Annotated[str, typer.Argument(metavar="KIND:VALUE", help="The other identifier, in the same form.")]
Reason = Annotated[str, typer.Option(help="Why, 3 to 500 characters. Kept for ever: name the ticket, not the person.")]
By = Annotated[str | None, typer.Option(help="Who rules; your login name unless you say.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Show = Annotated[bool, typer.Option("--show", help="Show identifiers in full; they are masked otherwise.")]
Wait = Annotated[float, typer.Option(help="Seconds to wait for what comes of it.", min=0)]

# A ruling travels to its customer within a second; behind a long handshake or a restart it may take this long.
_WAIT_S = 30.0


def split(
    one: One, *, reason: Reason, by: By = None, yes: Yes = False, show: Show = False, wait: Wait = _WAIT_S
) -> None:
    """Take an identifier out of its customer; its history goes with it.

    What it alone held together falls apart, too. You are shown who stays and who leaves before anything is done. The
    same evidence will not merge them again; `sada identity merge` does.

    sada identity split phone:+989123456789 --reason "the number has a new owner, ticket 4711"
    """
    _rule("split", one, "", reason, by, yes=yes, show=show, wait=wait)


def cut(
    one: One, other: Other, *, reason: Reason, by: By = None, yes: Yes = False, show: Show = False, wait: Wait = _WAIT_S
) -> None:
    """Take away the direct link between two identifiers of one customer.

    Without effect while other links tie them as well: `sada identity explain` shows the chain.

    sada identity cut user_id:u-1 device_id:tablet-9 --reason "two sisters share the tablet, ticket 12"
    """
    _rule("cut", one, other, reason, by, yes=yes, show=show, wait=wait)


def merge(
    one: One, other: Other, *, reason: Reason, by: By = None, yes: Yes = False, show: Show = False, wait: Wait = _WAIT_S
) -> None:
    """Make two customers one, limits and former cuts notwithstanding.

    sada identity merge user_id:u-1 crm_id:c-77 --reason "one person with two accounts, ticket 13"
    """
    _rule("merge", one, other, reason, by, yes=yes, show=show, wait=wait)


def release(
    one: One, *, reason: Reason, by: By = None, yes: Yes = False, show: Show = False, wait: Wait = _WAIT_S
) -> None:
    """End the suspension of an identifier that tied too many customers.

    sada identity release device_id:till-3 --reason "the till was given to one customer, ticket 14"
    """
    _rule("release", one, "", reason, by, yes=yes, show=show, wait=wait)


def explain(one: One, other: Other, *, show: Show = False) -> None:
    """Show the signals that tie two identifiers, or what keeps them apart.

    sada identity explain email:sara@example.com device_id:tablet-9
    """
    from connectors.operate.explain import explain as why  # noqa: PLC0415 - `sada --help` must not wait for it
    from connectors.operate.preview import explained  # noqa: PLC0415

    def run(session: "Session") -> None:
        nodes = [session.node(one), session.node(other)]
        profiles = [_known(session, node, place) for node, place in zip(nodes, ("first", "second"), strict=True)]
        found = why(nodes[0].hex(), profiles[0], nodes[1].hex(), profiles[1])
        told = [tie.signal_id for tie in found.chain if not tie.source] + [each.told_by for each in found.apart]
        for line in explained(found, profiles, session.rulings(id_ for id_ in told if id_), show=show):
            typer.echo(line)

    with_session(run)


def ruling(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As it was printed when the ruling was made.")],
) -> None:
    """Show a ruling and what came of it.

    sada identity ruling 0f8fad5bd9cb469fa16570867728950e
    """

    def run(session: "Session") -> None:
        told = session.rulings([id_]).get(id_)
        if told is None:
            raise _failed(f"no ruling of the last thirteen months is {id_[:64]!r}: check the id")
        if "kind" in told:
            typer.echo(f"{told['kind']} by {told['by']}: {told['reason']}")
        _tell(told)

    with_session(run)


def _rule(kind: str, one: str, other: str, reason: str, by: str | None, *, yes: bool, show: bool, wait: float) -> None:
    """Show what will happen, ask, rule, wait and show what came of it."""
    import getpass  # noqa: PLC0415 - `sada --help` must not wait for it
    import time  # noqa: PLC0415
    import uuid  # noqa: PLC0415

    from connectors.operate.preview import VOID, preview  # noqa: PLC0415
    from connectors.operate.rulings import Ruling  # noqa: PLC0415

    def run(session: "Session") -> None:
        node = session.node(one)
        against = session.node(other) if other else b""
        at_ms = time.time_ns() // 1_000_000
        made = Ruling(uuid.uuid4().hex, kind, node, against, reason, by or getpass.getuser(), at_ms)
        ours = _known(session, node, "first")
        theirs = _known(session, against, "second") if against else None
        will = preview(kind, node.hex(), ours, against.hex(), theirs, show=show)
        if will.void is not None:
            raise _failed(VOID[will.void])
        for line in will.lines:
            typer.echo(line)
        if not yes:
            typer.confirm("Do it?", abort=True)
        session.produce(made)
        typer.echo(f"Ruling {made.id} is kept.")
        told = session.wait(made.id, wait)
        if told is None or told["state"] == "pending":
            typer.echo(f"Nothing came of it within {wait:g} s; ask again: sada identity ruling {made.id}", err=True)
            raise typer.Exit(EXIT_PENDING)
        _tell(told)

    with_session(run)


def _tell(told: Mapping[str, Any]) -> None:
    from connectors.operate.preview import came_of  # noqa: PLC0415 - `sada --help` must not wait for it

    for line in came_of(told):
        typer.echo(line)
    if told["state"] == "void":
        raise typer.Exit(EXIT_REFUSED)


def _known(session: "Session", node: bytes, place: str) -> "Profile":
    profile = session.profile(node)
    if profile is None:
        raise _failed(
            f"nobody is known by the {place} identifier: check its kind and spelling; a customer of this very moment "
            "appears within a second (`sada serve` must run)"
        )
    return profile


def with_session(run: "Callable[[Session], None]") -> None:
    """Run a command and turn what goes wrong into its words and exit code."""
    from connectors.operate.rulings import RulingError  # noqa: PLC0415 - `sada --help` must not wait for it
    from connectors.operate.session import AwayError, Session  # noqa: PLC0415
    from schemas.identifiers import IdentifierError  # noqa: PLC0415
    from streams.settings import Settings, SettingsError  # noqa: PLC0415

    try:
        run(Session(Settings()))
    except (RulingError, IdentifierError, SettingsError) as error:
        raise _failed(error) from None
    except AwayError as error:
        raise _failed(error, EXIT_UNAVAILABLE) from None


def _failed(reason: object, code: int = EXIT_REFUSED) -> typer.Exit:
    typer.echo(f"identity: {reason}", err=True)
    return typer.Exit(code)
