"""`qagazsyz audit`: 1 where something differs, 5 where it could not look."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest
import typer

from cli.errors import CHECK_FAILED, UNREACHABLE, Failure
from cli.operations.audit import audit
from services.registry.main import MIGRATIONS
from services.registry.new_secrets import create_secrets
from services.runtime.storage.database import Database, sqlite_url
from services.runtime.storage.migrations import migrate
from tests.unit.registry.ledger import NOW


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a registry that has not logged anything yet."""
    folder = tmp_path / "data" / "registry"
    folder.parent.mkdir()
    create_secrets(folder, now=NOW, randomness=os.urandom)

    async def make() -> None:
        database = Database(sqlite_url(folder / "registry.db"))
        await migrate(database, MIGRATIONS)
        await database.close()

    asyncio.run(make())
    return tmp_path / "data"


def test_a_sound_registry_ends_with_0(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audit(data)
    assert capsys.readouterr().out == "Nothing differs.\n"


@pytest.mark.parametrize("keep", [16, 5_000])
def test_a_truncated_database_differs_in_one_line(
    data: Path, keep: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = data / "registry" / "registry.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(typer.Exit) as ended:
        audit(data)
    assert ended.value.exit_code == CHECK_FAILED
    assert "database: is malformed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/{service}.db", "postgresql://nobody@/qagazsyz_{service}?host=/none"]
)
def test_a_database_that_is_not_there_could_not_be_looked_at(data: Path, url: str) -> None:
    with pytest.raises(Failure, match="could not look") as failure:
        audit(data, database_url=url)
    assert failure.value.exit_code == UNREACHABLE


def test_another_database_than_a_registrys_could_not_be_looked_at(
    data: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.db").touch()
    with pytest.raises(Failure, match="could not look") as failure:
        audit(data, database_url=sqlite_url(tmp_path / "empty.db"))
    assert failure.value.exit_code == UNREACHABLE
