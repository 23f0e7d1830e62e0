"""A requests service for every test that asks for one, on each kind of database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.requests.main import MIGRATIONS
from services.runtime.storage.database import Database, sqlite_url
from services.runtime.storage.migrations import migrate
from tests.unit.requests.world import World, make_world


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    database = Database(database_url)
    await migrate(database, MIGRATIONS)
    yield make_world(database)
    await database.close()


@pytest.fixture
def unstored(tmp_path: Path) -> World:
    """A service whose database is never reached: for what is refused before."""
    return make_world(Database(sqlite_url(tmp_path / "unused.db")))
