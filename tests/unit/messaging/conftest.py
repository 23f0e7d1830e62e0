"""A database of the messaging service, on each kind, the service over it, and an SMSC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.messaging.main import MIGRATIONS
from services.runtime.storage.database import Database
from tests.smsc import Smsc, running
from tests.unit.messaging.builders import Service, make_service


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
def service(database: Database) -> Service:
    return make_service(database)


@pytest.fixture
async def smsc() -> AsyncIterator[Smsc]:
    async with running(Smsc()) as smsc:
        yield smsc
