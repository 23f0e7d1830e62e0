"""The migrations make the tables that the code works with."""

from __future__ import annotations

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from services.registry.main import MIGRATIONS
from services.registry.tables import metadata
from services.runtime.storage.database import Database
from services.runtime.storage.migrations import migrate


def differences(connection: Connection) -> list[Any]:
    found = compare_metadata(MigrationContext.configure(connection), metadata)
    # Alembic's own table is in no metadata.
    return [each for each in found if "alembic_version" not in str(each)]


async def test_the_newest_schema_is_that_of_the_tables(database_url: str) -> None:
    database = Database(database_url)
    try:
        assert await migrate(database, MIGRATIONS) == await migrate(database, MIGRATIONS)
        async with database.reading() as connection:
            assert await connection.run_sync(differences) == []
    finally:
        await database.close()
