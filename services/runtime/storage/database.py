"""A service's database: SQLite by default, PostgreSQL or CockroachDB by URL, the same statements.

SQLite runs in WAL mode with synchronous=FULL, so that a committed transaction
survives a power cut, and every writing transaction begins IMMEDIATE: it waits
for the one writer there can be at its start, instead of failing in its middle.
Transactions are run as functions, so that a serialization failure (CockroachDB,
PostgreSQL under contention) can run them again; such a function must therefore
do nothing but SQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, TypeDecorator, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from services.runtime import telemetry
from services.runtime.storage.outages import is_retryable, is_unavailable, storage_outages

T = TypeVar("T")

# SQLite's writers wait for each other this long before they give up.
BUSY_TIMEOUT_MILLISECONDS = 10_000
# Readers of one process at once; SQLite's writers take turns anyhow.
POOL_SIZE = 8
POOL_TIMEOUT_SECONDS = 20
# SQLite's indexes over a million documents and their hashes take some hundred megabytes, and each
# insert lands anywhere in them: with these two the millionth costs little more than the first.
CACHE_KIBIBYTES = 64 * 1024
# Pages of 4 KiB in the write-ahead log before they are moved into the database.
CHECKPOINT_PAGES = 8_000
# How long emptying that log waits for readers of older pages, while writers wait for it.
EMPTYING_MILLISECONDS = 250
# A transaction that lost against another is run again, this often at most.
ATTEMPTS = 8
FIRST_PAUSE_SECONDS = 0.005
# What callers hear of an outage.
UNAVAILABLE = "the database cannot be used now"


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC, aware; SQLite keeps it as text without a zone, which is UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite numbers rows by itself in a column of exactly this type.
RowNumber = BigInteger().with_variant(Integer, "sqlite")


def sqlite_url(path: Path) -> str:
    """The URL of an embedded database in a file."""
    return f"sqlite+aiosqlite:///{path}"


DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "cockroachdb": "cockroachdb+asyncpg",
}


def with_driver(url: str) -> str:
    """The URL with the driver that this suite uses: "postgresql://…" gets asyncpg.

    Raises ValueError, which says nothing of the URL, where it is none or names another database.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ValueError("not a database's URL") from None
    name = DRIVERS.get(parsed.drivername, parsed.drivername)
    if name not in DRIVERS.values():
        raise ValueError(f"a URL of {parsed.drivername}; these are known: {', '.join(DRIVERS)}")
    return parsed.set(drivername=name).render_as_string(hide_password=False)


