"""A database of the signing service, on each kind, and the servicer of keys over it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.runtime.storage.database import Database
from services.signing.keys.servicer import KeyServicer
from services.signing.main import MIGRATIONS
from tests.unit.signing.builders import key_servicer, vault


@pytest.fixture(scope="session")
def migrations() -> Path:
    return MIGRATIONS


@pytest.fixture
def database_url(migrated_url: str) -> str:
    return migrated_url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def service(database: Database) -> KeyServicer:
    return key_servicer(database, vault())
