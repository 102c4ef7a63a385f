"""``sada deliver``: actions to their channels, outcomes back."""

from pathlib import Path
from typing import Annotated

import typer


def deliver(
    channels: Annotated[
        str | None,
        typer.Option(help="Which, separated by commas: email,web,app,sms,… Without it, all that are configured."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", help="The channels file, YAML or JSON. Without it SADA_CHANNELS, else web and app only."
        ),
    ] = None,
) -> None:
    """Deliver actions: e-mail over SMTP, signed webhooks, and the inbox of web and app.

    Reads actions.CHANNEL, delivers every action id once, tries again with growing pauses, and gives up into the
    dead letters. What became of each action goes to signals.outcome. Any number of these processes may run.

    The channels file says how each channel is reached:

        channels:
          email:
            kind: smtp
            host: smtp.example.com
            tls: starttls
            user: sada
            password_env: SMTP_PASSWORD
            from_address: "Shop <hello@example.com>"
          webhook:
            kind: webhook
            endpoints:
              crm: {url: "https://crm.example.com/in", secret_env: CRM}
          web: {kind: inbox}

    SADA_PUBLIC_URL and SADA_INBOX_SECRET give e-mail its links: opened, clicked, unsubscribe.
    """
    import asyncio  # noqa: PLC0415 - `sada --help` must not wait for Kafka's library

    from connectors.files.located import FileError  # noqa: PLC0415
    from connectors.outbound.service import run  # noqa: PLC0415
    from streams.logs import configure  # noqa: PLC0415
    from streams.settings import Settings, SettingsError  # noqa: PLC0415

    configure("deliver")
    wanted = tuple(name.strip() for name in channels.split(",") if name.strip()) if channels else None
    try:
        asyncio.run(run(Settings(), wanted, config))
    except (FileError, SettingsError) as exc:
        typer.echo(f"sada deliver: {exc}", err=True)
        raise typer.Exit(2) from exc
