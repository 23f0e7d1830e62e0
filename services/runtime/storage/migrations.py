"""Applies a service's Alembic migrations, from code: there is no alembic.ini to keep."""

from __future__ import annotations

from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.settings import CannotStart
from services.runtime.storage.database import Database

# Replicas that start together migrate one after the other ("qagazsyz" in ASCII, 63 bits).
MIGRATION_LOCK = 0x716167617A73797A


async def migrate(database: Database, folder: Path) -> str:
    """Brings the schema to the newest revision in folder/versions and returns that revision.

    Runs in one transaction: a migration that fails leaves the schema as it was. Raises CannotStart
    where the database cannot be opened.
    """
    try:
        async with database.reading():
            pass
    except Exception as error:  # each driver has its own; none of them names the password
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise CannotStart(f"the database cannot be opened: {reason}") from None

    async def upgrade(connection: AsyncConnection) -> str:
        if connection.dialect.name == "postgresql":
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK}
            )
        return await connection.run_sync(_upgrade, folder)

    return await database.run(upgrade)


def _upgrade(connection: Connection, folder: Path) -> str:
    scripts = ScriptDirectory(str(folder))
    head = scripts.get_current_head()
    if head is None:
        raise RuntimeError(f"no migrations in {folder.name}")
    context = MigrationContext.configure(connection)
    with Operations.context(context):
        current = context.get_current_revision()
        steps = list(scripts.iterate_revisions(head, current or "base"))
        for script in reversed(steps):
            script.module.upgrade()
        if current != head:
            context._ensure_version_table()
            context.stamp(scripts, head)
    return head
