"""Revocation and erasure: done once, provable, and nothing erased stays."""

from __future__ import annotations

import hashlib
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from qagazsyz.registry.v1 import documents_pb2
from services.runtime.errors import (
    FailedPrecondition,
    NotFound,
)
from services.runtime.storage.database import sqlite_url
from services.runtime.storage.outages import StorageUnavailable
from tests.unit.registry.ledger import NOW
from tests.unit.registry.world import (
    World,
    citizen,
    ministry_officer,
    opened_world,
    verified,
)

NOWHERE = "documents/nowhere"


async def test_a_document_expires_by_itself(world: World) -> None:
    document = await world.register(expire_time=NOW + timedelta(days=1))
    world.clock.move(days=1)
    found = await world.get(document.name, citizen)
    assert found.state == documents_pb2.DOCUMENT_STATE_EXPIRED


async def test_the_issuer_revokes_its_document(world: World) -> None:
    document = await world.register()
    world.clock.move(seconds=5)
    revoked = await world.revoke(document.name)
    assert revoked.state == documents_pb2.DOCUMENT_STATE_REVOKED
    assert revoked.revoke_reason == "mistaken"
    assert revoked.revoke_time.ToDatetime(tzinfo=NOW.tzinfo) == world.clock()
    assert await world.get(document.name, citizen) == revoked


async def test_revoking_twice_is_revoking_once(world: World) -> None:
    document = await world.register()
    first = await world.revoke(document.name)
    world.clock.move(days=1)
    assert await world.revoke(document.name) == first
    with pytest.raises(FailedPrecondition):
        await world.revoke(document.name, reason="another")


async def test_erasure_destroys_title_hash_signatures_content_and_openings(world: World) -> None:
    document = await world.register(content=b"%PDF")
    before = await world.receipt(document.name, citizen)
    erased = await world.erase(document.name)
    assert erased.state == documents_pb2.DOCUMENT_STATE_ERASED
    assert erased.title == ""
    assert erased.content_sha256 == b""
    assert not erased.signatures
    for caller in (citizen, ministry_officer):
        with pytest.raises(FailedPrecondition):
            await world.download(document.name, caller)
    after = await world.receipt(document.name, citizen)
    assert after.entry == before.entry
    assert verified(after).openings == {}
    with pytest.raises(NotFound):
        await world.check(content_sha256=hashlib.sha256(b"%PDF").digest())


async def test_receipts_given_before_an_erasure_still_verify(world: World) -> None:
    document = await world.register(content=b"%PDF")
    before = await world.receipt(document.name, citizen)
    await world.erase(document.name)
    assert verified(before, b"%PDF").content_verified


async def test_nothing_of_an_erased_content_stays_in_the_database(
    world: World,
) -> None:
    document = await world.register(
        content=b"%PDF", title="Тек осында", request_id=str(uuid.UUID(int=1))
    )
    await world.erase(document.name)
    dump = []
    async with world.database.reading() as connection:
        for table in (
            "documents",
            "document_subjects",
            "document_signatures",
            "contents",
            "requests",
        ):
            rows = await connection.exec_driver_sql(f"SELECT * FROM {table}")  # noqa: S608
            dump += [value for row in rows for value in row]
    assert hashlib.sha256(b"%PDF").digest() not in dump
    assert "Тек осында" not in dump
    assert not any(isinstance(value, bytes) and len(value) == 32 for value in dump)


async def test_nothing_of_an_erased_document_stays_in_the_files_of_sqlite(tmp_path: Path) -> None:
    async with opened_world(sqlite_url(tmp_path / "test.db"), tmp_path) as world:
        document = await world.register(content=b"%PDF", title="Тек осында")
        async with world.database.reading() as connection:
            secrets = [
                bytes(value)
                for query in (
                    "SELECT content_salt, content_sha256, statement_key FROM documents",
                    "SELECT salt FROM document_subjects",
                    "SELECT signature FROM document_signatures",
                    "SELECT wrapped_key FROM contents",
                )
                for row in await connection.exec_driver_sql(query)
                for value in row
            ]

        def stays() -> list[bytes]:
            files = [path.read_bytes() for path in tmp_path.glob("test.db*")]
            return [
                secret
                for secret in (*secrets, "Тек осында".encode())
                if any(secret in file for file in files)
            ]

        assert len(stays()) == 7
        await world.erase(document.name)
        assert stays() == []


async def test_erasing_twice_is_erasing_once(world: World) -> None:
    document = await world.register()
    first = await world.erase(document.name)
    world.clock.move(days=1)
    assert await world.erase(document.name) == first
    with pytest.raises(NotFound):
        await world.erase(NOWHERE)


async def test_an_erased_document_cannot_be_revoked(world: World) -> None:
    document = await world.register()
    await world.erase(document.name)
    with pytest.raises(FailedPrecondition):
        await world.revoke(document.name)


async def test_a_revoked_document_can_be_erased(world: World) -> None:
    document = await world.register()
    await world.revoke(document.name)
    assert (await world.erase(document.name)).state == documents_pb2.DOCUMENT_STATE_ERASED


async def test_a_full_disk_after_the_commit_does_not_fail_an_erasure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "test.db"

    def left_in_the_write_ahead_log() -> bytes:
        return path.with_name("test.db-wal").read_bytes()

    async def fail() -> bool:
        raise StorageUnavailable("the database cannot be used now")

    async with opened_world(sqlite_url(path), tmp_path) as world:
        document = await world.register(content=b"%PDF")
        with monkeypatch.context() as patched:
            patched.setattr(world.database, "purge_deleted", fail)
            erased = await world.erase(document.name)
        assert erased.state == documents_pb2.DOCUMENT_STATE_ERASED
        assert left_in_the_write_ahead_log()
        assert await world.erase(document.name) == erased
        assert left_in_the_write_ahead_log() == b""
