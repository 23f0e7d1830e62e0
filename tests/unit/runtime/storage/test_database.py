"""Transactions on SQLite and PostgreSQL, times in UTC, and the URLs of databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.storage.database import Database, UtcDateTime, sqlite_url, with_driver

METADATA = MetaData()
MOMENTS = Table(
    "moments", METADATA, Column("id", Integer, primary_key=True), Column("at", UtcDateTime)
)
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(sqlite_url(tmp_path / "test.db"))
    async with database.transaction() as connection:
        await connection.run_sync(METADATA.create_all)
    yield database
    await database.close()


async def test_a_time_comes_back_in_utc(database: Database) -> None:
    almaty = NOW.astimezone(timezone(timedelta(hours=5)))
    async with database.transaction() as connection:
        await connection.execute(insert(MOMENTS).values(id=1, at=almaty))
    async with database.reading() as connection:
        found = (await connection.execute(select(MOMENTS.c.at))).scalar_one()
    assert (found, found.tzinfo) == (NOW, UTC)


async def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(Exception, match="a time without a zone"):
        async with database.transaction() as connection:
            await connection.execute(insert(MOMENTS).values(id=1, at=NOW.replace(tzinfo=None)))


async def test_an_exception_undoes_the_transaction(database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with database.transaction() as connection:
            await connection.execute(insert(MOMENTS).values(id=1, at=NOW))
            raise RuntimeError
    async with database.reading() as connection:
        assert (await connection.execute(select(MOMENTS.c.id))).all() == []


async def test_many_writers_at_once_all_succeed(database: Database) -> None:
    async def write(number: int) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(select(MOMENTS.c.id))
            await connection.execute(insert(MOMENTS).values(id=number, at=NOW))

        await database.run(work)

    await asyncio.gather(*(write(number) for number in range(40)))
    async with database.reading() as connection:
        assert len((await connection.execute(select(MOMENTS.c.id))).all()) == 40


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_a_transaction_that_lost_against_another_is_run_again(
    postgres_url: str, state: str
) -> None:
    database = Database(postgres_url)
    async with database.transaction() as connection:
        await connection.run_sync(METADATA.create_all)
    tries = 0

    async def work(connection: AsyncConnection) -> None:
        nonlocal tries
        tries += 1
        await connection.execute(insert(MOMENTS).values(id=tries, at=NOW))
        if tries < 3:
            # Raised by the server itself.
            await connection.exec_driver_sql(
                f"DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '{state}'; END $$"
            )

    await database.run(work)
    async with database.reading() as connection:
        assert (await connection.execute(select(MOMENTS.c.id))).scalars().all() == [3]
    await database.close()


async def test_two_serializable_transactions_that_conflict_both_succeed(postgres_url: str) -> None:
    database = Database(postgres_url)
    async with database.transaction() as connection:
        await connection.run_sync(METADATA.create_all)
    tries = 0
    both_have_read = asyncio.Barrier(2)

    async def count_and_add(connection: AsyncConnection) -> None:
        nonlocal tries
        tries += 1
        await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        found = (await connection.execute(select(MOMENTS.c.id))).all()
        if tries <= 2:
            await both_have_read.wait()
        await connection.execute(insert(MOMENTS).values(id=len(found), at=NOW))

    await asyncio.gather(database.run(count_and_add), database.run(count_and_add))
    async with database.reading() as connection:
        assert len((await connection.execute(select(MOMENTS.c.id))).all()) == 2
    assert tries == 3
    await database.close()


async def test_a_commit_is_flushed_to_the_disk(database: Database) -> None:
    async with database.reading() as connection:
        modes = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert modes == ["wal", 2, 1]


async def test_deleted_data_is_purged_once_no_reader_needs_it(
    database: Database, tmp_path: Path
) -> None:
    async with database.transaction() as connection:
        await connection.execute(insert(MOMENTS).values(id=1, at=NOW))
    async with database.reading() as reader:
        await reader.execute(select(MOMENTS.c.id))
        async with database.transaction() as connection:
            await connection.execute(delete(MOMENTS))
        assert not await database.purge_deleted()
    assert await database.purge_deleted()
    assert (tmp_path / "test.db-wal").read_bytes() == b""


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgres://h/d", "postgresql+asyncpg://h/d"),
        ("cockroachdb://h/d", "cockroachdb+asyncpg://h/d"),
        ("sqlite:///x.db", "sqlite+aiosqlite:///x.db"),
    ],
)
def test_urls_get_the_driver_that_is_installed(url: str, driver: str) -> None:
    assert with_driver(url) == driver
