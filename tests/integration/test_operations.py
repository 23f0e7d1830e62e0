"""Operators' procedures: new keys, PostgreSQL, a clean stop, a backup."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from cli.operations.data_folder import SERVICES
from qagazsyz.common.v1 import signatures_pb2
from qagazsyz.registry.v1 import documents_pb2
from qagazsyz.signing.v1 import keys_pb2, keys_pb2_grpc
from testing.enrolment import Actor
from testing.postgres import Postgres
from testing.suite_process import RunningSuite, free_port, initialize
from tests.integration import test_tool
from tests.integration.world import World


async def ok(*arguments: object) -> str:
    """Run the tool in a thread, because it has an event loop of its own; return its output."""
    return await asyncio.to_thread(test_tool.ok, *arguments)


async def make_key(world: World, officer: Actor) -> keys_pb2.Key:
    return await keys_pb2_grpc.KeyServiceStub(world.client(officer).channel).CreateKey(
        keys_pb2.CreateKeyRequest(
            key=keys_pb2.Key(
                organization=officer.organization,
                algorithm=signatures_pb2.SIGNATURE_ALGORITHM_ED25519,
            )
        )
    )


async def sign(world: World, officer: Actor, key: keys_pb2.Key) -> bytes:
    stub = keys_pb2_grpc.KeyServiceStub(world.client(officer).channel)
    return (await stub.Sign(keys_pb2.SignRequest(key=key.name, message=b"statement"))).signature


async def test_keys_go_on_signing_under_a_new_key_encryption_key(tmp_path: Path) -> None:
    data = tmp_path / "data"
    initialize(data)
    suite = RunningSuite(data, free_port(), ["--workers", "2"])
    await asyncio.to_thread(suite.start)
    world = World(suite)
    try:
        assert {"signing-0", "signing-1"} <= set(suite.children())
        officer = await world.officer()
        key = await make_key(world, officer)
        before = await sign(world, officer, key)
        await world.close()
        assert await asyncio.to_thread(suite.stop) == 0
        old = (data / "signing" / "key-encryption.key").read_bytes()
        assert await ok("keys", "rewrap", "--data", data) == "1 keys moved\n"
        assert (data / "signing" / "key-encryption.key").read_bytes() != old
        assert await ok("audit", "--data", data) == "Nothing differs.\n"
        suite.arguments = []
        await asyncio.to_thread(suite.start)
        world = World(suite)
        # Ed25519 signatures are deterministic: the same signature proves the same key.
        assert await sign(world, officer, key) == before
    finally:
        await world.close()
        await asyncio.to_thread(suite.stop)
    assert_written_by_us(suite.log)


def assert_written_by_us(log: Path) -> None:
    """Assert that every line is JSON of ours or the supervisor's, and none a library's."""
    lines = log.read_text().splitlines()
    assert len(lines) > len(SERVICES)
    for line in lines:
        assert line.startswith("qagazsyz up: ") or json.loads(line), line


async def test_the_whole_suite_runs_on_postgresql(tmp_path: Path, postgres: Postgres) -> None:
    for service in SERVICES:
        postgres.create_database(f"suite_{service}")
    data = tmp_path / "data"
    initialize(data)
    url = postgres.url("suite_{service}")
    suite = RunningSuite(data, free_port(), ["--database-url", url])
    await asyncio.to_thread(suite.start)
    world = World(suite)
    try:
        issuer, bank, citizen = await world.officer(), await world.officer(), await world.citizen()
        document_type = await world.document_type(issuer.organization)
        document = await world.register(issuer, document_type, citizen.subject, b"content")
        await world.consent(citizen, bank.organization, document_type, "mortgage")
        found = await world.documents(bank).LookUpDocuments(
            documents_pb2.LookUpDocumentsRequest(
                subject=citizen.subject,
                document_type=document_type,
                purpose="mortgage",
                reason="a test",
            )
        )
        assert [one.name for one in found.documents] == [document.name]
        assert not list(data.rglob("*.db"))
        registry = postgres.url("suite_registry")
        assert await ok("audit", "--data", data, "--database-url", registry) == "Nothing differs.\n"
    finally:
        await world.close()
        await asyncio.to_thread(suite.stop)


async def test_a_backup_that_was_taken_while_it_runs_is_whole(
    suite: RunningSuite, world: World, tmp_path: Path
) -> None:
    """Back up as docs/operations.md says: first the databases, then everything else."""
    issuer, citizen = await world.officer(), await world.citizen()
    document_type = await world.document_type(issuer.organization)
    await world.register(issuer, document_type, citizen.subject)
    seen = tmp_path / "checkpoint"
    async with world.http() as http:
        seen.write_bytes((await http.get("/log/checkpoint")).content)
    backup = tmp_path / "backup"
    for service in SERVICES:
        (backup / service).mkdir(parents=True)
        file = f"{service}/{service}.db"
        with (
            closing(sqlite3.connect(suite.data / file)) as source,
            closing(sqlite3.connect(backup / file)) as target,
        ):
            source.backup(target)
    await world.register(issuer, document_type, citizen.subject)
    ignored = shutil.ignore_patterns("*.db*", "run", "gateway", "traces")
    shutil.copytree(suite.data, backup, ignore=ignored, dirs_exist_ok=True)
    assert await ok("audit", "--data", backup, "--seen", seen) == "Nothing differs.\n"
