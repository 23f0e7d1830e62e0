"""The migrations make the tables that the code works with, and tell the log of what there was."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text

from services.identity.events import store
from services.identity.events.event import IdentityEventBasis, IdentityEventKind
from services.identity.main import MIGRATIONS
from services.identity.store import Singleton, get_singleton
from services.identity.tables import metadata
from services.runtime.storage.database import Database
from services.runtime.storage.migrations import migrate
from tests.migrations import differences, migrate_up_to

PEOPLE = ("subjects/a", "subjects/b")


async def test_the_newest_schema_is_that_of_the_tables(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    try:
        assert await migrate(database, MIGRATIONS) == await migrate(database, MIGRATIONS)
        async with database.reading() as connection:
            assert await connection.run_sync(differences, metadata) == []
    finally:
        await database.close()


def fill(connection: Connection) -> None:
    """A platform of before, with two operators."""
    migrate_up_to(connection, Path(MIGRATIONS), "0004")
    subject = (
        "INSERT INTO subjects (name, kind, number, given_name, family_name, patronymic,"
        " display_name, create_time, update_time)"
        " VALUES (:name, 'person', :name, '', '', '', '', '2026-01-01', '2026-01-01')"
    )
    for name in ("subjects/o", *PEOPLE):
        connection.execute(text(subject), {"name": name})
    connection.execute(text("INSERT INTO facts VALUES ('platform_organization', 'subjects/o')"))
    for person in PEOPLE:
        membership = "INSERT INTO memberships VALUES ('subjects/o', :person, 5, '2026-01-01')"
        connection.execute(text(membership), {"person": person})


async def test_the_log_is_told_of_what_there_was(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    try:
        async with database.transaction() as connection:
            await connection.run_sync(fill)
        await migrate(database, MIGRATIONS)
        async with database.reading() as connection:
            events = await store.read_events(connection, after=0, limit=10)
            assert await get_singleton(connection, Singleton.SECOND_OPERATOR) is not None
    finally:
        await database.close()
    assert [event.number for event in events] == [1, 2]
    assert {event.happening.subject for event in events} == set(PEOPLE)
    for event in events:
        assert event.happening.kind is IdentityEventKind.MEMBERSHIP_ADDED
        assert event.happening.basis is IdentityEventBasis.INIT
        assert len(event.salts) == event.happening.commitments
