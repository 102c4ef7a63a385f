"""The way out for webhooks: an endpoint's owner must not make us call our own network (SSRF).

A host is resolved once per connection, every address it has is checked, and one of these very addresses is dialled; the
socket itself is made only for an address that passed. Redirects are never followed and proxies of the environment
are not used. Numeric spellings (2130706433, 0x7f.1, ::ffff:127.0.0.1, 64:ff9b::7f00:1) end as what they mean.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
# Host and port to the addresses that the name has.
Lookup = Callable[[str, int], Awaitable[list[str]]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")


class ForbiddenAddressError(OSError):
    """An address that must not be dialled."""


def meant(text: str) -> IPAddress:
    """Return the address that a packet would reach in the end: IPv4 inside IPv6 is taken out.

    Raises
    ------
    ValueError
        when the text is not an address
    """
    address = ipaddress.ip_address(text.split("%", maxsplit=1)[0])
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def permitted(text: str, *, loopback: bool) -> bool:
    """Say whether an address may be dialled.

    Parameters
    ----------
    loopback : true: only this machine; false: only the public internet
    """
    try:
        address = meant(text)
    except ValueError:
        return False
    if loopback:
        return address.is_loopback
    site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not address.is_multicast and not site_local


async def system_lookup(host: str, port: int) -> list[str]:
    """Ask the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in found]


class GuardedResolver(AbstractResolver):
    """Resolves a name, and refuses it whole when any of its addresses is forbidden."""

    def __init__(self, *, loopback: bool, lookup: Lookup = system_lookup) -> None:
        self._loopback = loopback
        self._lookup = lookup

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - aiohttp's signature; every family is asked for
    ) -> list[ResolveResult]:
        """Return the addresses, all of them permitted.

        Raises
        ------
        ForbiddenAddressError
            when one is not
        """
        addresses = await self._lookup(host, port)
        if not addresses:
            raise OSError(f"{host} has no address")
        if not all(permitted(address, loopback=self._loopback) for address in addresses):
            raise ForbiddenAddressError(f"{host} has an address that must not be dialled")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


def session(*, loopback: bool, timeout_s: float, lookup: Lookup = system_lookup) -> aiohttp.ClientSession:
    """Return an HTTP client that reaches permitted addresses only."""

    def make_socket(address: Any) -> socket.socket:
        family, kind, protocol, _, sockaddr = address
        # The last gate: whatever way an address came (a literal in the URL goes past the resolver).
        if not permitted(str(sockaddr[0]), loopback=loopback):
            raise ForbiddenAddressError("an address that must not be dialled")
        return socket.socket(family, kind, protocol)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=GuardedResolver(loopback=loopback, lookup=lookup),
            use_dns_cache=False,
            socket_factory=make_socket,
        ),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        auto_decompress=False,  # an answer's body is not read: a bomb stays packed
        trust_env=False,
    )
