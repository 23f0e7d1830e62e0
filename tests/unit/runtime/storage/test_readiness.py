"""A process is ready while its stores can be used, and the services that it calls are ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from services.runtime.storage.readiness import NOT_SERVING, SERVING, Check, follow_readiness


@asynccontextmanager
async def dependency(address: str) -> AsyncIterator[HealthServicer]:
    server = grpc.aio.server()
    health = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    server.add_insecure_port(address)
    await server.start()
    await health.set("", SERVING)
    try:
        yield health
    finally:
        await server.stop(0)


class Heard(HealthServicer):  # type: ignore[misc]  # it comes without types
    """Tells when a name's health becomes another."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self._last: dict[str, int] = {}

    async def set(self, service: str, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        await super().set(service, status)
        if self._last.get(service) != status:
            self._last[service] = status
            self.changes.put_nowait((service, status))


async def test_the_empty_name_serves_while_all_dependencies_do(tmp_path: Path) -> None:
    address = f"unix:{tmp_path / 'dependency.sock'}"
    health = Heard()
    async with dependency(address) as other, grpc.aio.insecure_channel(address) as channel:
        following = asyncio.create_task(
            follow_readiness(
                health, stores=[], names=["registry.Log"], dependencies=[channel], every=0.01
            )
        )
        try:
            async with asyncio.timeout(20):
                assert await health.changes.get() == ("registry.Log", SERVING)
                assert await health.changes.get() == ("", SERVING)
                await other.set("", NOT_SERVING)
                assert await health.changes.get() == ("", NOT_SERVING)
                await other.set("", SERVING)
                assert await health.changes.get() == ("", SERVING)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def test_a_dependency_that_is_not_there_does_not_serve(tmp_path: Path) -> None:
    health = Heard()
    async with grpc.aio.insecure_channel(f"unix:{tmp_path / 'nobody.sock'}") as channel:
        following = asyncio.create_task(
            follow_readiness(health, stores=[], dependencies=[channel], every=0.01)
        )
        try:
            async with asyncio.timeout(20):
                assert await health.changes.get() == ("", SERVING)
                assert await health.changes.get() == ("", NOT_SERVING)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


class Store:
    """A store that fails while a test says so."""

    def __init__(self) -> None:
        self.is_well = asyncio.Event()
        self.is_well.set()
        self.hangs = False

    async def check(self) -> None:
        if self.hangs:
            await self.is_well.wait()
        if not self.is_well.is_set():
            raise OSError


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_store_that_cannot_be_used_makes_every_name_unready(hangs: bool) -> None:
    store, health = Store(), Heard()
    store.hangs = hangs
    checks: list[Check] = [store.check]
    following = asyncio.create_task(
        follow_readiness(
            health, stores=checks, names=["registry.Log"], every=0.01, store_timeout=0.05
        )
    )
    try:
        async with asyncio.timeout(20):
            for expected in (SERVING, NOT_SERVING, SERVING):
                assert await health.changes.get() == ("registry.Log", expected)
                assert await health.changes.get() == ("", expected)
                if expected == SERVING:
                    store.is_well.clear()
                else:
                    store.is_well.set()
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
