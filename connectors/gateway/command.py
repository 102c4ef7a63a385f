"""``sada gateway``."""

import typer


def gateway() -> None:
    """Serve the collection API, signed webhooks, the customer API and the 360 page.

    SADA_HTTP_PORT is the port, SADA_KEYS the key file (see `sada keys`), SADA_WEBHOOKS the file of webhook sources.
    Signals are acknowledged only after Kafka has them. Any number of gateways may run.
    """
    import uvloop  # noqa: PLC0415 - `sada --help` must not wait for it

    from connectors.gateway.keys import KeyFileError  # noqa: PLC0415
    from connectors.gateway.server import main  # noqa: PLC0415
    from connectors.gateway.webhooks import WebhookFileError  # noqa: PLC0415
    from streams import logs  # noqa: PLC0415
    from streams.settings import Settings, SettingsError  # noqa: PLC0415

    logs.configure("gateway")
    try:
        failed = uvloop.run(main(Settings()))
    except (SettingsError, KeyFileError, WebhookFileError, OSError, ValueError) as error:
        typer.echo(f"gateway: {error}", err=True)
        raise typer.Exit(1) from None
    if failed:
        typer.echo(f"gateway: {failed}", err=True)
        raise typer.Exit(1)