class Database:
    """Connections to one database, and transactions on them."""

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE) -> None:
        url = with_driver(url)
        # Whether the last transaction failed by an outage: a full disk, a lost connection.
        self._last_write_failed = False
        self.is_sqlite = url.startswith("sqlite")
        self.engine = self._open(url, pool_size)
        telemetry.trace_database(self.engine)
        # A connection of its own: readiness must not wait behind calls, nor be traced each second.
        self._checking = self._open(url, 1)

    def _open(self, url: str, pool_size: int) -> AsyncEngine:
        arguments: dict[str, Any] = {"pool_pre_ping": not self.is_sqlite}
        if self.is_sqlite:
            arguments["connect_args"] = {"timeout": BUSY_TIMEOUT_MILLISECONDS / 1000}
        engine = create_async_engine(
            url,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=pool_size,
            max_overflow=0,
            # Parameters are personal data, and errors end in logs.
            hide_parameters=True,
            pool_timeout=POOL_TIMEOUT_SECONDS,
            **arguments,
        )
        if self.is_sqlite:
            event.listen(engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A writing transaction: committed at the end of the block, undone by an exception.

        It is not run again where it loses against another: prefer run(). Raises StorageUnavailable.
        """
        with storage_outages(UNAVAILABLE):
            async with self._transaction(self.engine) as connection:
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for statements that change nothing; one snapshot on SQLite. Raises
        StorageUnavailable."""
        with storage_outages(UNAVAILABLE):
            async with self.engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose statements, however many, all read the database of one moment. Raises
        StorageUnavailable."""
        with storage_outages(UNAVAILABLE):
            async with self.engine.connect() as connection:
                if not self.is_sqlite:
                    await connection.execution_options(isolation_level="REPEATABLE READ")
                yield connection

    async def run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What work returns, committed; run again where it lost against another transaction. Raises
        StorageUnavailable."""
        pause = FIRST_PAUSE_SECONDS
        with storage_outages(UNAVAILABLE):
            for attempt in range(ATTEMPTS):
                try:
                    async with self._transaction(self.engine) as connection:
                        return await work(connection)
                except DBAPIError as error:
                    if attempt + 1 == ATTEMPTS or not is_retryable(error):
                        raise
                await asyncio.sleep(pause)
                pause *= 2
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def _transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """Like transaction, with the errors as they are."""
        try:
            async with engine.connect() as connection:
                if self.is_sqlite:
                    await connection.execution_options(qagazsyz_writes=True)
                async with connection.begin():
                    yield connection
        except Exception as error:
            self._last_write_failed |= is_unavailable(error)
            raise
        self._last_write_failed = False

    async def check(self) -> None:
        """Raise StorageUnavailable unless the database can be read, and, where the last transaction
        failed, be written: a full disk still answers readers."""
        with storage_outages(UNAVAILABLE):
            if self._last_write_failed:
                async with self._transaction(self._checking) as connection:
                    await connection.exec_driver_sql(self._smallest_write())
            else:
                async with self._checking.connect() as connection:
                    await connection.exec_driver_sql(self._smallest_read())

    def _smallest_read(self) -> str:
        """A statement that reads the database, not the connection alone."""
        return "SELECT 1 FROM sqlite_master LIMIT 1" if self.is_sqlite else "SELECT 1"

    def _smallest_write(self) -> str:
        """A statement that reaches the disk when it is committed, and changes no row."""
        if self.is_sqlite:
            # A number in the file's header that nothing here reads.
            return "PRAGMA user_version = 1"
        if self.engine.dialect.name == "postgresql":
            return "SELECT pg_logical_emit_message(true, 'qagazsyz', 'readiness')"
        return "SELECT 1"

    async def purge_deleted(self) -> bool:
        """Whether nothing is left in the database's files of what was deleted or overwritten.

        SQLite overwrites in the database what is deleted, but its write-ahead log goes on holding
        the pages as they were: here it is emptied. That fails, harmlessly, while somebody reads
        older pages. Other databases have vacuuming and archives of their own, which this leaves
        alone (docs/erasure.md). Raises StorageUnavailable.
        """
        if not self.is_sqlite:
            return True
        with storage_outages(UNAVAILABLE):
            return await self._empty_write_ahead_log()

    async def _empty_write_ahead_log(self) -> bool:
        async with self.engine.connect() as connection:
            # Not within a transaction, where there is nothing to be moved.
            raw = await connection.get_raw_connection()
            driver = raw.driver_connection
            assert driver is not None  # noqa: S101 - the connection is open
            await driver.execute(f"PRAGMA busy_timeout={EMPTYING_MILLISECONDS}")
            try:
                cursor = await driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                is_busy, _, _ = await cursor.fetchone()
                await cursor.close()
            finally:
                await driver.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MILLISECONDS}")
            return not is_busy

    async def close(self) -> None:
        await self.engine.dispose()
        await self._checking.dispose()


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    try:
        _set_pragmas(connection)
    except Exception:
        # The file is no database, or cannot be read: nobody else closes the driver's thread.
        connection.close()
        raise


def _set_pragmas(connection: Any) -> None:
    # The driver must not begin transactions by itself: _begin_sqlite does.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # What is deleted is overwritten too, as the keys of erased contents must be.
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MILLISECONDS}")
    cursor.execute(f"PRAGMA cache_size=-{CACHE_KIBIBYTES}")
    cursor.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    writes = connection.get_execution_options().get("qagazsyz_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
