"""Errors of the database by whose they are: the statement's, another transaction's, its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Column, Executable, Integer, MetaData, Table, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.storage.database import (
    Database,
    is_conflict,
    is_unavailable,
    sqlite_url,
)

METADATA = MetaData()
NUMBERS = Table(
    "numbers",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", Integer, nullable=False),
)


async def make_table(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.run_sync(METADATA.create_all)


async def error_of(database: Database, *statements: Executable) -> Exception:
    async def work(connection: AsyncConnection) -> None:
        for statement in statements:
            await connection.execute(statement)

    with pytest.raises(Exception) as raised:
        await database.run(work)
    assert isinstance(raised.value, Exception)
    return raised.value


async def test_a_row_that_is_there_already_is_a_conflict(database_url: str) -> None:
    database = Database(database_url)
    await make_table(database)
    row = insert(NUMBERS).values(id=1, value=1)
    error = await error_of(database, row, row)
    assert is_conflict(error)
    assert not is_unavailable(error)
    await database.close()


async def test_a_table_that_is_not_there_is_no_conflict(database_url: str) -> None:
    database = Database(database_url)
    assert not is_conflict(await error_of(database, select(NUMBERS)))
    await database.close()


async def test_a_locked_database_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.runtime.storage.database.BUSY_TIMEOUT_MILLISECONDS", 10)
    database = Database(sqlite_url(tmp_path / "test.db"))
    async with database.transaction():
        error = await error_of(database, text("SELECT 1"))
    assert is_unavailable(error)
    assert not is_conflict(error)
    await database.close()


async def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    database = Database(f"postgresql://nobody@/nothing?host={tmp_path}")
    assert is_unavailable(await error_of(database, text("SELECT 1")))
    await database.close()


async def test_a_connection_that_ends_under_a_statement_is_unavailable(postgres_url: str) -> None:
    database = Database(postgres_url)
    error = await error_of(database, text("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert is_unavailable(error)
    await database.close()


async def test_no_connection_left_in_the_pool_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.runtime.storage.database.POOL_TIMEOUT_SECONDS", 0.01)
    database = Database(sqlite_url(tmp_path / "test.db"), pool_size=1)
    async with database.reading():
        assert is_unavailable(await error_of(database, text("SELECT 1")))
    await database.close()


def test_an_integrity_error_of_a_lost_connection_is_no_conflict() -> None:
    lost = IntegrityError("INSERT", {}, Exception(), connection_invalidated=True)
    assert is_unavailable(lost)
    assert not is_conflict(lost)


@pytest.mark.parametrize("error", [ValueError("bad"), RuntimeError(), KeyError("id")])
def test_an_error_of_the_code_is_neither(error: Exception) -> None:
    assert not is_unavailable(error)
    assert not is_conflict(error)


async def test_a_snapshot_shows_one_moment(database_url: str) -> None:
    database = Database(database_url)
    await make_table(database)
    count = select(NUMBERS.c.id)
    async with database.snapshot() as snapshot:
        assert (await snapshot.execute(count)).all() == []

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(insert(NUMBERS).values(id=1, value=1))

        async with asyncio.timeout(20):
            await database.run(write)
        assert (await snapshot.execute(count)).all() == []
    async with database.snapshot() as snapshot:
        assert len((await snapshot.execute(count)).all()) == 1
    await database.close()
