"""A database of the messaging service, on each kind, the service over it, and an SMSC."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.messaging.main import MIGRATIONS
from services.runtime.storage.database import Database
from services.runtime.storage.migrations import migrate
from tests.smsc import Smsc, running
from tests.unit.messaging.builders import Service, make_service


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await migrate(database, MIGRATIONS)
    yield database
    await database.close()


@pytest.fixture
def service(database: Database) -> Service:
    return make_service(database)


@pytest.fixture
async def smsc() -> AsyncIterator[Smsc]:
    async with running(Smsc()) as smsc:
        yield smsc
