"""Signed webhooks out (Standard Webhooks 1.0): also the way to SMS, WhatsApp, call-centre and point-of-sale systems.

The receiver verifies with any Standard Webhooks library and drops repeats by ``webhook-id``, the action's id.
"""

import base64
import binascii
import contextlib
import hashlib
import hmac
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import aiohttp
import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from connectors.outbound.channels import Endpoint, Webhook, endpoint_fault, secret_text
from connectors.outbound.delivery import Delivery, rendered
from connectors.outbound.egress import ForbiddenAddressError, Lookup, session, system_lookup
from connectors.outbound.errors import PermanentError, TransientError
from streams.settings import SettingsError

# 408 and 425 ask for another try, 429 for a later one; every 5xx may pass.
_FOR_NOW = frozenset({408, 425, 429})


def signing_keys(text: str) -> list[bytes]:
    """Return the keys of one or more secrets, ``whsec_`` + base64, separated by spaces.

    Raises
    ------
    SettingsError
        when one is not base64 or shorter than 24 bytes, the specification's least
    """
    keys = []
    for secret in text.split():
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise SettingsError("a webhook's secret is not whsec_ followed by base64") from None
        if len(key) < 24:
            raise SettingsError(f"a webhook's secret has {len(key)} bytes; at least 24 are needed")
        keys.append(key)
    return keys


def signature_headers(keys: list[bytes], message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the three headers of Standard Webhooks; one signature per key, while one replaces another."""
    signed = b"%s.%d.%s" % (message_id.encode(), at_s, body)
    signatures = (base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def payload(delivery: Delivery) -> bytes:
    """Return the body: type, timestamp, data, as the specification advises.

    Raises
    ------
    PermanentError
        bad-template
    """
    action = delivery.action
    subject, body = rendered(action)
    return orjson.dumps(
        {
            "type": f"action.{action['action']}",
            "timestamp": datetime.fromtimestamp(action["decided_at_ms"] / 1000, UTC).isoformat(),
            "data": {
                "action_id": action["id"],
                "decision_id": action["decision_id"],
                "customer": action["customer"].hex(),
                "action": action["action"],
                "treatment": action["treatment"],
                "channel": action["channel"],
                "purpose": action["purpose"],
                "language": action["language"],
                "address": action["address"],
                "subject": subject,
                "body": body,
                "params": action["params"],
                "decided_at_ms": action["decided_at_ms"],
                "expires_at_ms": action["expires_at_ms"],
            },
        }
    )


class _Door:
    """One endpoint: its keys and its client."""

    def __init__(self, name: str, spec: Endpoint, disabled_key: str, lookup: Lookup) -> None:
        fault = endpoint_fault(spec)
        if fault is not None:
            raise SettingsError(f"endpoint {name}: its URL {fault}")
        text = secret_text(env=spec.secret_env, file=spec.secret_file, what=f"endpoint {name}")
        self.name = name
        self.spec = spec
        self.keys = signing_keys(text)
        self.disabled_key = disabled_key
        self._lookup = lookup
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The client, made in the event loop at the first use."""
        if self._session is None:
            self._session = session(
                loopback=self.spec.allow_loopback, timeout_s=self.spec.timeout_s, lookup=self._lookup
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class WebhookConnector:
    """Posts actions to endpoints.

    Parameters
    ----------
    channel : webhook, or the channel whose system stands behind the endpoint
    config : its endpoints
    redis : remembers which endpoints answered 410
    prefix : before every Redis key

    Raises
    ------
    SettingsError, FileError
        when an endpoint cannot be used
    """

    in_doubt: Literal["drop", "resend"] = "resend"  # webhook-id lets the receiver drop a repeat

    def __init__(
        self, channel: str, config: Webhook, redis: "Redis", prefix: str, *, lookup: Lookup = system_lookup
    ) -> None:
        self._redis = redis
        self._doors: Mapping[str, _Door] = {
            name: _Door(name, spec, _disabled_key(prefix, channel, name, spec.url), lookup)
            for name, spec in config.endpoints.items()
        }
        self.lease_s = max((door.spec.timeout_s for door in self._doors.values()), default=10.0) + 10

    async def send(self, delivery: Delivery) -> str | None:
        """Post an action; see ``Connector.send``."""
        door = self._door(delivery.action["address"])
        body = payload(delivery)
        if await self._gone(door):
            raise PermanentError("endpoint-disabled", f"endpoint {door.name} answered 410 Gone; it is not called")
        headers = {
            "content-type": "application/json",
            "user-agent": "sada/1",
            **signature_headers(door.keys, delivery.action["id"], int(time.time()), body),
        }
        try:
            async with door.session.post(door.spec.url, data=body, headers=headers, allow_redirects=False) as answer:
                status, retry_after = answer.status, answer.headers.get("retry-after", "")
        except (aiohttp.InvalidURL, ForbiddenAddressError) as exc:
            raise PermanentError("forbidden-address", f"endpoint {door.name} must not be dialled") from exc
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            if _forbidden(exc):
                raise PermanentError("forbidden-address", f"endpoint {door.name} must not be dialled") from exc
            raise TransientError("http-lost", f"endpoint {door.name}: {type(exc).__name__}") from exc
        await self._judge(door, status, retry_after)
        return f"HTTP {status}"

    async def _gone(self, door: _Door) -> bool:
        try:
            return bool(await self._redis.exists(door.disabled_key))
        except (RedisError, OSError) as exc:
            raise TransientError("redis-away", f"Redis did not answer: {type(exc).__name__}") from exc

    async def _judge(self, door: _Door, status: int, retry_after: str) -> None:
        if 200 <= status < 300:
            return
        said = f"endpoint {door.name} answered HTTP {status}"
        if status == 410:
            with contextlib.suppress(RedisError, OSError):  # not remembered: the next action learns it again
                await self._redis.set(door.disabled_key, int(time.time()))
            raise PermanentError("endpoint-disabled", said)
        if status >= 500 or status in _FOR_NOW:
            seconds = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
            raise TransientError("http-refused", said, retry_after_s=seconds)
        raise PermanentError("http-refused", said)

    def _door(self, address: str | None) -> _Door:
        door = self._doors.get(address or "default") or self._doors.get("default")
        if door is None:
            raise PermanentError("no-endpoint", "the action's address names no endpoint, and there is no default")
        return door

    async def close(self) -> None:
        """Close the clients."""
        for door in self._doors.values():
            await door.close()


def _disabled_key(prefix: str, channel: str, name: str, url: str) -> str:
    """Another URL under the same name is another endpoint: editing the file enables it again."""
    digest = hashlib.blake2b(url.encode(), digest_size=8).hexdigest()
    return f"{prefix}endpoint-gone:{channel}:{name}:{digest}"


def _forbidden(error: BaseException) -> bool:
    """Say whether the guard is at the bottom of an error that the client has wrapped."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ForbiddenAddressError):
            return True
        inner = getattr(seen, "os_error", None)
        seen = inner if isinstance(inner, BaseException) and inner is not seen else seen.__cause__
    return False
