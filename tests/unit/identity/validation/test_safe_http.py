"""Server-side request forgery: which URLs of certificates are requested, and which never."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from services.identity.validation.safe_http import (
    URL_LIMIT,
    AddressPolicy,
    Fetcher,
    Unreachable,
)

LIMIT = 1_000


PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"]


# Each with what is reached there.
INTERNAL = {
    "127.0.0.1": "this machine",
    "127.255.0.9": "this machine",
    "0.0.0.0": "this machine",  # noqa: S104 - nothing is bound here
    "10.0.0.1": "a private network",
    "172.16.0.1": "a private network",
    "192.168.1.1": "a private network",
    "169.254.169.254": "a cloud's secrets",
    "100.100.100.200": "a cloud's secrets",
    "192.0.0.192": "a cloud's secrets",
    "168.63.129.16": "a cloud's host",
    "198.18.0.1": "benchmarks",
    "224.0.0.1": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "this machine",
    "::1": "this machine",
    "::ffff:127.0.0.1": "IPv4 mapped",
    "::ffff:0:127.0.0.1": "IPv4 translated",
    "::127.0.0.1": "IPv4 compatible",
    "2002:7f00:1::": "6to4 of this machine",
    "2002:a00:1::": "6to4 of a private network",
    "64:ff9b::10.0.0.1": "NAT64 of a private network",
    "64:ff9b:1::a00:1": "a site's own NAT64",
    "2001:0:1::1": "Teredo",
    "fe80::1": "the link",
    "fe80::1%eth0": "the link",
    "fec0::1": "the site",
    "fd00::1": "a private network",
    "ff02::1": "multicast",
    "2001:db8::1": "documentation",
    "3fff::1": "documentation",
    "not an address": "not an address",
    "": "not an address",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert AddressPolicy().allows(address)


@pytest.mark.parametrize("address", INTERNAL)
def test_an_internal_address_is_not_allowed(address: str) -> None:
    assert not AddressPolicy().allows(address)


def test_a_network_that_the_operator_names_is_allowed() -> None:
    policy = AddressPolicy.of([], ["10.1.0.0/16", "fd00::/8"])
    assert (
        policy.allows("10.1.2.3") and policy.allows("::ffff:10.1.2.3") and policy.allows("fd00::1")
    )
    assert not policy.allows("10.2.0.1") and not policy.allows("127.0.0.1")
    with pytest.raises(ValueError, match="network"):
        AddressPolicy.of([], ["a network"])


@pytest.mark.parametrize(
    "url",
    [
        "ftp://authority.example/list.crl",
        "ldap://authority.example/cn=list",
        "file:///etc/passwd",
        "gopher://authority.example/",
        "//authority.example/list.crl",
        "authority.example/list.crl",
        "http://",
        "http:///list.crl",
        "http://user@authority.example/",
        "http://user:password@authority.example/",
        "http://:password@authority.example/",
        "http://authority.example:22/",
        "http://authority.example:25/",
        "http://authority.example:0/",
        "http://authority.example:99999/",
        "http://authority.example:port/",
        "http://[::1/",
        "http://authority.example/" + "a" * URL_LIMIT,
        "",
    ],
)
def test_a_url_of_another_kind_is_not_requested(url: str) -> None:
    with pytest.raises(Unreachable):
        AddressPolicy().check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://elsewhere.example/",
        "http://authority.example.elsewhere.example/",
        "http://authority.example@elsewhere.example/",
        "http://elsewhere.example#@authority.example/",
        "http://elsewhere.example/?authority.example",
        "http://elsewhere.example\\@authority.example/",
        "http://ports.example/",
        "http://ports.example:8081/",
    ],
)
def test_with_a_list_of_hosts_no_other_is_requested(url: str) -> None:
    policy = AddressPolicy.of(["Authority.example", "ports.example:8080"], [])
    for good in (
        "http://AUTHORITY.example/a",
        "https://authority.example/",
        "http://ports.example:8080",
    ):
        policy.check_url(good)
    with pytest.raises(Unreachable):
        policy.check_url(url)


@dataclass
class Site:
    """A server on this machine, and the paths that were requested."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        body = await request.read()
        match request.path:
            case "/good":
                return web.Response(body=b"good" + body)
            case "/redirect":
                raise web.HTTPFound(self.url("/good"))
            case "/missing":
                raise web.HTTPNotFound
            case "/large":
                return web.Response(body=bytes(LIMIT + 1))
            case "/endless":
                return await self._stream(request)
            case "/cut":
                return await self._cut(request)
        await self.released.wait()
        return web.Response()

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        """One byte of a thousand, then the end of the connection."""
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x")
        assert request.transport is not None
        request.transport.close()
        return response

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """An endless body without a length."""
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while True:
                await response.write(bytes(LIMIT // 4))
        return response


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    made.port = runner.addresses[0][1]
    yield made
    made.released.set()
    await runner.cleanup()


async def refused(policy: AddressPolicy, url: str, *, seconds: float = 20.0) -> str:
    """Why there is no usable response."""
    fetcher = Fetcher(policy)
    try:
        with pytest.raises(Unreachable) as caught:
            await fetcher.get(url, limit=LIMIT, seconds=seconds)
    finally:
        await fetcher.close()
    return str(caught.value)


HERE = AddressPolicy.of([], ["127.0.0.0/8", "::1"])


async def test_an_allowed_network_is_requested(site: Site) -> None:
    fetcher = Fetcher(HERE)
    url = site.url("/good")
    assert await fetcher.get(url, limit=LIMIT, seconds=20.0) == b"good"
    answer = await fetcher.post(
        url, b" question", content_type="application/ocsp-request", limit=LIMIT, seconds=20.0
    )
    assert answer == b"good question"
    await fetcher.close()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"]
)
async def test_this_machine_is_not_connected_to_by_any_of_its_names(site: Site, host: str) -> None:
    await refused(AddressPolicy(), site.url("/good", host))
    await refused(AddressPolicy.of([host], []), site.url("/good", host))
    assert site.asked == []


async def test_a_redirect_is_not_followed(site: Site) -> None:
    assert await refused(HERE, site.url("/redirect")) == "HTTP status 302"
    assert site.asked == ["/redirect"]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/missing", "HTTP status 404"),
        ("/large", "too large"),
        ("/endless", "too large"),
    ],
)
async def test_a_failure_and_a_large_response_are_refused(site: Site, path: str, why: str) -> None:
    assert await refused(HERE, site.url(path)) == why


async def test_a_response_that_does_not_come_times_out(site: Site) -> None:
    assert await refused(HERE, site.url("/silent"), seconds=0.2) == "TimeoutError"


async def test_a_response_that_is_cut_short_is_refused(site: Site) -> None:
    assert await refused(HERE, site.url("/cut")) == "ClientPayloadError"
    assert site.asked == ["/cut"]


async def test_a_name_that_nobody_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert await refused(HERE, "http://nobody.invalid/") == "ClientConnectorDNSError"
