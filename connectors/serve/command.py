"""``sada serve``."""

import typer


def serve() -> None:
    """Keep the view of every customer in Redis: what the customer API and the 360 page show.

    Any number may run; they share the partitions. Redis says where to read on: empty it, and it is filled again.
    """
    from connectors.serve.process import main  # noqa: PLC0415 - `sada --help` must not wait for it
    from streams import logs  # noqa: PLC0415
    from streams.settings import Settings, SettingsError  # noqa: PLC0415

    logs.configure("serve")
    try:
        main(Settings())
    except (SettingsError, OSError, ValueError) as error:
        typer.echo(f"serve: {error}", err=True)
        raise typer.Exit(1) from None
