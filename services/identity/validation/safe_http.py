"""Fetching what strangers name: addresses in certificates, asked with nothing trusted.

Whoever makes a certificate chooses its addresses, so a request to one must not
reach what only this machine can reach. The address is looked at when the
connection to it is made, after the name was resolved, so that no second answer
of a name server comes in between: it must be a public one, or in a network that
the operator named. Schemes are http and https, ports 80, 443 or unprivileged,
redirections are not followed, answers are bounded in size and time. With a list
of hosts, no other host is asked at all.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
from yarl import URL

_PORTS = frozenset({80, 443})
_FIRST_UNPRIVILEGED_PORT = 1024
# An address in a certificate is short; a long one is something else.
ADDRESS_LIMIT = 2_048
# Connections at once, altogether and to one host: an authority is asked about many certificates.
CONNECTIONS = 64
CONNECTIONS_TO_ONE_HOST = 32

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Unreachable(Exception):
    """Nothing usable came: not allowed, no connection, too late, too large, no success."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What may be asked."""

    # "host" or "host:port", lower case; every host where there are none.
    hosts: frozenset[str] = frozenset()
    # Networks that are allowed though they are not public.
    networks: tuple[_Network, ...] = ()

    @classmethod
    def of(cls, hosts: Sequence[str], networks: Sequence[str]) -> Guard:
        """Raises ValueError for a network that is none."""
        return cls(
            frozenset(host.strip().lower() for host in hosts if host.strip()),
            tuple(ipaddress.ip_network(network.strip()) for network in networks),
        )

    def check_url(self, url: str) -> URL:
        """The address as the client reads it, so that no two readings of it differ. Raises
        Unreachable where, as it is written, it is not to be asked."""
        if len(url) > ADDRESS_LIMIT:
            raise Unreachable("too long for an address")
        try:
            parts = URL(url)
            host, port = (parts.raw_host or "").lower(), parts.explicit_port
        except (ValueError, TypeError):
            raise Unreachable("no address") from None
        if parts.scheme not in ("http", "https") or not host:
            raise Unreachable("neither http nor https")
        if parts.raw_user is not None or parts.raw_password is not None:
            raise Unreachable("an address with a password")
        if port is not None and port not in _PORTS and port < _FIRST_UNPRIVILEGED_PORT:
            raise Unreachable("a port of another service")
        if self.hosts and host not in self.hosts and f"{host}:{port}" not in self.hosts:
            raise Unreachable("not among the hosts that may be asked")
        return parts

    def allows(self, address: str) -> bool:
        """Whether a connection to this IP address may be made."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address):
            # IPv4 in other clothes is judged as IPv4.
            inner = found.ipv4_mapped or found.sixtofour
            if inner is None and found in _TRANSLATED:
                inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
            found = inner or found
        if any(found in network for network in self.networks):
            return True
        if any(found in network for network in _NEVER_PUBLIC):
            return False
        if isinstance(found, ipaddress.IPv6Address) and found not in _UNICAST:
            return False
        return found.is_global and not found.is_multicast


# NAT64 (RFC 6052): the last four bytes are an IPv4 address.
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
# Of IPv6 only this is handed out for the world: outside of it are IPv4 in yet other clothes, and
# what sites keep for themselves.
_UNICAST = ipaddress.IPv6Network("2000::/3")
# What ipaddress takes for public and is not: protocol assignments, where one cloud keeps its
# machines' secrets; the address of another cloud's host; documentation (RFC 9637).
_NEVER_PUBLIC = tuple(
    ipaddress.ip_network(network) for network in ("192.0.0.0/24", "168.63.129.16/32", "3fff::/20")
)


class Fetcher:
    """GET and POST with a guard. Made and used in one event loop."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, *, limit: int, seconds: float) -> bytes:
        """The body of a successful answer. Raises Unreachable."""
        return await self._ask("GET", url, None, {}, limit, seconds)

    async def post(
        self, url: str, body: bytes, *, content_type: str, limit: int, seconds: float
    ) -> bytes:
        """The body of a successful answer. Raises Unreachable."""
        headers = {"Content-Type": content_type}
        return await self._ask("POST", url, body, headers, limit, seconds)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: dict[str, str],
        limit: int,
        seconds: float,
    ) -> bytes:
        address = self._guard.check_url(url)
        try:
            async with self._opened().request(
                method,
                address,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                if response.status != 200:
                    raise Unreachable(f"answered {response.status}")
                if (response.content_length or 0) > limit:
                    raise Unreachable("too large")
                content = bytearray()
                async for part in response.content.iter_chunked(64 * 1024):
                    content += part
                    if len(content) > limit:
                        raise Unreachable("too large")
                return bytes(content)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(type(error).__name__) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=CONNECTIONS,
                limit_per_host=CONNECTIONS_TO_ONE_HOST,
                # Names are resolved anew: an authority that moves is found again.
                use_dns_cache=False,
                socket_factory=self._socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                # No proxy and no password from the environment.
                trust_env=False,
                headers={"User-Agent": "qagazsyz"},
            )
        return self._session

    def _socket(self, found: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        """A socket for a resolved address. Raises OSError where the address is not allowed."""
        family, kind, protocol, _, address = found
        if not self._guard.allows(str(address[0])):
            raise PermissionError("an address that may not be asked")
        return socket.socket(family, kind, protocol)
