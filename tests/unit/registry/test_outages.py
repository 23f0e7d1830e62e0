"""While PostgreSQL or the object store is away, every call is UNAVAILABLE, and goes on after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from qagazsyz.client import Client
from qagazsyz.registry.v1 import log_pb2, log_pb2_grpc
from services.registry.main import LOG_SERVICE
from services.runtime.access import TokenVerifier
from services.runtime.errors import Unavailable
from services.runtime.server import Server
from services.runtime.storage.outages import StorageUnavailable
from testing import postgres as clusters
from tests.unit.registry.ledger import log_key
from tests.unit.registry.world import World, citizen, opened_world
from tests.unit.runtime.tokens import fetch_keys

ATTEMPTS = 500


@pytest.fixture
async def cluster() -> AsyncIterator[clusters.Postgres]:
    """A PostgreSQL of this test's own, to be stopped."""
    binaries = clusters.find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    with clusters.running(binaries, "-c fsync=off") as cluster:
        yield cluster


async def test_every_call_is_unavailable_until_postgresql_is_back(
    cluster: clusters.Postgres, tmp_path: Path
) -> None:
    async with opened_world(cluster.create_database(), tmp_path) as world:
        document = await world.register()
        consent = await world.grant()
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "register": world.register,
            "get": lambda: world.get(document.name, citizen),
            "receipt": lambda: world.receipt(document.name, citizen),
            "download": lambda: world.download(document.name, citizen),
            "check": lambda: world.check(verification_code=document.verification_code),
            "look up": world.look_up,
            "list": lambda: world.list_documents(citizen),
            "accesses": world.accesses,
            "grant": world.grant,
            "withdraw": lambda: world.withdraw(consent.name),
            "revoke": lambda: world.revoke(document.name),
            "erase": lambda: world.erase(document.name),
            "create type": lambda: world.create_type("another"),
        }
        cluster.stop()
        failures: dict[str, object] = {}
        for name, call in calls.items():
            try:
                failures[name] = await call()
            except Unavailable:
                continue
            except Exception as error:
                failures[name] = error
        assert failures == {}
        with pytest.raises(StorageUnavailable):
            await world.database.check()
        cluster.start()
        await world.register()
        await world.database.check()
        assert (await world.erase(document.name)).title == ""


async def test_our_client_gets_through_a_restart_of_postgresql(
    cluster: clusters.Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long a restart takes here is the machine's; that the pauses outlast three seconds is
    # tested beside the client.
    monkeypatch.setattr("qagazsyz.client.ATTEMPTS_IF_TOLD", ATTEMPTS)
    monkeypatch.setattr("qagazsyz.client.TOLD_LIMIT_SECONDS", 0.2)
    monkeypatch.setattr("qagazsyz.client.FIRST_PAUSE_SECONDS", 0.0)
    async with opened_world(cluster.create_database(), tmp_path) as world:
        refused = asyncio.Event()
        server = Server(
            {LOG_SERVICE: Counted(world, refused)}, TokenVerifier(fetch_keys), page_secret=b"secret"
        )
        address = f"unix:{tmp_path / 's'}"
        server.listen(address)
        await server.start()
        async with Client(address) as client:
            stub: Any = log_pb2_grpc.LogServiceStub(client.channel)
            cluster.stop()
            request = log_pb2.GetCheckpointRequest()
            asking = asyncio.ensure_future(stub.GetCheckpoint(request, timeout=60))
            async with asyncio.timeout(60):
                await refused.wait()
            cluster.start()
            assert (await asking).data.startswith(log_key().origin.encode())
        await server.stop()


class Counted:
    """The log's servicer, which tells of the first refusal."""

    def __init__(self, world: World, refused: asyncio.Event) -> None:
        self._servicer = world.registry.log
        self._refused = refused

    async def GetCheckpoint(self, request: object, call: object) -> object:
        try:
            return await self._servicer.GetCheckpoint(request, call)  # type: ignore[arg-type]
        except Unavailable:
            self._refused.set()
            raise


async def test_every_write_is_unavailable_while_the_object_store_cannot_be_written(
    tmp_path: Path,
) -> None:
    async with opened_world(f"sqlite:///{tmp_path}/test.db", tmp_path) as world:
        document = await world.register(content=b"%PDF")
        packs = tmp_path / "contents" / "unfinished"
        await asyncio.to_thread(packs.rename, packs.with_name("away"))
        await asyncio.to_thread(packs.write_bytes, b"in the way")
        with pytest.raises(Unavailable):
            await world.register()
        with pytest.raises(StorageUnavailable):
            await world.objects.check()
        assert await world.download(document.name, citizen) == b"%PDF"
        await asyncio.to_thread(packs.unlink)
        await world.objects.check()
        await world.register()
