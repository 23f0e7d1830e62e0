"""`qagazsyz migrate`: the schema of every service, on SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import inspect
from typer.testing import CliRunner

from cli.errors import Failure
from cli.main import tool
from cli.operations.data_folder import SERVICES
from cli.operations.migrate import migrate_service
from services.runtime.storage.database import Database


async def tables(url: str) -> set[str]:
    database = Database(url)
    try:
        async with database.reading() as connection:
            return set(await connection.run_sync(lambda bare: inspect(bare).get_table_names()))
    finally:
        await database.close()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_second_migration_changes_nothing(
    service: str, database_url: str, tmp_path: Path
) -> None:
    revision = await migrate_service(tmp_path, service, database_url)
    made = await tables(database_url)
    assert len(made) > 1
    assert await migrate_service(tmp_path, service, database_url) == revision
    assert await tables(database_url) == made


def test_the_databases_of_a_data_folder_are_made_for_their_owner_alone(tmp_path: Path) -> None:
    for service in SERVICES:
        (tmp_path / service).mkdir(mode=0o700)
    done = CliRunner().invoke(tool, ["migrate", "--data", str(tmp_path)])
    assert done.exit_code == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == list(SERVICES)
    for service in SERVICES:
        assert (tmp_path / service / f"{service}.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("options", [["--service", "nobody"], []], ids=["no service", "no folder"])
def test_an_unknown_service_or_a_missing_folder_is_refused(
    options: list[str], tmp_path: Path
) -> None:
    done = CliRunner().invoke(tool, ["migrate", "--data", str(tmp_path), *options])
    assert isinstance(done.exception, Failure)
    assert not list(tmp_path.iterdir())
