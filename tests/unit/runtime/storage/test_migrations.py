"""Alembic migrations, run from code in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from services.runtime.settings import CannotStart
from services.runtime.storage.database import Database, sqlite_url
from services.runtime.storage.migrations import migrate


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(sqlite_url(tmp_path / "test.db"))
    yield database
    await database.close()


def write_migration(folder: Path, revision: str, previous: str | None, body: str = "") -> None:
    versions = folder / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    (versions / f"{revision}_step.py").write_text(
        f"from alembic import op\nimport sqlalchemy as sa\n"
        f"revision = {revision!r}\ndown_revision = {previous!r}\n"
        f"def upgrade():\n    op.create_table('t{revision}', sa.Column('id', sa.Integer))\n{body}"
    )


async def test_migrations_run_once(database: Database, tmp_path: Path) -> None:
    write_migration(tmp_path, "0001", None)
    write_migration(tmp_path, "0002", "0001")
    for _ in range(2):
        assert await migrate(database, tmp_path) == "0002"
    async with database.reading() as connection:
        await connection.exec_driver_sql("SELECT t0001.id FROM t0001, t0002")


async def test_only_the_missing_migrations_run(database: Database, tmp_path: Path) -> None:
    write_migration(tmp_path, "0001", None)
    await migrate(database, tmp_path)
    write_migration(tmp_path, "0002", "0001")
    assert await migrate(database, tmp_path) == "0002"


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(
    database: Database, tmp_path: Path
) -> None:
    write_migration(tmp_path, "0001", None, body="    op.drop_table('none_such')\n")
    with pytest.raises(OperationalError):
        await migrate(database, tmp_path)
    async with database.reading() as connection:
        tables = await connection.exec_driver_sql("SELECT name FROM sqlite_master")
        assert tables.all() == []


async def test_a_database_that_cannot_be_opened_is_told_without_its_password(
    tmp_path: Path,
) -> None:
    database = Database(f"postgresql://user:secret@/name?host={tmp_path}")
    with pytest.raises(CannotStart, match="the database cannot be opened") as refused:
        await migrate(database, tmp_path)
    assert "secret" not in str(refused.value)
    await database.close()
