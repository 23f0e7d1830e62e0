"""The migrations make the tables that the code works with."""

from __future__ import annotations

from services.messaging.main import MIGRATIONS
from services.messaging.tables import metadata
from services.runtime.storage.database import Database
from services.runtime.storage.migrations import migrate
from tests.migrations import differences


async def test_the_newest_schema_is_that_of_the_tables(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    try:
        assert await migrate(database, MIGRATIONS) == await migrate(database, MIGRATIONS)
        async with database.reading() as connection:
            assert await connection.run_sync(differences, metadata) == []
    finally:
        await database.close()
