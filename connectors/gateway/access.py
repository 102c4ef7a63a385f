"""Who asks, from where, and whether it may: keys in all the forms SDKs send them, addresses, origins, rates."""

import asyncio
import base64
import binascii
import ipaddress
import math
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from connectors.gateway.keys import RELOAD_EVERY_S, Key, KeyRing
from connectors.gateway.limits import Buckets
from connectors.gateway.refusal import Refusal, unauthorised

# Requests a second from one address: above a busy server's SDK, below what would starve the others.
ADDRESS_RATE = 10_000.0

# Failed log-ins a second from one address, ten at once: a person mistypes, a guesser does not wait.
FAILURE_RATE = 1.0

# Longest key looked at, characters; ours have 42 to 44.
_MAX_KEY = 256


class Access:
    """Decides who may pass.

    Parameters
    ----------
    ring : the live keys
    trusted_proxies : comma-separated addresses and networks whose X-Forwarded-For counts

    Raises
    ------
    ValueError
        when a trusted proxy is not an address or a network
    """

    def __init__(self, ring: KeyRing, trusted_proxies: str = "") -> None:
        self.ring = ring
        self._proxies = [ipaddress.ip_network(part.strip()) for part in trusted_proxies.split(",") if part.strip()]
        self._requests = Buckets()
        self._failures = Buckets()
        self._events = Buckets()

    async def keep_fresh(self) -> None:
        """Read the key file again whenever it changed, until cancelled."""
        while True:
            await asyncio.sleep(RELOAD_EVERY_S)
            self.ring.refresh()

    def address(self, request: web.Request) -> str:
        """Return the client's address; a forwarded one only as far as trusted proxies vouch for it."""
        peer = request.remote or ""
        if not self._proxies or not self._trusted(peer):
            return peer
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
        for hop in reversed(hops):
            if not hop:
                break
            peer = hop
            if not self._trusted(hop):
                break
        return peer[:64]

    def _trusted(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)

    def check_address(self, address: str) -> None:
        """Count a request of an address.

        Raises
        ------
        Refusal
            429 with Retry-After
        """
        now = time.monotonic()
        if self._failures.empty(address, FAILURE_RATE, now):
            raise _slow_down(1 / FAILURE_RATE, "too many requests without a valid key from this address")
        wait = self._requests.take(address, 1.0, ADDRESS_RATE, now)
        if wait:
            raise _slow_down(wait, "too many requests from this address")

    def check_events(self, key: Key, count: int) -> None:
        """Count the events of a key.

        Raises
        ------
        Refusal
            429 with Retry-After
        """
        wait = self._events.take(key.name, float(count), key.events_per_s, time.monotonic())
        if wait:
            raise _slow_down(wait, f"key {key.name} sends more than {key.events_per_s:g} events a second")

    def key_of(self, request: web.Request, body: Mapping[str, Any] | None = None) -> Key | None:
        """Return the key of a request: of its Authorization header, its query, or its body; None when none is valid.

        A Basic header decides alone. A Bearer token that is no key of ours (OAuth of Segment) leaves it to the body.
        """
        header = request.headers.get("Authorization")
        if header is not None:
            scheme, _, credentials = header.partition(" ")
            if scheme.casefold() == "basic":
                return self._find(_user_of(credentials))
            if scheme.casefold() == "bearer" and (found := self._find(credentials.strip())):
                return found
        if (given := request.query.get("writeKey")) is not None:
            return self._find(given)
        if body is not None:
            given = body.get("writeKey")
            return self._find(given) if isinstance(given, str) else None
        return None

    def passed(self, key: Key | None, right: str, request: web.Request) -> Key:
        """Return the key when it may do what is asked.

        Raises
        ------
        Refusal
            401 without a valid key, 403 without the right, or from a page whose origin is not allowed
        """
        if key is None:
            self._failures.take(self.address(request), 1.0, FAILURE_RATE, time.monotonic())
            raise unauthorised()
        if not key.may(right):
            raise Refusal(403, "forbidden", f"a key of role {key.role} may not do this")
        origin = request.headers.get("Origin")
        if origin is not None and not self.allows(origin, key) and not _same_origin(origin, request):
            raise Refusal(403, "origin-not-allowed", f"key {key.name} may not be used by pages of this origin")
        return key

    def admitted(self, request: web.Request, right: str) -> Key:
        """Return the key of a request that counts as one event, when it has a right.

        Raises
        ------
        Refusal
            401, 403 or 429
        """
        self.check_address(self.address(request))
        key = self.passed(self.key_of(request), right, request)
        self.check_events(key, 1)
        return key

    def allows(self, origin: str, key: Key | None = None) -> bool:
        """Say whether pages of an origin may use a key; without one, any key (a preflight carries none)."""
        allowed = self.ring.origins if key is None else key.origins
        return origin in allowed or "*" in allowed

    def _find(self, text: str | None) -> Key | None:
        return self.ring.find(text) if text and len(text) <= _MAX_KEY else None


def _same_origin(origin: str, request: web.Request) -> bool:
    return origin.partition("://")[2] == request.host


def _user_of(credentials: str) -> str | None:
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, ValueError):
        return None


def _slow_down(wait_s: float, message: str) -> Refusal:
    return Refusal(429, "rate-limited", message, retry_after_s=max(1, math.ceil(wait_s)))
