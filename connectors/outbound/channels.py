"""The channels file (``SADA_CHANNELS``): how each outbound channel is reached. YAML or JSON.

A channel's ``kind`` says which connector carries it; passwords and signing secrets are named, never written:

.. code-block:: yaml

    channels:
      email:
        kind: smtp
        host: smtp.example.com
        port: 587
        tls: starttls                  # starttls, implicit or none
        user: sada
        password_env: SMTP_PASSWORD    # the variable that holds it
        from_address: "Shop <hello@example.com>"
        rate_per_s: 50
      webhook:
        kind: webhook
        endpoints:
          crm: {url: "https://crm.example.com/sada", secret_env: CRM_SECRET}
      sms:
        kind: webhook
        endpoints:
          default: {url: "https://sms.example.com/send", secret_file: /run/secrets/sms}
      web: {kind: inbox}
      app: {kind: inbox}
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from connectors.files.located import FileError, Located, convert, read
from schemas.topics import ACTION_CHANNELS

Positive = Annotated[float, Meta(gt=0)]
Port = Annotated[int, Meta(ge=1, le=65_535)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base: an unknown field is a typing mistake, and refused."""


class Pace(_Strict, frozen=True, kw_only=True):
    """How fast and how long a channel tries.

    Parameters
    ----------
    rate_per_s : most sends a second of one process; None does not limit
    concurrency : sends at one time of one process
    give_up_s : a transient failure is retried for so long, unless the action expires first
    """

    rate_per_s: Positive | None = None
    concurrency: Annotated[int, Meta(ge=1, le=256)] = 16
    give_up_s: Positive = 3_600.0  # an hour: a relay's restart or a short outage passes unseen


class Smtp(Pace, frozen=True, kw_only=True):
    """E-mail through an SMTP relay.

    Parameters
    ----------
    in_doubt : what to do when the relay may or may not have taken the message (it went silent after the text, or
        we crashed there): ``drop`` never sends twice and says so in the dead letters; ``resend`` never loses one
    unsubscribe_mailto : address in List-Unsubscribe beside, or instead of, our own link
    """

    kind: Literal["smtp"]
    host: str
    port: Port = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    user: str | None = None
    password_env: str | None = None
    from_address: str
    reply_to: str | None = None
    unsubscribe_mailto: str | None = None
    timeout_s: Positive = 30.0
    in_doubt: Literal["drop", "resend"] = "drop"


class Endpoint(_Strict, frozen=True, kw_only=True):
    """Where signed webhooks go.

    Parameters
    ----------
    url : https; no user or password in it
    secret_env, secret_file : where the Standard Webhooks secrets are, ``whsec_…``; several, separated by spaces,
        while one replaces another
    ports : ports that may be dialled
    allow_loopback : this endpoint is on this machine: http, loopback addresses and any port are taken
    """

    url: str
    secret_env: str | None = None
    secret_file: str | None = None
    ports: tuple[Port, ...] = (443,)
    allow_loopback: bool = False
    timeout_s: Positive = 10.0


class Webhook(Pace, frozen=True, kw_only=True):
    """Signed webhooks; an action's address names the endpoint, ``default`` takes the rest."""

    kind: Literal["webhook"]
    endpoints: dict[str, Endpoint]
    # Two minutes: a dead endpoint must not fill the channel for the living ones.
    give_up_s: Positive = 120.0


class Inbox(Pace, frozen=True, kw_only=True):
    """Messages kept in Redis until the customer's web page or app fetches them.

    Parameters
    ----------
    keep_s : how long a message is kept at most, whatever its expiry
    most : messages kept per customer; the oldest go first
    """

    kind: Literal["inbox"]
    keep_s: Positive = 30 * 86_400.0
    most: Annotated[int, Meta(ge=1, le=500)] = 50
    concurrency: Annotated[int, Meta(ge=1, le=256)] = 64  # a local Redis answers in microseconds


ChannelConfig = Smtp | Webhook | Inbox

KINDS: Mapping[str, type[Smtp] | type[Webhook] | type[Inbox]] = {"smtp": Smtp, "webhook": Webhook, "inbox": Inbox}

# What needs no configuration works without a file.
DEFAULTS: Mapping[str, ChannelConfig] = {"web": Inbox(kind="inbox"), "app": Inbox(kind="inbox")}


def load(path: Path | None) -> dict[str, ChannelConfig]:
    """Return the configuration of each channel.

    Raises
    ------
    FileError
        naming file, line and field of every fault
    """
    if path is None:
        return dict(DEFAULTS)
    located = read(path)
    faults: list[str] = []
    value = located.value
    if not isinstance(value, dict) or set(value) != {"channels"} or not isinstance(value["channels"], dict):
        raise FileError(located.fault((), "must hold one mapping named channels"))
    found: dict[str, ChannelConfig] = {}
    for name in value["channels"]:
        try:
            found[name] = _channel(located, name)
        except FileError as exc:
            faults.append(str(exc))
    if faults:
        raise FileError("\n".join(faults))
    return {**DEFAULTS, **found}


def _channel(located: Located, name: str) -> ChannelConfig:
    at = ("channels", name)
    value = located.value["channels"][name]
    if name not in ACTION_CHANNELS:
        raise FileError(located.fault(at, f"is not a channel; known: {', '.join(ACTION_CHANNELS)}"))
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise FileError(located.fault((*at, "kind"), f"must be one of {', '.join(KINDS)}"))
    config: ChannelConfig = convert(located, KINDS[kind], at=at)
    if isinstance(config, Webhook):
        for endpoint, spec in config.endpoints.items():
            _check_endpoint(located, (*at, "endpoints", endpoint), spec)
    if isinstance(config, Smtp) and (config.user is None) != (config.password_env is None):
        raise FileError(located.fault((*at, "user"), "user and password_env go together"))
    return config


def _check_endpoint(located: Located, at: tuple[str, ...], spec: Endpoint) -> None:
    fault = endpoint_fault(spec)
    if fault is not None:
        raise FileError(located.fault((*at, "url"), fault))
    if (spec.secret_env is None) == (spec.secret_file is None):
        raise FileError(located.fault(at, "give secret_env or secret_file, one of them"))


def endpoint_fault(spec: Endpoint) -> str | None:
    """Say what is wrong with an endpoint's URL, or None. The URL itself is not repeated: it may hold a secret."""
    try:
        url = urlsplit(spec.url)
        port = url.port
    except ValueError as exc:
        return f"is not a URL: {exc}"
    if url.username is not None or url.password is not None:
        return "must hold no user or password"
    if not url.hostname:
        return "has no host"
    if url.scheme != "https" and not (url.scheme == "http" and spec.allow_loopback):
        return "must be https (http only with allow_loopback: true, for this machine)"
    if not spec.allow_loopback and (port or 443) not in spec.ports:
        return f"port {port or 443} is not among ports: {', '.join(map(str, spec.ports))}"
    return None


def secret_text(*, env: str | None, file: str | None, what: str) -> str:
    """Return a secret from the variable or the file that the configuration names.

    Raises
    ------
    FileError
        when it is not there or empty
    """
    if env is not None:
        text = os.environ.get(env, "").strip()
        if not text:
            raise FileError(f"{what}: the variable {env} is not set or empty")
        return text
    if file is not None:
        try:
            text = Path(file).read_text().strip()
        except OSError as exc:
            raise FileError(f"{what}: the file {file} cannot be read: {exc.strerror}") from exc
        if not text:
            raise FileError(f"{what}: the file {file} is empty")
        return text
    raise FileError(f"{what}: no secret is named")
