"""``sada keys add|list|revoke``."""

from enum import StrEnum
from typing import Annotated

import typer

from connectors.gateway import keys
from schemas.topics import CHANNELS
from streams.settings import Settings


class RoleName(StrEnum):
    """Roles on the command line."""

    write = "write"
    read = "read"
    agent = "agent"
    operator = "operator"
    privacy = "privacy"
    admin = "admin"


_Name = Annotated[str, typer.Argument(help="Unique; signals sent with the key carry it as their source.")]


def add(
    name: _Name,
    *,
    role: Annotated[
        RoleName,
        typer.Option(
            help="write: send signals. read: look customers up, masked. agent: in full, and the 360 page. "
            "operator: an agent who may also split and merge customers. privacy: erase people, and export what is held "
            "on them. admin: all of it."
        ),
    ],
    channel: Annotated[str | None, typer.Option(help="The channel of all its signals; else each signal says.")] = None,
    region: Annotated[str | None, typer.Option(help="ISO 3166, for phone numbers without a country code: IR.")] = None,
    currency: Annotated[str, typer.Option(help="ISO 4217, for amounts that name none.")] = "USD",
    origin: Annotated[list[str] | None, typer.Option(help="https://… whose pages may use it; may be repeated.")] = None,
    strict: Annotated[bool, typer.Option(help="Answer 400 as soon as one item is refused.")] = False,
) -> None:
    """Make a key and print it: this once, for only its hash is kept. Running gateways notice within seconds."""
    if channel is not None and channel not in CHANNELS:
        raise typer.BadParameter(f"{channel} is not one of {', '.join(CHANNELS)}", param_hint="--channel")
    agreed = {
        "channel": channel,
        "region": region,
        "currency": currency,
        "origins": tuple(origin or ()),
        "strict": strict,
    }
    try:
        made = keys.add(keys.path_of(Settings()), name, role.value, now_ms=keys.now_ms(), **agreed)
    except keys.KeyFileError as error:
        raise _failed(error) from None
    typer.echo(made)


def show() -> None:
    """List the keys: names, roles and what is agreed; the keys themselves are nowhere."""
    try:
        content = keys.read(keys.path_of(Settings()))
    except keys.KeyFileError as error:
        raise _failed(error) from None
    for key in content.keys:
        state = "live" if key.revoked_at_ms is None else "revoked"
        origins = ", ".join(key.origins) or "servers only"
        typer.echo(f"{key.name}\t{key.role}\t{state}\t{key.channel or 'any channel'}\t{origins}")


def revoke(name: _Name) -> None:
    """Revoke a key: running gateways refuse it within seconds."""
    try:
        count = keys.revoke(keys.path_of(Settings()), name, now_ms=keys.now_ms())
    except keys.KeyFileError as error:
        raise _failed(error) from None
    if not count:
        raise _failed(f"no live key is named {name}; see `sada keys list`")
    typer.echo(f"{name} is revoked")


def _failed(reason: object) -> typer.Exit:
    typer.echo(f"keys: {reason}", err=True)
    return typer.Exit(1)
