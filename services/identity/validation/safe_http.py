"""HTTP to URLs that certificates name, protected against server-side request forgery (SSRF).

The URLs in a certificate are chosen by its maker, so a request to one must not reach what only this
machine can reach. The IP address is checked when the connection is made, after the name was
resolved, so that a second DNS answer cannot come in between (DNS rebinding): it must be public, or
in a network that the operator allowed. Only http and https on ports 80, 443 or unprivileged ones
are requested, redirects are not followed, responses are bounded in size and time. With a list of
hosts, only those are requested.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import aiohttp
from yarl import URL

_PORTS = frozenset({80, 443})
_FIRST_UNPRIVILEGED_PORT = 1024
# URLs in certificates are short.
URL_LIMIT = 2_048
# Connections open at a time, altogether and to one host: many certificates name one authority.
CONNECTIONS = 64
CONNECTIONS_TO_ONE_HOST = 32

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Unreachable(Exception):
    """No usable response: not allowed, no connection, too late, too large, not a success."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which hosts and IP addresses may be requested."""

    # "host" or "host:port", lower case; if empty, every host.
    hosts: frozenset[str] = frozenset()
    # Networks that are allowed although they are not public.
    networks: tuple[_Network, ...] = ()

    @classmethod
    def of(cls, hosts: Sequence[str], networks: Sequence[str]) -> AddressPolicy:
        """Make a policy from texts. Raises ValueError for text that is not a network."""
        return cls(
            frozenset(host.strip().lower() for host in hosts if host.strip()),
            tuple(ipaddress.ip_network(network.strip()) for network in networks),
        )

    def check_url(self, url: str) -> URL:
        """Return the URL as aiohttp will read it, so that check and request cannot differ. Raises
        Unreachable if it may not be requested."""
        if len(url) > URL_LIMIT:
            raise Unreachable("the URL is too long")
        try:
            parts = URL(url)
            host, port = (parts.raw_host or "").lower(), parts.explicit_port
        except (ValueError, TypeError):
            raise Unreachable("not a URL") from None
        if parts.scheme not in ("http", "https") or not host:
            raise Unreachable("neither http nor https")
        if parts.raw_user is not None or parts.raw_password is not None:
            raise Unreachable("a URL with a password")
        if port is not None and port not in _PORTS and port < _FIRST_UNPRIVILEGED_PORT:
            raise Unreachable("a privileged port other than 80 and 443")
        if self.hosts and host not in self.hosts and f"{host}:{port}" not in self.hosts:
            raise Unreachable("not among the allowed hosts")
        return parts

    def allows(self, address: str) -> bool:
        """Return whether a connection to this IP address may be made."""
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address):
            # An IPv4 address that is embedded in IPv6 is treated as IPv4.
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


def hosts_of(url: str) -> frozenset[str]:
    """Return a URL's "host" and "host:port", lower case, as settings name hosts; empty if it is no
    URL."""
    try:
        parts = URL(url)
        host = (parts.raw_host or "").lower()
        return frozenset({host, f"{host}:{parts.port}"}) if host else frozenset()
    except (ValueError, TypeError):
        return frozenset()


# NAT64 (RFC 6052): the last four bytes are an IPv4 address.
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
# Global unicast. Outside of it are more embeddings of IPv4, and addresses of sites and links.
_UNICAST = ipaddress.IPv6Network("2000::/3")
# What ipaddress takes for public and is not: protocol assignments, where one cloud has its metadata
# service; the host of another cloud; documentation (RFC 9637).
_NEVER_PUBLIC = tuple(
    ipaddress.ip_network(network) for network in ("192.0.0.0/24", "168.63.129.16/32", "3fff::/20")
)


class Fetch(Protocol):
    """How URLs are requested: by Fetcher, and by a network that tests make up."""

    async def get(self, url: str, *, limit: int, seconds: float) -> bytes:
        """Return the body of a successful response. Raises Unreachable."""
        ...

    async def post(
        self, url: str, body: bytes, *, content_type: str, limit: int, seconds: float
    ) -> bytes:
        """Return the body of a successful response. Raises Unreachable."""
        ...


class Fetcher:
    """GET and POST under an address policy. Made and used in one event loop."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, *, limit: int, seconds: float) -> bytes:
        """Return the body of a successful response. Raises Unreachable."""
        return await self._request("GET", url, None, {}, limit, seconds)

    async def post(
        self, url: str, body: bytes, *, content_type: str, limit: int, seconds: float
    ) -> bytes:
        """Return the body of a successful response. Raises Unreachable."""
        headers = {"Content-Type": content_type}
        return await self._request("POST", url, body, headers, limit, seconds)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _request(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: dict[str, str],
        limit: int,
        seconds: float,
    ) -> bytes:
        address = self._policy.check_url(url)
        try:
            async with self._open_session().request(
                method,
                address,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                if response.status != 200:
                    raise Unreachable(f"HTTP status {response.status}")
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

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=CONNECTIONS,
                limit_per_host=CONNECTIONS_TO_ONE_HOST,
                # Resolve names for each connection, so that an authority that moves is found.
                use_dns_cache=False,
                socket_factory=self._socket,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                # Take no proxy and no password from the environment.
                trust_env=False,
                headers={"User-Agent": "qagazsyz"},
            )
        return self._session

    def _socket(self, found: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        """Open a socket for a resolved address. Raises OSError if the policy forbids it."""
        family, kind, protocol, _, address = found
        if not self._policy.allows(str(address[0])):
            raise PermissionError("an address that may not be requested")
        return socket.socket(family, kind, protocol)
