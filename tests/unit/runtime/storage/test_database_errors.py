"""Errors of the database by whose they are: the statement's, another transaction's, its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Executable,
    Integer,
    MetaData,
    Table,
    event,
    insert,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.storage.database import Database, sqlite_url
from services.runtime.storage.outages import (
    StorageUnavailable,
    is_conflict,
    is_unavailable,
    storage_outages,
)
from testing import postgres as clusters

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


async def test_a_table_that_is_not_there_is_a_defect(database_url: str) -> None:
    database = Database(database_url)
    error = await error_of(database, select(NUMBERS))
    assert not is_conflict(error)
    assert not is_unavailable(error)
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


@pytest.fixture
async def filling(tmp_path: Path) -> AsyncIterator[Database]:
    """A database on SQLite whose file may not grow beyond a few pages."""
    database = Database(sqlite_url(tmp_path / "test.db"), pool_size=1)
    await make_table(database)
    async with database.reading() as connection:
        await connection.exec_driver_sql("PRAGMA max_page_count = 4")
    yield database
    await database.close()


async def test_a_full_disk_is_unavailable(filling: Database) -> None:
    rows = [{"id": number, "value": number} for number in range(10_000)]

    async def fill(connection: AsyncConnection) -> None:
        await connection.execute(insert(NUMBERS), rows)

    with pytest.raises(StorageUnavailable) as raised:
        await filling.run(fill)
    assert isinstance(raised.value.__cause__, OperationalError)
    assert "full" in str(raised.value.__cause__)
    assert "full" not in raised.value.message


async def test_after_a_failed_write_a_small_one_has_to_succeed(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "test.db"))
    await make_table(database)
    is_read_only = True

    def set_mode(connection: Any, _record: Any, _proxy: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA query_only = {int(is_read_only)}")
        cursor.close()

    for engine in (database.engine, database._checking):
        event.listen(engine.sync_engine, "checkout", set_mode)
    await database.check()
    with pytest.raises(StorageUnavailable):
        await database.run(lambda connection: connection.execute(insert(NUMBERS).values(id=1)))
    with pytest.raises(StorageUnavailable):
        await database.check()
    is_read_only = False
    await database.check()
    is_read_only = True
    # The last write succeeded: readers are asked for no more.
    await database.check()
    await database.close()


async def test_a_stopped_server_is_unavailable_until_it_is_back() -> None:
    binaries = clusters.find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    with clusters.running(binaries, "-c fsync=off") as cluster:
        database = Database(cluster.create_database())
        await make_table(database)
        await database.check()
        cluster.stop()
        for attempt in (database.check(), database.run(read_numbers), database.run(read_numbers)):
            with pytest.raises(StorageUnavailable):
                await attempt
        with pytest.raises(StorageUnavailable):
            async with database.reading() as connection:
                await read_numbers(connection)
        cluster.start()
        await database.check()
        assert await database.run(read_numbers) == 0
        await database.check()
        await database.close()


async def read_numbers(connection: AsyncConnection) -> int:
    return len((await connection.execute(select(NUMBERS))).all())


def test_an_error_of_the_code_passes_as_it_is() -> None:
    with pytest.raises(KeyError), storage_outages("away"):
        raise KeyError
